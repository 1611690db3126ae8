"""One server, one profile: runs one after the other, each with what the server did meanwhile."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from trident.errors import TridentError
from trident_client import Recommender
from trident_loadtest.bench.generate import Load
from trident_loadtest.bench.observed import REPORTING, Observed, Observer
from trident_loadtest.bench.samples import Samples
from trident_loadtest.bench.target import Target
from trident_loadtest.request_profile import ProfileRequest

WARMERS = 2
PATIENCE = 5.0  # seconds for a request that only warms


ADVICE = (
    "Stop what else runs on this machine, let it have real-time priority (root, CAP_SYS_NICE or `ulimit -r 1`), lower "
    "the rate, or raise --processes"
)


class Saturated(TridentError):
    """The generator could not keep up, so that figures would say something of it instead of the server."""


@dataclass(frozen=True)
class Limits:
    """What the generator may be, for figures to be believed: its lag behind schedule, and its share of one core."""

    lag_p99_ms: float = 5.0
    cpu_share: float = 0.5

    def check(self, samples: Samples) -> None:
        """Raise Saturated unless the generator kept up."""
        lag = float(np.percentile(samples.lag_ms, 99))
        if lag > self.lag_p99_ms:
            raise Saturated(
                f"no report: the load generator was late: p99 of its lag behind schedule is {lag:.1f} ms, expected at "
                f"most {self.lag_p99_ms:g}; it took {samples.cpu_share:.0%} of a core itself and ran with "
                f"{samples.priority} priority. {ADVICE}"
            )
        if samples.cpu_share > self.cpu_share:
            raise Saturated(
                f"no report: the load generator took {samples.cpu_share:.0%} of a core, expected at most "
                f"{self.cpu_share:.0%}. {ADVICE}"
            )


@dataclass(frozen=True)
class Run:
    """The requests of one run and what the server did."""

    samples: Samples
    observed: Observed


class Session:
    """Sends the requests of a profile, each run going on where the one before has ended."""

    def __init__(self, target: Target, load: Load, limits: Limits) -> None:
        self.target, self.load, self.limits = target, load, limits
        self._next = 0

    def warm(self, requests: Sequence[ProfileRequest]) -> int:
        """Ask once for each user of `requests`, unrecorded, so that embeddings are cached as at any other hour.

        Returns how many there were.
        """
        users = list(dict.fromkeys(request.user_id for request in requests))
        with Recommender(self.target.grpc, deadline=PATIENCE) as recommender, ThreadPoolExecutor(WARMERS) as pool:
            # the first failure is enough: a server that does not answer is not worth measuring
            for _ in pool.map(lambda user: recommender.recommend(user, record=False), users):
                pass
        return len(users)

    def discard(self, offsets: np.ndarray) -> None:
        """Send and forget: connections, caches of the processors, memory of the server."""
        self.load.send(offsets, self._take(len(offsets)))

    def rewind(self) -> None:
        """Go back to the first request of the profile."""
        self._next = 0

    def run(self, offsets: np.ndarray, check: bool = True) -> Run:
        """Send a request at each of `offsets`; raises Saturated when the generator could not, unless `check` is off."""
        observer = Observer(self.target)
        pause = REPORTING if self.target.metrics else 0.0
        time.sleep(pause)
        samples = self.load.send(offsets, self._take(len(offsets)), observer.begin)
        observer.pause()
        time.sleep(pause)
        if check:
            self.limits.check(samples)
        return Run(samples, observer.end())

    def _take(self, count: int) -> int:
        first = self._next
        self._next = (first + count) % self.load.requests
        return first
