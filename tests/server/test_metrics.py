"""What the steps count arrives at Triton's /metrics."""

from __future__ import annotations

import time
import urllib.request

from trident.contract import FUNNEL


def read(served) -> dict[str, float]:
    """All our series: name with labels → value."""
    with urllib.request.urlopen(f"http://{served.server.metrics}/metrics") as answer:
        lines = answer.read().decode().splitlines()
    return {k: float(v) for k, v in (line.rsplit(" ", 1) for line in lines if line.startswith("trident_"))}


def grown(served, before: dict[str, float], name: str, least: float) -> float:
    """How much a series has grown, waiting until it is at least `least`."""
    end = time.monotonic() + 10
    while (more := read(served).get(name, 0) - before.get(name, 0)) < least and time.monotonic() < end:
        time.sleep(0.2)
    return more


def settled(served) -> dict[str, float]:
    """The series once what was asked before has been reported."""
    time.sleep(2.5)
    return read(served)


def test_answers_and_their_funnels_are_counted(served, grpc):
    before = settled(served)
    for n in range(1, 8):
        grpc.recommend(f"u{n}", record=False)
    release = grpc.recommend("nobody at all", record=False).release
    assert grown(served, before, f'trident_answers_total{{release="{release}"}}', 8) == 8
    assert grown(served, before, f'trident_degraded_total{{reason="cold_start",release="{release}"}}', 1) == 1
    assert grown(served, before, f'trident_best_score_count{{release="{release}"}}', 8) == 8
    for step in FUNNEL:
        assert grown(served, before, f'trident_funnel_items_count{{release="{release}",step="{step}"}}', 8) == 8
    assert grown(served, before, f'trident_funnel_items_sum{{release="{release}",step="returned"}}', 160) == 160


def test_the_second_request_of_a_user_finds_the_embedding(served, grpc):
    grpc.recommend("u21", record=False)
    before = settled(served)
    for _ in range(3):
        grpc.recommend("u21", record=False)
    assert grown(served, before, 'trident_user_embeddings_total{cache="hit",release="1"}', 3) == 3


def test_every_answer_that_is_too_short_is_counted(served, grpc):
    assert 'trident_starved_total{release="1"}' in settled(served)


def test_the_lag_of_item_changes_is_there_for_each_model(served, grpc):
    release = grpc.recommend("u1", record=False).release
    now = settled(served)
    for model in ("candidates", "business_rules"):
        assert now[f'trident_live_updates_lag_seconds{{model="{model}",release="{release}"}}'] < 1.0
