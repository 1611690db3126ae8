"""Streams of a server into folders of Parquet files, each entry once.

A part appears whole under the id of its newest entry or not at all, so the names alone say how far a stream was taken:
however often a pull is repeated or killed, each entry is in exactly one part.
"""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.parquet as pq
import redis

from trident.errors import InvalidInput, Unavailable
from trident.state.connection import connect

PATIENCE = 5.0  # seconds for each answer of Redis
DRAFT = ".draft"
START = "0-0"
Entry = tuple[bytes, dict[bytes, bytes]]
Watcher = Callable[[int], object]
"""Told after each part: rows written so far."""


class Source(Protocol):
    """A stream, and what becomes of its entries."""

    stream: str
    part: str  # what the names of its files begin with
    batch: int  # entries in a part, at most
    lookback: int  # milliseconds before the newest part that `remember` gets to see

    def remember(self, entries: Sequence[Entry]) -> None:
        """See entries again that an earlier pull has taken."""

    def table(self, entries: Sequence[Entry]) -> pa.Table:
        """The rows of new entries."""


@dataclass(frozen=True)
class Pulled:
    """What a pull of one stream has done. After a `gap` the stream had dropped entries, perhaps before a pull."""

    folder: Path
    rows: int
    parts: int
    last: str  # entry id up to which the stream is in the folder
    gap: bool


@contextmanager
def streams_of(redis_url: str) -> Iterator[Any]:
    """A client for the streams; raises Unavailable when Redis does not answer."""
    client = connect(redis_url, timeout=PATIENCE)
    try:
        yield client
    except (redis.RedisError, OSError) as error:
        raise Unavailable(f"the streams cannot be pulled: {type(error).__name__}: {error}") from None
    finally:
        client.close()


def pull_stream(client: Any, source: Source, folder: Path, on_part: Watcher | None = None) -> Pulled:
    """Write the entries that are new since the last pull of this source into `folder`, which is made when missing.

    What was written before an error of Redis stays, and the next pull goes on there. Raises InvalidInput when `folder`
    is a file, or when another pull into it is under way.
    """
    _make(folder)
    with _locked(folder):
        before = last = _last(folder, source)
        gap, rows, parts = _gap(client, source.stream, before), 0, 0
        if source.lookback and before != START:
            _remind(client, source, before)
        for entries in _new(client, source, before):
            last, table = entries[-1][0].decode(), source.table(entries)
            _write(folder, table, f"{source.part}-{last}.parquet")
            rows, parts = rows + len(table), parts + 1
            if on_part:
                on_part(rows)
    return Pulled(folder, rows, parts, last, gap)


def _make(folder: Path) -> None:
    others = [p for p in (folder, folder.with_suffix(".jsonl")) if p.is_file()]
    if others:
        raise InvalidInput(
            f"{others[0]}: expected a folder of part files or nothing, got a file: make the folder {folder} and move "
            f"the {folder.stem} into it as Parquet"
        )
    folder.mkdir(parents=True, exist_ok=True)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the only right to pull into `folder`; what a killed pull left half written is removed."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        _take_lock(handle, folder)
        (folder / DRAFT).unlink(missing_ok=True)
        yield
    finally:
        os.close(handle)


def _take_lock(handle: int, folder: Path) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise InvalidInput(f"{folder}: expected to be the only pull into it, got another one under way") from None


def _last(folder: Path, source: Source) -> str:
    """The newest entry in the folder."""
    part = re.compile(rf"{source.part}-(\d+)-(\d+)\.parquet")
    found = [tuple(map(int, m.groups())) for p in folder.iterdir() if (m := part.fullmatch(p.name))]
    return "{}-{}".format(*max(found)) if found else START


def _gap(client: Any, stream: str, last: str) -> bool:
    """Whether the stream has dropped the entry `last`, and so perhaps newer ones as well."""
    return last != START and not client.xrange(stream, last, last) and bool(client.xlen(stream))


def _remind(client: Any, source: Source, last: str) -> None:
    first = str(max(0, int(last.split("-")[0]) - source.lookback))
    while entries := client.xrange(source.stream, first, last, count=source.batch):
        source.remember(entries)
        first = f"({entries[-1][0].decode()}"


def _new(client: Any, source: Source, last: str) -> Iterator[list[Entry]]:
    """The entries after `last`, up to the newest one at this moment, some at a time."""
    newest = client.xrevrange(source.stream, count=1)
    end = newest[0][0].decode() if newest else last
    while entries := client.xrange(source.stream, f"({last}", end, count=source.batch):
        yield entries
        last = entries[-1][0].decode()


def _write(folder: Path, table: pa.Table, name: str) -> None:
    draft = folder / DRAFT
    with draft.open("wb") as file:
        pq.write_table(table, file, compression="zstd")
        file.flush()
        os.fsync(file.fileno())
    draft.rename(folder / name)
