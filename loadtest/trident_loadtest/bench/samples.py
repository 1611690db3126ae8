"""What became of the requests of a run, as arrays, and the figures that follow from them.

A request's latency counts from when it was *due*, not from when it was sent: a generator that is held up by a slow
server must not spare it the requests of that time ("coordinated omission").
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from hdrh.histogram import HdrHistogram

from trident.contract import DEGRADED

LOWEST_US, HIGHEST_US, DIGITS = 1, 600_000_000, 3
SHARES = {"p50": 50.0, "p90": 90.0, "p95": 95.0, "p99": 99.0, "p99.9": 99.9, "max": 100.0}
DEADLINE_EXCEEDED = 4
CODES = {
    -1: "unreadable", 1: "CANCELLED", 2: "UNKNOWN", 3: "INVALID_ARGUMENT", 4: "DEADLINE_EXCEEDED", 5: "NOT_FOUND",
    8: "RESOURCE_EXHAUSTED", 13: "INTERNAL", 14: "UNAVAILABLE",
}  # fmt: skip


@dataclass(frozen=True)
class Samples:
    """n requests: (n,) arrays, times in seconds of CLOCK_MONOTONIC.

    `code` is gRPC's, 0 for an answer; `flags` are bits of DEGRADED. `cpu_s` and `wall_s` are what the sending processes
    took, `processes` how many they were, `priority` "real-time" when all of them had it.
    """

    due: np.ndarray
    sent: np.ndarray
    done: np.ndarray
    code: np.ndarray
    items: np.ndarray
    flags: np.ndarray
    release: np.ndarray
    cpu_s: float = 0.0
    wall_s: float = 0.0
    processes: int = 1
    priority: str = "normal"
    errors: Counter[str] = field(default_factory=Counter)

    def __len__(self) -> int:
        return len(self.due)

    @property
    def answered(self) -> np.ndarray:
        """Which requests were answered, (n,) bool."""
        return self.code == 0

    @property
    def latency_ms(self) -> np.ndarray:
        """Milliseconds from due to done, (n,)."""
        return 1000 * (self.done - self.due)

    @property
    def lag_ms(self) -> np.ndarray:
        """Milliseconds by which requests were sent too late, (n,)."""
        return 1000 * (self.sent - self.due)

    @property
    def service_ms(self) -> np.ndarray:
        """Milliseconds from sent to done, (n,): the part of the latency that is not the generator's."""
        return 1000 * (self.done - self.sent)

    @property
    def seconds(self) -> float:
        """From the first request that was due to the last that was due."""
        return float(self.due.max() - self.due.min()) if len(self) else 0.0

    @property
    def cpu_share(self) -> float:
        """The share of a core that a sending process took, on average."""
        return self.cpu_s / self.wall_s / self.processes if self.wall_s else 0.0

    def part(self, chosen: np.ndarray) -> Samples:
        """Some of the requests, by index or mask; what the generator cost stays that of all."""
        names = ("due", "sent", "done", "code", "items", "flags", "release")
        return replace(self, **{name: getattr(self, name)[chosen] for name in names})

    def histogram(self) -> HdrHistogram:
        """Latencies of the answers in microseconds."""
        return histogram_of(self.latency_ms[self.answered])

    def degraded(self) -> dict[str, float]:
        """Share of the answers that named each reason; reasons that none named are left out."""
        flags, count = self.flags[self.answered], max(1, int(self.answered.sum()))
        shares = {reason: float((flags >> bit & 1).sum()) / count for bit, reason in enumerate(DEGRADED)}
        return {reason: share for reason, share in shares.items() if share}

    def lacking(self) -> int:
        """How many of the answers named any reason."""
        return int((self.flags[self.answered] != 0).sum())

    def error_kinds(self) -> dict[str, int]:
        """How many requests ended with each code."""
        codes, counts = np.unique(self.code[~self.answered], return_counts=True)
        return {CODES.get(c, f"code {c}"): n for c, n in zip(codes.tolist(), counts.tolist(), strict=True)}


def joined(parts: Sequence[Samples]) -> Samples:
    """The requests of several processes that sent at the same time, in the order in which they were due."""
    names = ("due", "sent", "done", "code", "items", "flags", "release")
    together = {name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
    order = np.argsort(together["due"], kind="stable")
    return Samples(
        **{name: array[order] for name, array in together.items()},
        cpu_s=sum(part.cpu_s for part in parts),
        wall_s=max(part.wall_s for part in parts),
        processes=sum(part.processes for part in parts),
        priority="real-time" if all(part.priority == "real-time" for part in parts) else "normal",
        errors=sum((part.errors for part in parts), Counter()),
    )


def histogram_of(milliseconds: np.ndarray) -> HdrHistogram:
    """An HDR histogram in microseconds, exact to three digits."""
    made = HdrHistogram(LOWEST_US, HIGHEST_US, DIGITS)
    values, counts = np.unique(np.clip(np.rint(1000 * milliseconds), LOWEST_US, HIGHEST_US), return_counts=True)
    for value, count in zip(values.astype(np.int64).tolist(), counts.tolist(), strict=True):
        made.record_value(value, count)
    return made


def merged(histograms: Sequence[HdrHistogram]) -> HdrHistogram:
    """All values of several histograms."""
    total = HdrHistogram(LOWEST_US, HIGHEST_US, DIGITS)
    for one in histograms:
        total.add(one)
    return total


def percentiles(histogram: HdrHistogram) -> dict[str, float]:
    """p50 to max in milliseconds, NaN without values."""
    if not histogram.get_total_count():
        return dict.fromkeys(SHARES, float("nan"))
    return {name: histogram.get_value_at_percentile(share) / 1000 for name, share in SHARES.items()}
