"""The binary values in Redis: fixed layouts with magic, version, dims and CRC-32, little-endian, never pickle.

    user_emb:{space}:{user}    "TRUE" version dims | space taste | dims × float32 | crc
    user_feat:{schema}:{user}  "TRUF" version dims | schema as_of region age | dims × float32 | crc

A value that is truncated, damaged, not finite or of another embedding space or feature schema decodes to None.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from trident.contract import EMBEDDING_DIM, USER_FEATURES
from trident.errors import InvalidInput
from trident.state.sealed import opened, sealed

VERSION = 1
EMBEDDING_TTL = 3600  # seconds
ROW_TTL = EMBEDDING_TTL + 600
"""Seconds that a row from elsewhere stays: longer than an embedding, because every request needs the row."""

_EMBEDDING = struct.Struct("<4sHH8sI")
_ROW = struct.Struct("<4sHH8sq2sh")


@dataclass(frozen=True)
class UserRow:
    """A user's feature row (40,) float32 as of `as_of` (unix seconds), home region code and age (-1 unknown)."""

    features: np.ndarray
    as_of: int
    region: str = ""
    age: int = -1


@dataclass(frozen=True)
class CachedEmbedding:
    """A user's embedding (128,) float32 and the mark of the taste that it was computed from."""

    vector: np.ndarray
    taste: int


def taste_mark(history: Sequence[bytes]) -> int:
    """A CRC-32 of item ids in their order: an embedding holds only for the history that it was computed from."""
    return zlib.crc32(b"\0".join(history))  # no id has a control character


def pack_embedding(embedding: np.ndarray, space: str, taste: int) -> bytes:
    """Encode a (128,) float32 embedding of the embedding space `space` (16 hex digits) and its `taste_mark`."""
    return _seal(_EMBEDDING.pack(b"TRUE", VERSION, EMBEDDING_DIM, bytes.fromhex(space), taste), embedding)


def unpack_embedding(value: bytes | None, space: str) -> CachedEmbedding | None:
    """Decode an embedding, or None unless it is whole, finite and of this space."""
    found = _open(value, _EMBEDDING, b"TRUE", EMBEDDING_DIM, space)
    if found is None or not np.isfinite(found[1]).all():
        return None
    return CachedEmbedding(found[1], found[0][0])


def pack_row(row: UserRow, schema: str) -> bytes:
    """Encode a user row of the feature schema `schema` (16 hex digits)."""
    region = row.region.encode()
    if len(region) not in (0, 2):
        raise InvalidInput(f"user row: region: expected a two-letter country code or nothing, got {row.region!r}")
    head = _ROW.pack(b"TRUF", VERSION, USER_FEATURES, bytes.fromhex(schema), row.as_of, region, row.age)
    return _seal(head, row.features)


def unpack_row(value: bytes | None, schema: str) -> UserRow | None:
    """Decode a user row, or None unless it is whole and of this schema; missing features are NaN."""
    found = _open(value, _ROW, b"TRUF", USER_FEATURES, schema)
    if found is None or np.isinf(found[1]).any():
        return None
    (as_of, region, age), features = found
    return UserRow(features, as_of, region.rstrip(b"\0").decode("ascii", "ignore"), age)


def _seal(head: bytes, numbers: np.ndarray) -> bytes:
    return sealed(head, np.ascontiguousarray(numbers, "<f4").tobytes())


def _open(
    value: bytes | None, layout: struct.Struct, magic: bytes, dims: int, tag: str
) -> tuple[tuple, np.ndarray] | None:
    body = opened(value, layout.size)
    if body is None or len(body) != layout.size + 4 * dims:
        return None
    found_magic, version, found_dims, found_tag, *rest = layout.unpack_from(body)
    if (found_magic, version, found_dims, found_tag.hex()) != (magic, VERSION, dims, tag):
        return None
    return tuple(rest), np.frombuffer(body, "<f4", dims, layout.size)
