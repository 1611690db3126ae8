import pytest

from trident_loadtest.bad_redis import GONE, NO_WRITES, Outcome, Phase, running_redis
from trident_loadtest.open_loop import Sample, percentile

BOTH = tuple(sorted(GONE))
BROKEN = Phase("gone", 10, lambda redis: None, GONE, frozenset({"live_updates_stale"}))
BACK = Phase("back", 10, lambda redis: None, recovery=True)


def sample(due: float, degraded=(), seconds=0.01, items=20, error=""):
    return Sample(due, seconds, 0 if error else items, tuple(degraded), error)


def outcome(phase, *samples):
    return Outcome(phase, acted=100.0, end=110.0, samples=list(samples))


def test_answers_with_the_reason_that_fits_hold():
    held = outcome(BROKEN, sample(101, BOTH), sample(102, (*BOTH, "live_updates_stale")))
    assert (held.failed, held.wrong, held.holds) == (0, 0, True)


@pytest.mark.parametrize("degraded", [(), tuple(NO_WRITES), (*BOTH, "cold_start")])
def test_a_reason_that_is_missing_or_of_another_thing_does_not(degraded):
    assert outcome(BROKEN, sample(101, degraded)).wrong == 1


def test_what_was_asked_before_or_answered_after_the_phase_is_not_judged_by_it():
    assert outcome(BROKEN, sample(99.99), sample(109.995)).wrong == 0


def test_fewer_items_and_errors_are_failures():
    broken = outcome(BROKEN, sample(101, BOTH, items=19), sample(102, error="no answer"), sample(103, BOTH))
    assert (broken.failed, broken.holds) == (2, False)


def test_recovery_ends_with_the_last_answer_that_lacks_something():
    assert outcome(
        BACK, sample(100.2, BOTH), sample(101), sample(102.5, BOTH), sample(103)
    ).recovered_s == pytest.approx(2.51)
    assert outcome(BACK, sample(101), sample(109.995, BOTH)).recovered_s == 0  # that one met the next phase
    assert not outcome(BACK, sample(106, BOTH)).holds


def test_a_slow_tail_does_not_hold():
    assert not outcome(BACK, *[sample(101, seconds=0.07 if i < 2 else 0.01) for i in range(100)]).holds


def test_percentiles_are_of_the_samples_in_milliseconds():
    samples = [sample(0, seconds=s / 1000) for s in range(1, 101)]
    assert [round(percentile(samples, share)) for share in (0.5, 0.99, 1.0)] == [51, 100, 100]


def test_the_redis_under_test_keeps_what_it_knows_when_it_is_killed_and_refuses_what_it_should():
    import redis

    with running_redis() as server:
        server.admin.set("key", "value")
        server.kill()
        server.start()
        assert server.admin.get("key") == b"value"
        for act, undo, refusal in (
            (server.fill, server.empty, redis.exceptions.OutOfMemoryError),
            (server.demote, server.promote, redis.exceptions.ReadOnlyError),
        ):
            act()
            assert server.admin.get("key") == b"value"
            with pytest.raises(refusal):
                server.admin.set("other", "value")
            undo()
            server.admin.set("other", "value")
