from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from trident.errors import InvalidInput, ReleaseError
from trident.taste import pool
from trident_export.towers import TowerConfig, TowerData, Towers, train
from trident_export.towers.recall import recall_at
from trident_export.towers.result import check_finite

K = 20
TINY = TowerConfig(epochs=1, batch_size=256, uniform_candidates=16)


def recall(towers: Towers, data: TowerData, items: np.ndarray) -> float:
    users = towers.user_embeddings(data.user_rows, pool(data.histories, towers.item_vectors))
    return recall_at(K, *map(torch.from_numpy, (users, items, data.items, data.histories)))


def test_recall_clearly_beats_popularity(world, towers):
    popular = np.argsort(-np.bincount(world.train.items, minlength=len(world.train.item_rows)))[:K]
    assert towers.best.recall > 1.5 * np.isin(world.validation.items, popular).mean()


def test_reported_recall_is_what_the_public_functions_give(world, towers):
    assert recall(towers, world.validation, towers.item_embeddings()) == pytest.approx(towers.best.recall, abs=0.005)


def test_new_items_are_found_through_their_features(world, towers):
    assert not towers.item_vectors[world.fresh :].any()
    embeddings = towers.item_embeddings()
    assert recall(towers, world.unseen, embeddings) > 4 * K / len(embeddings)  # four times as often as by chance


def test_a_user_without_history_gets_popular_items(world, towers):
    taste = np.zeros((1, 128), np.float32)
    scores = towers.user_embeddings(world.train.user_rows[:1], taste) @ towers.item_embeddings()[: world.fresh].T
    counts = np.bincount(world.train.items, minlength=world.fresh)
    assert counts[np.argsort(-scores[0])[:K]].mean() > 1.5 * counts.mean()


def test_items_embedded_in_parts_are_those_embedded_at_once(towers):
    every, lazy = towers.item_embeddings(), towers.items()
    assert len(lazy) == len(every)
    np.testing.assert_allclose(lazy[np.array([5, 1])], every[[5, 1]], atol=1e-6)
    np.testing.assert_allclose(np.concatenate([lazy[:7], lazy[7:]]), every, atol=1e-6)


def test_embeddings_have_unit_length_for_any_row(towers):
    rows = np.array([[np.nan] * 40, [0] * 40, [1e30] * 40, [-1e30] * 40, [np.inf] * 40], np.float32)
    users = towers.user_embeddings(rows, np.zeros((5, 128), np.float32))
    np.testing.assert_allclose(np.linalg.norm(users, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(towers.item_embeddings(), axis=1), 1, atol=1e-5)


def test_newer_item_rows_change_the_embeddings_alone(towers):
    newer = towers.item_rows.copy()
    newer[0, 1] += 3
    moved = (towers.item_embeddings(newer) != towers.item_embeddings()).any(axis=1)
    assert moved[0]
    assert not moved[1:].any()


def test_shapes_and_dtypes(world, towers):
    assert towers.item_vectors.shape == (len(world.train.item_rows), 128)
    assert towers.item_vectors.dtype == np.float16
    assert towers.item_embeddings().dtype == np.float32
    assert towers.user_embeddings(np.empty((0, 40), np.float32), np.empty((0, 128), np.float32)).shape == (0, 128)


def test_curves_end_after_the_patience_and_the_best_epoch_is_kept(towers):
    assert [epoch.epoch for epoch in towers.curves] == list(range(1, len(towers.curves) + 1))
    assert towers.best.recall == max(epoch.recall for epoch in towers.curves)


def test_the_same_seed_gives_the_same_space_and_another_seed_another(world):
    spaces = [train(world.train, world.validation, replace(TINY, seed=seed)).space for seed in (1, 1, 2)]
    assert spaces[0] == spaces[1] != spaces[2]
    assert len(spaces[0]) == 16


def test_training_leaves_the_global_random_state_alone(world):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    train(world.train, world.validation, TINY)
    assert torch.equal(torch.rand(3), expected)


def test_weights_of_zero_switch_pairs_off(world):
    poisoned = replace(
        world.train, items=np.concatenate([world.train.items[:2000], np.full(len(world.train) - 2000, 7)])
    )
    weights = (np.arange(len(poisoned)) < 2000).astype(np.float32)
    fooled, spared = (train(replace(poisoned, weights=w), world.validation, TINY) for w in (None, weights))
    assert spared.best.recall > fooled.best.recall


def test_a_batch_larger_than_the_data_and_one_single_pair_train(world):
    one = replace(
        world.train,
        user_rows=world.train.user_rows[:1],
        histories=world.train.histories[:1],
        items=world.train.items[:1],
    )
    assert len(train(one, one, replace(TINY, epochs=2)).curves) == 2


def test_empty_splits_are_refused(world):
    none = replace(
        world.train,
        user_rows=world.train.user_rows[:0],
        histories=world.train.histories[:0],
        items=world.train.items[:0],
    )
    with pytest.raises(InvalidInput, match="pairs in both splits"):
        train(world.train, none, TINY)


def test_weights_that_are_not_finite_are_refused(world):
    model = train(world.train, world.validation, TINY).model
    model.item_tower.first.weight.data[0, 0] = torch.inf
    with pytest.raises(ReleaseError, match=r"item_tower\.first\.weight"):
        check_finite(model)


@pytest.mark.parametrize(
    "wrong", [{"epochs": 0}, {"dropout": 1.0}, {"temperature": 0.0}, {"recall_at": 0}, {"seed": -1}]
)
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(InvalidInput, match="tower config"):
        TowerConfig(**wrong)
