from __future__ import annotations

import numpy as np
import pytest
import torch

from trident_export.towers.loss import in_history, inclusion, sampled_softmax
from trident_export.towers.recall import recall_at


def test_inclusion_is_the_chance_to_be_drawn_at_least_once():
    np.testing.assert_allclose(inclusion(torch.tensor([0.5, 0.1, 0.0]), draws=2), [0.75, 0.19, 0], rtol=1e-6)


def test_even_draws_reach_items_without_pairs():
    chance = inclusion(torch.tensor([0.5, 0.0]), draws=1, extra=0.01)
    np.testing.assert_allclose(chance, [1 - 0.5 * np.exp(-0.01), 1 - np.exp(-0.01)], rtol=1e-5)


def test_inclusion_stays_a_probability_for_a_catalogue_of_one():
    assert inclusion(torch.tensor([1.0]), draws=4, extra=4.0).item() == pytest.approx(1)


def test_the_correction_makes_a_rare_candidate_weigh_more():
    logits, targets = torch.zeros(1, 3), torch.tensor([0])
    even = sampled_softmax(logits, targets, torch.zeros(3))
    assert even.item() == pytest.approx(np.log(3))
    rare = sampled_softmax(logits, targets, torch.tensor([0.0, np.log(0.5), 0.0]))
    assert rare.item() == pytest.approx(np.log(4))  # the rare candidate stands for two


def test_hidden_candidates_do_not_compete_but_a_target_always_does():
    hidden = torch.tensor([[True, True, False]])
    loss = sampled_softmax(torch.zeros(1, 3), torch.tensor([0]), torch.zeros(3), hidden)
    assert loss.item() == pytest.approx(np.log(2))


def test_weights_scale_the_rows():
    logits = torch.tensor([[0.0, 0.0], [9.0, 0.0]])
    loss = sampled_softmax(logits, torch.tensor([0, 1]), torch.zeros(2), weights=torch.tensor([2.0, 0.0]))
    assert loss.item() == pytest.approx(np.log(2))


def test_history_marks_only_what_is_a_candidate():
    marks = in_history(torch.tensor([[4, -1], [0, 2], [-1, -1]]), torch.tensor([2, 4]), items=5)
    assert marks.tolist() == [[False, True], [True, False], [False, False]]


def test_recall_leaves_out_the_history_and_counts_ties_against_the_target():
    users, items = torch.ones(4, 1), torch.tensor([[3.0], [2.0], [1.0], [1.0]])
    targets = torch.tensor([1, 1, 2, 0])
    histories = torch.tensor([[-1, -1], [0, -1], [0, 1], [0, -1]])
    hits = [recall_at(1, users[i : i + 1], items, targets[i : i + 1], histories[i : i + 1]) for i in range(4)]
    assert hits == [0, 1, 0, 1]


def test_an_item_that_is_twice_in_the_history_is_left_out_once():
    users, items = torch.ones(1, 1), torch.tensor([[3.0], [2.0], [1.0]])
    assert recall_at(1, users, items, torch.tensor([2]), torch.tensor([[0, 0, -1]])) == 0
    assert recall_at(2, users, items, torch.tensor([2]), torch.tensor([[0, 0, -1]])) == 1


def test_recall_agrees_with_sorting():
    rng = np.random.default_rng(0)
    users, items = rng.normal(size=(50, 8)), rng.normal(size=(30, 8))
    targets, histories = rng.integers(30, size=50), rng.integers(-1, 30, size=(50, 3))
    hits = 0
    for user, target, history in zip(users, targets, histories, strict=True):
        scores = items @ user
        scores[[h for h in history if h not in (-1, target)]] = -np.inf
        hits += target in np.argsort(-scores)[:5]
    assert recall_at(5, *map(torch.from_numpy, (users, items, targets, histories))) == hits / 50
