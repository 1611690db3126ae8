"""What `trident bench` is told, and a session made of it: the server, the profile, the warm-up."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from trident.errors import InvalidInput
from trident_loadtest.bench import facts
from trident_loadtest.bench.arrivals import Arrivals, poisson
from trident_loadtest.bench.generate import Load
from trident_loadtest.bench.session import Limits, Session
from trident_loadtest.bench.target import Target, target_of
from trident_loadtest.mix import profile_of, served_folder
from trident_loadtest.request_profile import ProfileRequest, read_profile, write_profile

REQUESTS = 20_000
SETTLE, GENTLE = 3.0, 100.0  # seconds of load that are not measured, and its highest rate
Say = Callable[[str], object]


@dataclass(frozen=True)
class Settings:
    """What all measurements share."""

    url: str | None = None
    repository: Path | None = None
    profile: Path | None = None
    arrivals: Arrivals = Arrivals.POISSON
    give_up: float = 1.0  # seconds
    processes: int = 1
    max_lag: float = 5.0  # milliseconds
    seed: int = 1

    def as_dict(self) -> dict[str, Any]:
        """The settings for the report."""
        return {
            name: str(value) if isinstance(value, (Path, Arrivals)) else value for name, value in asdict(self).items()
        }


@dataclass(frozen=True)
class Opened:
    """A session, and what every report says of it."""

    session: Session
    requests: list[ProfileRequest]
    facts: dict[str, Any]
    settings: Settings

    def warm(self, say: Say, rate: float, most: int) -> None:
        """Warm up what the next `most` requests need, and send for a while at `rate`, if that is not too much."""
        say(f"warming up {self.session.target.grpc} ...")
        self.facts["warmed_users"] = self.session.warm(self.requests[:most])
        self.session.discard(poisson(min(rate, GENTLE), SETTLE, self.settings.seed))
        self.session.rewind()


@contextmanager
def opened(settings: Settings) -> Iterator[Opened]:
    """Find the server, and read or make the profile."""
    with tempfile.TemporaryDirectory(prefix="trident-bench-") as folder, target_of(
        settings.url, settings.repository
    ) as target:  # fmt: skip
        path = settings.profile or _made(target, Path(folder) / "profile.jsonl", settings.seed)
        requests = read_profile(path)
        load = Load(target.grpc, path, len(requests), settings.give_up, settings.processes)
        session = Session(target, load, Limits(lag_p99_ms=settings.max_lag))
        about = {"made": facts.made(), "release": facts.release(target), "profile": facts.profile(path, requests)}
        yield Opened(session, requests, about, settings)


def _made(target: Target, path: Path, seed: int) -> Path:
    if target.repository is None:
        raise InvalidInput("expected --profile for a server on another machine: `trident bench profile` makes one")
    write_profile(path, profile_of(served_folder(target.repository), REQUESTS, seed))
    return path
