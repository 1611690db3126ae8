from __future__ import annotations

import faiss
import numpy as np
import pytest

from trident.search import ItemIndex
from trident.stages.probe import RECALL, RecallProbe, recall


@pytest.fixture(scope="module")
def index() -> ItemIndex:
    vectors = np.random.default_rng(0).normal(size=(4_000, 128)).astype(np.float32)
    made = faiss.index_factory(128, "IVF64,Flat", faiss.METRIC_INNER_PRODUCT)
    made.train(vectors)
    made.add(vectors)
    return ItemIndex(made, 1)


@pytest.fixture(autouse=True)
def _taken() -> None:
    RECALL.take()


def test_recall_by_hand():
    assert recall(np.array([3, 1, -1]), np.array([1, 2, 3])) == pytest.approx(2 / 3)
    assert recall(np.array([-1, -1]), np.array([-1, -1])) == 1.0


def test_a_search_that_read_one_list_is_measured_against_all_of_them(index):
    allowed = np.full(500, 255, np.uint8)
    allowed[:100] = 0
    query = np.random.default_rng(1).normal(size=128).astype(np.float32)
    rows, _ = index.search(query, 50, allowed, 3_200)
    probe = RecallProbe(index, period=0)
    probe.offer(query, allowed, rows)
    probe.close()
    vectors = index.index.reconstruct_n(0, 4_000)
    scores = vectors @ query
    scores[:800] = -np.inf
    by_hand = np.isin(np.argsort(-scores)[:50], rows).mean()
    assert RECALL.take() == {(): [pytest.approx(by_hand)]}
    assert by_hand < 1


def test_what_is_offered_may_change_afterwards(index):
    allowed, query = np.full(500, 255, np.uint8), np.ones(128, np.float32)
    exact = index.read_everything(query, 50, allowed)
    rows = exact.copy()
    probe = RecallProbe(index, period=0)
    probe.offer(query, allowed, rows)
    allowed[:], rows[:] = 0, -1
    query[:] = 0
    probe.close()
    assert RECALL.take() == {(): [1.0]}


def test_between_two_probes_the_period_passes(index):
    allowed, query = np.full(500, 255, np.uint8), np.ones(128, np.float32)
    rows = index.read_everything(query, 50, allowed)
    probe = RecallProbe(index, period=3600)
    probe.offer(query, allowed, rows)
    probe.close()
    assert RECALL.take() == {}
