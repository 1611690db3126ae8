"""What a server has shown, out of its streams and into files: impressions, feature rows, and views on demand.

`impressions.parquet` has a row per item that was shown, `feature_rows.parquet` one with the 120 features of the item
for the answers that were sampled. An item that was shown was not looked at for sure: it becomes an event only when
somebody asks for `views`. A request that was repeated under its id is taken once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from trident.contract import degraded_text
from trident.features.registry import ALL
from trident.state.answered import TTL
from trident.state.impressions import FEATURE_ROWS, FIELDS, IMPRESSIONS, Impression, unpack_impression, unpack_rows
from trident_export.data.schema import EVENTS, TIME
from trident_export.stream_pull import Entry, Pulled, Watcher, pull_stream, streams_of

SHOWN = pa.schema(
    [
        ("user_id", pa.string()),
        ("item_id", pa.string()),
        ("timestamp", TIME),
        ("position", pa.int32()),  # 1 is the first
        ("score", pa.float32()),
        ("release", pa.int64()),
        ("request_id", pa.string()),
        ("device", pa.string()),
        ("location", pa.string()),
        ("degraded", pa.string()),
    ]
)
ROWS = pa.schema(
    [
        *SHOWN,
        *(pa.field(feature.name, pa.float32()) for feature in ALL),
        pa.field("candidates", pa.list_(pa.int32())),  # rows of the release's items, nearest first, -1 pads
        pa.field("similarities", pa.list_(pa.float32())),  # of the candidates, NaN pads
    ]
)
LOOKBACK = (TTL + 60) * 1000
VIEW = "view"


class ShownSource:
    """What was shown, read by `unpack` and made into rows by `table_of`."""

    lookback = LOOKBACK

    def __init__(
        self,
        stream: str,
        part: str,
        batch: int,
        unpack: Callable[[bytes | None], Any],
        table_of: Callable[..., pa.Table],
    ) -> None:
        self.stream, self.part, self.batch = stream, part, batch
        self.unreadable = self.repeated = 0
        self._unpack, self._table_of = unpack, table_of
        self._seen: set[tuple[str, int, str]] = set()

    def remember(self, entries: Sequence[Entry]) -> None:
        """Know which requests an earlier pull has taken."""
        for answer in self._read(entries):
            self._is_new(answer)

    def table(self, entries: Sequence[Entry]) -> pa.Table:
        """The rows of new answers; damaged entries and repeated requests are left out and counted."""
        read = self._read(entries)
        new = [answer for answer in read if self._is_new(answer)]
        self.unreadable += len(entries) - len(read)
        self.repeated += len(read) - len(new)
        return self._table_of(new)

    def _read(self, entries: Sequence[Entry]) -> list[Any]:
        name = FIELDS[self.stream].encode()
        read = [self._unpack(fields.get(name)) for _, fields in entries]
        return [answer for answer in read if answer is not None]

    def _is_new(self, answer: Any) -> bool:
        shown = getattr(answer, "impression", answer)
        name = (shown.user, shown.time, shown.request)
        again = bool(shown.request) and name in self._seen
        self._seen.add(name)
        return not again


def impressions() -> ShownSource:
    """A row per item that was shown."""
    return ShownSource(IMPRESSIONS, "impressions", 5_000, unpack_impression, shown_table)


def views() -> ShownSource:
    """An event `view` per item that was shown."""
    return ShownSource(IMPRESSIONS, "views", 5_000, unpack_impression, view_table)


def feature_rows() -> ShownSource:
    """A row with all features per item of the answers that were sampled."""
    return ShownSource(FEATURE_ROWS, "feature_rows", 500, unpack_rows, rows_table)


def pull_shown(
    redis_url: str, out: Path, as_views: bool = False, on_part: Watcher | None = None
) -> dict[str, tuple[Pulled, ShownSource]]:
    """Write what was shown since the last pull to `out`/impressions.parquet and `out`/feature_rows.parquet.

    With `as_views` each item that was shown is an event of `out`/events.parquet too. Returns by name what was done, and
    the source with its counts. Raises as `feedback_pull.pull` does.
    """
    wanted = {IMPRESSIONS: (impressions(), IMPRESSIONS), FEATURE_ROWS: (feature_rows(), FEATURE_ROWS)}
    if as_views:
        wanted["views"] = (views(), EVENTS.name)
    with streams_of(redis_url) as client:
        return {
            name: (pull_stream(client, source, Path(out) / f"{folder}.parquet", on_part), source)
            for name, (source, folder) in wanted.items()
        }


def shown_table(answers: Sequence[Impression]) -> pa.Table:
    """A row per item of the answers, best first."""
    return pa.table(_columns(answers), schema=SHOWN)


def rows_table(answers: Sequence[Any]) -> pa.Table:
    """A row per item of the answers, with its features and the candidates among which it was ranked."""
    columns = _columns([answer.impression for answer in answers])
    matrix = np.concatenate([np.empty((0, len(ALL)), np.float32), *(answer.rows for answer in answers)])
    columns |= {feature.name: matrix[:, n] for n, feature in enumerate(ALL)}
    columns["candidates"] = [a.candidates for a in answers for _ in a.impression.items]
    columns["similarities"] = [a.similarity for a in answers for _ in a.impression.items]
    arrays = [pa.array(columns[field.name], field.type) for field in ROWS]
    return pa.table(arrays, schema=ROWS)


def view_table(answers: Sequence[Impression]) -> pa.Table:
    """An event per item of the answers."""
    shown = shown_table(answers)
    fixed = {"event_type": pa.repeat(VIEW, len(shown)), "duration_seconds": pa.nulls(len(shown), pa.float64())}
    arrays = [fixed[c.name] if c.name in fixed else shown[c.name] for c in EVENTS.columns]
    return pa.table(arrays, names=EVENTS.names).cast(EVENTS.arrow)


def _columns(answers: Sequence[Impression]) -> dict[str, Any]:
    """The columns of SHOWN by name."""

    def each(values: list[Any]) -> list[Any]:
        return [value for value, answer in zip(values, answers, strict=True) for _ in answer.items]

    return {
        "user_id": each([a.user for a in answers]),
        "item_id": [item.decode("utf-8", "replace") for a in answers for item in a.items],
        "timestamp": each([a.time * 1_000_000 for a in answers]),
        "position": [place for a in answers for place in range(1, len(a.items) + 1)],
        "score": np.concatenate([np.empty(0, np.float32), *(a.scores for a in answers)]),
        "release": each([a.release for a in answers]),
        "request_id": each([a.request or None for a in answers]),
        "device": each([a.device or None for a in answers]),
        "location": each([a.region or None for a in answers]),
        "degraded": each([degraded_text(a.flags).decode() for a in answers]),
    }
