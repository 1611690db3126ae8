"""The environment, read in one place."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from trident.errors import SetupError

REDIS = "redis"
"""The feature source by which user rows lie in Redis, put there by whoever publishes a release."""


@dataclass(frozen=True)
class RedisAccess:
    """Who we are to Redis and which certificates count; what the URL says of it wins. Paths are of PEM files."""

    username: str = ""
    password: str = field(default="", repr=False)
    password_file: str = ""  # read again for every new connection, so that a password can be changed
    ca_file: str = ""  # whose certificates are trusted; default: the system's
    cert_file: str = ""  # our own certificate
    key_file: str = ""

    @classmethod
    def from_environment(cls) -> RedisAccess:
        """Read REDIS_USERNAME, REDIS_PASSWORD or REDIS_PASSWORD_FILE, and REDIS_CA_FILE, _CERT_FILE, _KEY_FILE."""
        return cls(**{name: os.environ.get(f"REDIS_{name.upper()}", "") for name in cls.__dataclass_fields__})


@dataclass(frozen=True)
class Settings:
    """What the environment sets for the models in the server."""

    redis_url: str = field(default="redis://127.0.0.1:6379/0", repr=False)  # may hold a password
    most_under_way: int = 0  # requests that a server works on at once, more are refused; 0: fifteen per core
    redis_timeout: float = 0.02  # seconds, for connecting and for each answer; never retried
    live_updates_lag: float = 1.0  # seconds without word of item changes before the answers say so
    recall_probe: float = 60.0  # seconds between two requests whose search is checked against the whole index; 0: none
    feedback_events: int = 1_000_000  # that the stream of feedback keeps, about
    impressions: int = 200_000  # answers that the stream of impressions keeps, about
    impressions_share: float = 1.0  # of the answers that are remembered as shown, how many go there; 0: none
    feature_rows: int = 2_000  # answers whose feature rows are kept, about
    feature_rows_share: float = 0.01  # of the answers, whose feature rows go there; 0: none
    feature_source: str = REDIS  # or feast://host:port, asked for the rows of users without a cached embedding
    feast_timeout: float = 0.05  # seconds, from connecting to the last byte; never retried

    @classmethod
    def from_environment(cls) -> Settings:
        """Read REDIS_URL, MOST_UNDER_WAY, REDIS_TIMEOUT_MS, LIVE_UPDATES_LAG_MS, RECALL_PROBE_SECONDS, FEEDBACK_EVENTS,
        IMPRESSIONS, IMPRESSIONS_SHARE, FEATURE_ROWS, FEATURE_ROWS_SHARE, FEATURE_SOURCE and FEAST_TIMEOUT_MS."""
        return cls(
            redis_url=os.environ.get("REDIS_URL", cls.redis_url),
            most_under_way=_count("MOST_UNDER_WAY", cls.most_under_way, least=0),
            redis_timeout=_seconds("REDIS_TIMEOUT_MS", cls.redis_timeout),
            live_updates_lag=_seconds("LIVE_UPDATES_LAG_MS", cls.live_updates_lag),
            recall_probe=float(os.environ.get("RECALL_PROBE_SECONDS", cls.recall_probe)),
            feedback_events=int(os.environ.get("FEEDBACK_EVENTS", cls.feedback_events)),
            impressions=_count("IMPRESSIONS", cls.impressions),
            impressions_share=_share("IMPRESSIONS_SHARE", cls.impressions_share),
            feature_rows=_count("FEATURE_ROWS", cls.feature_rows),
            feature_rows_share=_share("FEATURE_ROWS_SHARE", cls.feature_rows_share),
            feature_source=os.environ.get("FEATURE_SOURCE", cls.feature_source),
            feast_timeout=float(os.environ.get("FEAST_TIMEOUT_MS", cls.feast_timeout * 1000)) / 1000,
        )


def _seconds(name: str, default: float) -> float:
    """A time in seconds from a variable in milliseconds; raise SetupError when it is none."""
    given = os.environ.get(name)
    if given is None:
        return default
    try:
        seconds = float(given) / 1000
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < 3600:
        raise SetupError(f"{name}: expected milliseconds above 0 and below 3600000, got {given!r}")
    return seconds


def _count(name: str, default: int, least: int = 1) -> int:
    """A whole number; raise SetupError when it is none."""
    given = os.environ.get(name, str(default))
    if not given.isascii() or not given.isdigit() or not least <= int(given) <= 1_000_000_000:
        raise SetupError(f"{name}: expected a whole number from {least} to 1000000000, got {given!r}")
    return int(given)


def _share(name: str, default: float) -> float:
    """A share from 0 to 1; raise SetupError when it is none."""
    given = os.environ.get(name, str(default))
    try:
        share = float(given)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise SetupError(f"{name}: expected a share from 0 to 1, got {given!r}")
    return share
