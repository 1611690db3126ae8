"""Cached embeddings as they must never be used.

Each kind makes a Redis value of a sound one and of an embedding that is not the user's, so that using it would show.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from trident.contract import EMBEDDING_DIM
from trident.state.layout import pack_embedding

CRC_BYTES = 4
DIMS_AT = 6
"""Where the header says how many dimensions follow: after magic (4 bytes) and version (2)."""

Value = bytes | list[bytes]
"""A string, or the members of a list: a key may hold another type than ours."""


@dataclass(frozen=True)
class Sound:
    """What the cache of a user should hold."""

    value: bytes
    space: str  # 16 hex digits
    taste: int  # mark of the history

    @property
    def head(self) -> bytes:
        """The value without numbers and checksum."""
        return self.value[: -CRC_BYTES - 4 * EMBEDDING_DIM]


Spoil = Callable[[Sound, np.ndarray, np.random.Generator], Value]


@dataclass(frozen=True)
class Kind:
    """One way to be wrong. `refused`: the server says so; otherwise the value is sound and only of no use any more."""

    name: str
    spoil: Spoil
    refused: bool = True


def sealed(body: bytes) -> bytes:
    """A value whose checksum is right, whatever is in it."""
    return body + struct.pack("<I", zlib.crc32(body))


def wrong_dims(sound: Sound, other: np.ndarray, rng: np.random.Generator) -> bytes:
    """Another number of dimensions, in the header, in the numbers, or in both."""
    dims = int(rng.choice([0, 1, 64, 127, 129, 256]))
    told, held = [(dims, dims), (dims, EMBEDDING_DIM), (EMBEDDING_DIM, dims)][rng.integers(3)]
    head = sound.head[:DIMS_AT] + struct.pack("<H", told) + sound.head[DIMS_AT + 2 :]
    return sealed(head + np.resize(other, held).astype("<f4").tobytes())


def other_space(sound: Sound, other: np.ndarray, rng: np.random.Generator) -> bytes:
    """Sound in another embedding space."""
    return pack_embedding(other, rng.bytes(8).hex(), sound.taste)


def not_finite(sound: Sound, other: np.ndarray, rng: np.random.Generator) -> bytes:
    """Some numbers are NaN or infinite."""
    broken = other.copy()
    where = rng.choice(EMBEDDING_DIM, rng.integers(1, EMBEDDING_DIM + 1), replace=False)
    broken[where] = rng.choice([np.nan, np.inf, -np.inf])
    return pack_embedding(broken, sound.space, sound.taste)


def truncated(sound: Sound, other: np.ndarray, rng: np.random.Generator) -> bytes:
    """Its end is missing, or all of it."""
    return sound.value[: rng.integers(len(sound.value))]


def flipped(sound: Sound, other: np.ndarray, rng: np.random.Generator) -> bytes:
    """One to eight bits are the other way round."""
    bits = np.unpackbits(np.frombuffer(pack_embedding(other, sound.space, sound.taste), np.uint8))
    bits[rng.choice(len(bits), rng.integers(1, 9), replace=False)] ^= 1
    return np.packbits(bits).tobytes()


def random_bytes(sound: Sound, other: np.ndarray, rng: np.random.Generator) -> bytes:
    """Random bytes, as many as a value has or any number."""
    return rng.bytes(int(rng.choice([len(sound.value), rng.integers(2_048)])))


def other_version(sound: Sound, other: np.ndarray, rng: np.random.Generator) -> bytes:
    """Another version of the layout, with the mark of the history or without."""
    head = sound.head[:4] + struct.pack("<H", rng.choice([0, 2, 65_535])) + sound.head[6:]
    return sealed((head[:-4] if rng.random() < 0.5 else head) + other.astype("<f4").tobytes())


def other_type(sound: Sound, other: np.ndarray, rng: np.random.Generator) -> list[bytes]:
    """A list instead of a string."""
    return [pack_embedding(other, sound.space, sound.taste)]


def other_history(sound: Sound, other: np.ndarray, rng: np.random.Generator) -> bytes:
    """Sound, but computed from another history than the user's."""
    return pack_embedding(other, sound.space, sound.taste ^ int(rng.integers(1, 1 << 32)))


KINDS = (
    Kind("wrong dims", wrong_dims),
    Kind("other embedding space", other_space),
    Kind("NaN or infinite", not_finite),
    Kind("truncated", truncated),
    Kind("flipped bits", flipped),
    Kind("random bytes", random_bytes),
    Kind("other version", other_version),
    Kind("other type of value", other_type),
    Kind("of another history", other_history, refused=False),
)
