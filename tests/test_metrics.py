from __future__ import annotations

import threading

import numpy as np
import pytest

from trident import metrics
from trident.metrics import Counter, Gauge, Histogram


@pytest.fixture(autouse=True)
def _own_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics.Metric, "all", {})


def test_a_counter_adds_up_by_labels_and_is_empty_after_it_was_taken():
    answers = Counter("answers_total", "answers", ("reason",))
    answers.add(reason="a")
    answers.add(3, reason="b")
    answers.add(reason="a")
    assert answers.take() == {("a",): 2.0, ("b",): 3.0}
    assert answers.take() == {}


def test_a_gauge_asks_its_source_each_time():
    lag, values = Gauge("lag_seconds", "lag", ("model",)), [2.0, 0.5]
    lag.follow(values.pop, model="candidates")
    assert lag.take() == {("candidates",): 0.5}
    assert lag.take() == {("candidates",): 2.0}


def test_the_last_source_of_a_series_counts():
    lag = Gauge("lag_seconds", "lag", ("model",))
    lag.follow(lambda: 1.0, model="candidates")
    lag.follow(lambda: 3.0, model="candidates")
    assert lag.take() == {("candidates",): 3.0}


def test_a_histogram_gives_the_values_themselves():
    left = Histogram("items", "items left", ("step",), buckets=(1, 10))
    left.observe(np.array([3, 4], np.int32), step="safe")
    left.observe([0.5], step="safe")
    left.observe([7], step="diverse")
    assert left.take() == {("safe",): [3, 4, 0.5], ("diverse",): [7]}
    assert left.take() == {}


def test_a_histogram_takes_a_column_for_each_series():
    left = Histogram("items", "items left", ("step",), buckets=(1, 10))
    for _ in range(metrics.OBSERVATIONS):
        left.observe_columns(np.array([[3, 4], [5, 6]], np.int32), [("safe",), ("diverse",)])
    taken = left.take()
    assert taken[("safe",)] == [3, 5] * (metrics.OBSERVATIONS // 2)
    assert taken[("diverse",)] == [4, 6] * (metrics.OBSERVATIONS // 2)


def test_a_histogram_that_nobody_takes_from_stays_small():
    left = Histogram("items", "items left", buckets=(1,))
    for _ in range(metrics.OBSERVATIONS):
        left.observe([1.0, 2.0])
    assert len(left.take()[()]) == metrics.OBSERVATIONS


def test_the_wrong_label_is_a_mistake_that_shows():
    with pytest.raises(KeyError):
        Counter("answers_total", "answers", ("reason",)).add(cause="a")


def test_two_metrics_of_one_name_are_a_mistake():
    Counter("answers_total", "answers")
    with pytest.raises(ValueError, match="made twice"):
        Counter("answers_total", "other")


def test_nothing_is_lost_or_counted_twice_while_another_thread_takes():
    counter, taken, ended = Counter("answers_total", "answers"), [], threading.Event()

    def take() -> None:
        while not ended.is_set():
            taken.append(sum(counter.take().values()))

    thread = threading.Thread(target=take)
    thread.start()
    for _ in range(20_000):
        counter.add()
    ended.set()
    thread.join()
    assert sum(taken) + sum(counter.take().values()) == 20_000
