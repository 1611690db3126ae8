"""Feedback out of the stream of a server and into event files that `trident build --source files` reads.

The files are parts of the folder `events.parquet`; see `stream_pull` for what is promised of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pyarrow as pa

from trident.state.feedback import STREAM
from trident_export.data.schema import EVENTS, REAL, TIME
from trident_export.stream_pull import Entry, Pulled, Watcher, pull_stream, streams_of


class FeedbackSource:
    """The events that were told."""

    stream = STREAM
    part = "feedback"
    batch = 20_000
    lookback = 0

    def remember(self, entries: Sequence[Entry]) -> None:
        """Nothing: validation drops the second of two equal events."""

    def table(self, entries: Sequence[Entry]) -> pa.Table:
        """The entries as events; what is missing or cannot be read is null, which validation then judges."""
        arrays = []
        for column in EVENTS.columns:
            texts = [fields.get(column.name.encode()) for _, fields in entries]
            if column.type == TIME:
                values: list[object] = [None if (s := _number(t)) is None else int(s * 1_000_000) for t in texts]
            elif column.type == REAL:
                values = [_number(t) for t in texts]
            else:
                values = [None if t is None else t.decode("utf-8", "replace") for t in texts]
            arrays.append(pa.array(values, column.type))
        return pa.table(arrays, schema=EVENTS.arrow)


def pull(redis_url: str, out: Path, on_part: Watcher | None = None) -> Pulled:
    """Write the events that are new since the last pull to `out`/events.parquet.

    Raises Unavailable when Redis does not answer: what was written until then stays, and the next pull goes on there.
    Raises InvalidInput when `out` holds events in another form, or when another pull into it is under way.
    """
    with streams_of(redis_url) as client:
        return pull_stream(client, FeedbackSource(), Path(out) / f"{EVENTS.name}.parquet", on_part)


def _number(text: bytes | None) -> float | None:
    with suppress(ValueError):
        number = float(text or b"")
        return number if abs(number) < 1e11 else None
    return None
