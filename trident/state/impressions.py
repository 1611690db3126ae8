"""What was shown to whom, kept for whoever learns from it: entries of two bounded streams in Redis.

    impressions     field "shown"  "TRUI" … one answer | crc
    feature_rows    field "rows"   "TRUG" … one answer with the feature rows of its items | crc

`trident data pull` takes them out. Fixed layouts with magic, version, sizes and CRC-32, little-endian, never pickle; a
value that is truncated or damaged decodes to None.
"""

from __future__ import annotations

import hashlib
import itertools
import struct
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from redis.client import Pipeline

from trident.contract import FEATURES
from trident.metrics import Counter
from trident.state.sealed import opened, sealed

IMPRESSIONS, FEATURE_ROWS = "impressions", "feature_rows"
FIELDS = {IMPRESSIONS: "shown", FEATURE_ROWS: "rows"}
"""The streams, and the one field that their entries have."""

LOGGED = Counter("trident_logged_total", "Entries for a stream of what was shown, kept or lost.", ("stream", "outcome"))

VERSION = 1
LONGEST_REQUEST = 128
"""Bytes of a request's id that are kept as they are; of a longer one a digest is."""

_HEAD = struct.Struct("<4sHHqqI4HI")
_ROWS = struct.Struct("<4sHHHI")


@dataclass(frozen=True)
class Impression:
    """One answer as it was shown: items best first, their `scores` (n,) float32.

    `region` and `device` are empty where nobody knows them; `flags` are the bits of DEGRADED.
    """

    user: str
    time: int  # unix seconds
    release: int
    request: str
    device: str
    region: str
    flags: int
    items: tuple[bytes, ...]
    scores: np.ndarray


@dataclass(frozen=True)
class ShownRows:
    """The feature rows of an answer's items, (n, 120) float32, and what only the whole search knows.

    `candidates` (K,) int32 are rows of the release's items, -1 pads, `similarity` (K,) float32, NaN pads: three
    features of an item depend on the other candidates.
    """

    impression: Impression
    rows: np.ndarray
    candidates: np.ndarray
    similarity: np.ndarray


@dataclass(frozen=True)
class Logged:
    """A value for one of the streams, which keeps about `most` of them."""

    stream: str
    value: bytes
    most: int


def add_logged(pipe: Pipeline, entries: Sequence[Logged]) -> None:
    """Queue entries; whoever runs the pipeline hands their replies to `count_logged`."""
    for entry in entries:
        field = FIELDS[entry.stream]
        pipe.execute_command("XADD", entry.stream, "MAXLEN", "~", entry.most, "*", field, entry.value)


def count_logged(entries: Sequence[Logged], replies: Sequence[object]) -> None:
    """Count what became of entries: an error in place of a reply is a lost one."""
    for entry, reply in zip(entries, replies, strict=True):
        LOGGED.add(stream=entry.stream, outcome="lost" if isinstance(reply, Exception) else "kept")


def request_name(request: str) -> str:
    """A request's id as it is kept: itself, or of a long one a digest, so that an entry has a bounded size."""
    raw = request.encode()
    return request if len(raw) <= LONGEST_REQUEST else "blake2b:" + hashlib.blake2b(raw, digest_size=16).hexdigest()


def pack_impression(shown: Impression) -> bytes:
    """Encode one answer; ids of items have no control characters."""
    texts = [text.encode() for text in (shown.user, request_name(shown.request), shown.device, shown.region)]
    items = b"\0".join(shown.items)
    sizes = (*map(len, texts), len(items))
    head = _HEAD.pack(b"TRUI", VERSION, len(shown.items), shown.time, shown.release, shown.flags, *sizes)
    return sealed(head, *texts, items, np.ascontiguousarray(shown.scores, "<f4").tobytes())


def unpack_impression(value: bytes | None) -> Impression | None:
    """Decode one answer, or None unless it is whole."""
    body = opened(value, _HEAD.size)
    if body is None:
        return None
    magic, version, count, time, release, flags, *sizes = _HEAD.unpack_from(body)
    if (magic, version) != (b"TRUI", VERSION) or len(body) != _HEAD.size + sum(sizes) + 4 * count:
        return None
    ends = np.cumsum([_HEAD.size, *sizes]).tolist()
    *texts, named = (body[start:end] for start, end in itertools.pairwise(ends))
    items = tuple(named.split(b"\0")) if named else ()
    if len(items) != count:
        return None
    try:
        user, request, device, region = (text.decode() for text in texts)
    except UnicodeDecodeError:
        return None
    scores = np.frombuffer(body, "<f4", count, ends[-1])
    return Impression(user, time, release, request, device, region, flags, items, scores)


def pack_rows(shown: ShownRows) -> bytes:
    """Encode the feature rows of one answer."""
    impression = pack_impression(shown.impression)
    head = _ROWS.pack(b"TRUG", VERSION, FEATURES, len(shown.candidates), len(impression))
    arrays = ((shown.rows, "<f4"), (shown.candidates, "<i4"), (shown.similarity, "<f4"))
    return sealed(head, impression, *(np.ascontiguousarray(array, kind).tobytes() for array, kind in arrays))


def unpack_rows(value: bytes | None) -> ShownRows | None:
    """Decode the feature rows of one answer, or None unless they are whole."""
    body = opened(value, _ROWS.size)
    if body is None:
        return None
    magic, version, features, candidates, size = _ROWS.unpack_from(body)
    impression = unpack_impression(body[_ROWS.size : _ROWS.size + size])
    if (magic, version, features) != (b"TRUG", VERSION, FEATURES) or impression is None:
        return None
    count, start = len(impression.items), _ROWS.size + size
    if len(body) != start + 4 * count * FEATURES + 8 * candidates:
        return None
    rows = np.frombuffer(body, "<f4", count * FEATURES, start).reshape(count, FEATURES)
    start += rows.nbytes
    found = np.frombuffer(body, "<i4", candidates, start)
    return ShownRows(impression, rows, found, np.frombuffer(body, "<f4", candidates, start + found.nbytes))
