"""Do two servers answer the same?"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from benchmarks.alternatives.servers import Running
from trident.errors import Unavailable

TOLERANCE = 1e-6


def require_equal(trident: Running, other: Running, users: Sequence[str]) -> int:
    """Ask both for the same users at the same moment, without a trace; return how many items were compared.

    Every address of `other` is asked. Raises Unavailable when item ids differ, or scores by more than `TOLERANCE`.
    """
    compared, moment = 0, int(time.time())
    for number, user in enumerate(dict.fromkeys(users)):
        asked = as_asked(user, moment)
        wanted, scores = trident.protocol.ask(trident.addresses[0], asked)
        address = other.addresses[number % len(other.addresses)]
        ids, given = other.protocol.ask(address, asked)
        if ids != wanted:
            raise Unavailable(
                f"{other.name}: other items for {user}: {first_difference(wanted, ids)}; nothing is timed"
            )
        far = max((abs(a - b) for a, b in zip(scores, given, strict=True)), default=0.0)
        if far > TOLERANCE:
            raise Unavailable(f"{other.name}: scores for {user} differ by {far:.2g}; nothing is timed")
        compared += len(ids)
    if not compared:
        raise Unavailable(f"{other.name}: no items to compare; nothing is timed")
    return compared


def as_asked(user: str, moment: int) -> dict[str, Any]:
    """A request that leaves no trace, for a fixed moment."""
    return {"user_id": user, "timestamp": moment, "record": False}


def first_difference(wanted: Sequence[str], got: Sequence[str]) -> str:
    """Where two lists of items part, in words."""
    for place, (a, b) in enumerate(zip(wanted, got, strict=False)):
        if a != b:
            return f"place {place + 1} is {b}, expected {a}"
    return f"{len(got)} items, expected {len(wanted)}"
