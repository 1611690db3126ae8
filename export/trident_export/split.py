"""Cut the time line: towers, ranker, validation, test, each later than the one before."""

from __future__ import annotations

from dataclasses import astuple, dataclass
from datetime import datetime, timezone

import numpy as np

from trident.errors import InvalidInput


@dataclass(frozen=True)
class SplitConfig:
    """Shares of the events, oldest first: `train`, `validation`, the rest is test; `towers` is a share of train."""

    train: float = 0.8
    validation: float = 0.1
    towers: float = 0.8

    def __post_init__(self) -> None:
        for name in ("train", "validation", "towers"):
            if not 0 < getattr(self, name) < 1:
                raise InvalidInput(f"split: expected '{name}' between 0 and 1, got {getattr(self, name)}")
        if self.train + self.validation >= 1:
            raise InvalidInput(f"split: train and validation leave nothing for test: {self.train} + {self.validation}")


@dataclass(frozen=True)
class Windows:
    """Unix seconds; every window is half-open, and an event belongs to exactly one.

    The ranker learns from impressions that the towers have not seen: [start, ranker) fits the towers,
    [ranker, validation) the ranker; together they are the train window. [test, end) is looked at once, at the end.
    """

    start: int
    ranker: int
    validation: int
    test: int
    end: int

    def __post_init__(self) -> None:
        times = (self.start, self.ranker, self.validation, self.test, self.end)
        if sorted(set(times)) != list(times):
            raise InvalidInput(
                f"split: expected start < ranker < validation < test < end, got {times}: bring more distinct times"
            )

    def as_dict(self) -> dict[str, dict[str, str]]:
        """The windows for the manifest: name → first moment and first moment after, ISO 8601 in UTC."""
        times = [datetime.fromtimestamp(second, timezone.utc).isoformat() for second in astuple(self)]
        names = ("towers", "ranker", "validation", "test")
        return {n: {"from": a, "to": b} for n, a, b in zip(names, times, times[1:], strict=False)}


def time_windows(timestamps: np.ndarray, config: SplitConfig | None = None) -> Windows:
    """Cut `timestamps` (n,) int64 unix seconds at shares of the events; events of one second stay together."""
    config = config or SplitConfig()
    if len(timestamps) == 0:
        raise InvalidInput("split: expected events, got none")
    ordered = np.sort(timestamps)
    shares = (config.train * config.towers, config.train, config.train + config.validation)
    ranker, validation, test = (int(ordered[min(len(ordered) - 1, round(s * len(ordered)))]) for s in shares)
    return Windows(int(ordered[0]), ranker, validation, test, int(ordered[-1]) + 1)
