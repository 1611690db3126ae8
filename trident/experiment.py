"""Which users of an experiment are in the canary: a function of the two names alone, for the client and the router.

It never changes: a user stays in his arm over restarts, releases and machines, and when a share grows, those who were
in the canary stay in it. Another name of the experiment deals the users anew.
"""

from __future__ import annotations

import hashlib
import struct

ALL = float(1 << 64)


def in_canary(user_id: bytes, experiment: str, share: float) -> bool:
    """Whether a user belongs to the canary that `share` (0 to 1) of all users are to see."""
    return position(user_id, experiment) < as_float32(share) * ALL


def position(user_id: bytes, experiment: str) -> int:
    """Where a user stands in an experiment, 0 to 2⁶⁴ − 1: the first 8 bytes, big-endian, of a BLAKE2b hash."""
    digest = hashlib.blake2b(experiment.encode() + b"\0" + user_id).digest()
    return int.from_bytes(digest[:8], "big")


def as_float32(share: float) -> float:
    """The share as the tensor `canary_share` carries it, so that nobody stands on two sides of it."""
    return float(struct.unpack("f", struct.pack("f", share))[0])
