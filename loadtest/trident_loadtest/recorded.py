"""Recorded traffic as a profile: the answers of a server that its stream `impressions` still holds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice

from trident.contract import MAX_LIMIT
from trident.errors import InvalidInput, Unavailable
from trident_loadtest.request_profile import ProfileRequest

BATCH = 5000
PATIENCE = 5.0  # seconds for each answer of Redis


def recorded(redis_url: str, requests: int) -> list[ProfileRequest]:
    """The newest `requests` requests that were answered and remembered, in the order of their answers.

    The region is the one asked from, else the user's home; the limit is how many items were shown. Raises InvalidInput
    when there are none, Unavailable when Redis does not answer.
    """
    import redis

    try:
        found = list(islice(_newest(redis_url), requests))[::-1]
    except (redis.RedisError, OSError) as error:
        raise Unavailable(f"recorded traffic cannot be read: {type(error).__name__}: {error}") from None
    if not found:
        raise InvalidInput(
            "recorded traffic: the stream 'impressions' is empty; requests with record=true fill it "
            "unless IMPRESSIONS_SHARE is 0"
        )
    first = found[0][0]
    return [replace(request, at=(moment - first) / 1000) for moment, request in found]


def _newest(redis_url: str) -> Iterator[tuple[int, ProfileRequest]]:
    """Millisecond and request of each entry that can be read, newest first."""
    from trident.state.connection import connect
    from trident.state.impressions import FIELDS, IMPRESSIONS, unpack_impression

    with connect(redis_url, PATIENCE) as client:
        end: bytes | str = "+"
        while entries := client.xrevrange(IMPRESSIONS, end, "-", BATCH):
            for entry, values in entries:
                shown = unpack_impression(values.get(FIELDS[IMPRESSIONS].encode()))
                if shown is not None and shown.items:
                    limit = min(len(shown.items), MAX_LIMIT)
                    request = ProfileRequest(shown.user, shown.device, shown.region, limit)
                    yield int(entry.split(b"-")[0]), request
            end = b"(" + entries[-1][0]
