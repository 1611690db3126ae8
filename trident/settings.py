"""The environment, read in one place."""

from __future__ import annotations

import os
from dataclasses import dataclass


@dataclass(frozen=True)
class Settings:
    """What the environment sets for the models in the server."""

    redis_url: str = "redis://127.0.0.1:6379/0"
    redis_timeout: float = 0.02  # seconds, for connecting and for each answer; never retried

    @classmethod
    def from_environment(cls) -> Settings:
        """Read REDIS_URL and REDIS_TIMEOUT_MS."""
        return cls(
            redis_url=os.environ.get("REDIS_URL", cls.redis_url),
            redis_timeout=float(os.environ.get("REDIS_TIMEOUT_MS", cls.redis_timeout * 1000)) / 1000,
        )
