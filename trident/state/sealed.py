"""Values in Redis that end in a CRC-32 of all that comes before it."""

from __future__ import annotations

import struct
import zlib

_CRC = struct.Struct("<I")


def sealed(*parts: bytes) -> bytes:
    """The parts one after another, and their checksum."""
    body = b"".join(parts)
    return body + _CRC.pack(zlib.crc32(body))


def opened(value: bytes | None, least: int) -> bytes | None:
    """What lies before the checksum, or None unless it holds and there are at least `least` bytes."""
    if value is None or len(value) < least + _CRC.size:
        return None
    body = value[: -_CRC.size]
    return body if zlib.crc32(body) == _CRC.unpack_from(value, len(body))[0] else None
