from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.checked_load import Reply
from benchmarks.flips import Act, Flips, holds, percentile, plan, run, same

FIRST, SECOND = (("a", "b"), (0.5, 0.25)), (("a", "b"), (0.5, 0.2501))


def test_answers_are_the_same_when_items_and_scores_are() -> None:
    assert same(FIRST, FIRST)
    assert same(FIRST, (("a", "b"), (0.5, 0.25 * (1 + 1e-7))))
    assert not same(FIRST, SECOND)
    assert not same(FIRST, (("b", "a"), (0.5, 0.25)))
    assert not same(FIRST, (("a",), (0.5,)))


def test_an_answer_of_another_release_than_it_names_an_unknown_release_and_an_error_are_seen() -> None:
    expected = {(0, "u", ()): FIRST, (1, "u", ()): SECOND}
    right = [Reply("u", due, 0.01, 7, (), FIRST) for due in range(100)]
    done = Flips([Act("publish", 8, 50, 60)], right, {7: 0, 8: 1})
    assert holds(done, expected)
    for reply in (
        Reply("u", 70, 0.01, 8, (), FIRST),
        Reply("u", 70, 0.01, 9, (), SECOND),
        Reply("u", 70, 0.01, 7, ("cold_start",), FIRST),
    ):
        assert Flips(done.acts, [*right, reply], done.variant).wrong(expected) == [reply]
    assert not holds(Flips(done.acts, [*right, Reply("u", 70, 0.01, error="no")], done.variant), expected)


def test_requests_count_as_during_when_they_were_due_while_a_command_ran() -> None:
    replies = [Reply("u", due, 0.001 * (1 + 2 * (50 <= due <= 60)), 7) for due in range(100)]
    done = Flips([Act("publish", 8, 50, 60)], replies, {7: 0})
    assert [reply.due for reply in done.during()] == list(range(50, 61))
    assert [reply.due for reply in done.between()] == [*range(3, 50), *range(61, 100)]
    assert percentile(done.during(), 0.99) == pytest.approx(3)
    assert not holds(done, {(0, "u", ()): ((), ())})  # three times as slow


def test_a_rollback_follows_every_second_publish() -> None:
    assert plan(4, 2) == ["publish", "publish", "rollback", "publish", "publish", "rollback"]
    assert plan(3, 1) == ["publish", "publish", "rollback", "publish"]
    assert (plan(20, 10).count("publish"), plan(20, 10).count("rollback")) == (20, 10)


def test_publishes_and_a_rollback_under_load_lose_no_request_and_mix_no_releases(tiny_release: Path) -> None:
    done, expected = run(tiny_release, plan(3, 1), rate=40, pause=0.3)
    assert [act.name for act in done.acts] == ["publish", "publish", "rollback", "publish"]
    assert done.acts[2].release == done.acts[0].release
    assert not done.errors
    assert not done.wrong(expected)
    assert {reply.release for reply in done.replies} == set(done.variant)
    assert len(done.during()) > 100
