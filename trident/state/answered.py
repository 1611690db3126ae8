"""What was answered under a request id: a caller that asks again with the same id gets the same, not the next items.

    answered:{request}:{user}    "TRUA" version count | moment | item ids, NUL between | crc

`request` is a digest of the id, so that no id, however long or odd, makes a key of its own kind.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from trident.state.keys import key
from trident.state.sealed import opened, sealed

TTL = 120
"""Seconds for which an answer can be asked for again: a caller's retries come sooner, and Redis holds it so long."""

VERSION = 1
_HEAD = struct.Struct("<4sHHq")


@dataclass(frozen=True)
class Answered:
    """The unix second of an answer and its item ids."""

    moment: int
    items: tuple[bytes, ...]


def answered_key(request: str, user: str) -> str:
    """The key of what `user` was answered under the id `request`."""
    return key("answered", hashlib.blake2b(request.encode(), digest_size=16).hexdigest(), user)


def pack_answered(moment: int, items: Sequence[bytes]) -> bytes:
    """Encode the unix second of an answer and its item ids, which have no control characters."""
    return sealed(_HEAD.pack(b"TRUA", VERSION, len(items), moment), b"\0".join(items))


def unpack_answered(value: bytes | None) -> Answered | None:
    """Decode an answer, or None unless it is whole."""
    body = opened(value, _HEAD.size)
    if body is None:
        return None
    magic, version, count, moment = _HEAD.unpack_from(body)
    items = body[_HEAD.size :].split(b"\0")
    if (magic, version, count) != (b"TRUA", VERSION, len(items)):
        return None
    return Answered(moment, tuple(items))
