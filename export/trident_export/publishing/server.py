"""A running server as publishing sees it."""

from __future__ import annotations

from dataclasses import dataclass

from trident.settings import REDIS
from trident_export.publishing.control import Control


@dataclass(frozen=True)
class Server:
    """A running server that serves the repository, the Redis that it asks, and where its user rows come from."""

    control: Control
    redis_url: str
    feature_source: str = REDIS

    @property
    def rows_in_redis(self) -> bool:
        """Whether whoever publishes puts user rows into Redis; otherwise Feast has them."""
        return self.feature_source == REDIS
