"""A seeded marketplace that knows its own truth, of any size.

Events are drawn day by day in batches and written as they come, so memory does not grow with their number. The same
arguments give the same files, byte for byte.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from trident.contract import DEVICES
from trident.errors import InvalidInput
from trident_export.data import defects as planted
from trident_export.data.dataset import TRUTH, Dataset
from trident_export.data.marketplace import Marketplace, build_marketplace, seconds, timestamps
from trident_export.data.progress import advance, progress_bar
from trident_export.data.schema import EVENT_TYPES, EVENTS
from trident_export.data.sessions import WEEKDAY, Day, Rows, draw_sessions
from trident_export.data.sizes import DEFAULT
from trident_export.data.truth import DAY, Truth, affinity
from trident_export.data.words import REGIONS

SESSIONS_PER_BATCH = 25_000
EVENTS_PER_SESSION = 10  # about
MOST_EVENTS_PER_USER_AND_DAY = 40  # the most active come eight times as often, and more than 1,000 a day look like bots
UNKNOWN_TYPE = "hover"

__all__ = ["Truth", "affinity", "generate"]


def generate(
    out: Path,
    *,
    users: int = DEFAULT.users,
    items: int = DEFAULT.items,
    events: int = DEFAULT.events,
    days: int = DEFAULT.days,
    seed: int = DEFAULT.seed,
    end: datetime | None = None,
    defects: bool = True,
) -> Dataset:
    """Write a synthetic dataset of exactly `events` rows, planted defects included, with its truth to the folder `out`.

    Events lie in the `days` days before `end`, which defaults to the start of today (UTC), so that what is served
    today has fresh items; give it for files that are the same tomorrow. Users are u1, u2, …, items i1, i2, …; see
    `Truth`. Raises InvalidInput for sizes that make no marketplace.
    """
    last = seconds(_midnight() if end is None else end if end.tzinfo else end.replace(tzinfo=timezone.utc))
    _check_sizes(users, items, events, days)
    market = build_marketplace(np.random.default_rng((seed, 0)), users, items, last - days * DAY, last)
    plan = planted.Plan.draw(np.random.default_rng((seed, 1)), events) if defects else planted.NO_DEFECTS
    market = _with_planted(market, plan)
    dataset = Dataset(Path(out))
    dataset.folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(market.users, dataset.users)
    pq.write_table(market.items, dataset.items)
    market.truth.write(dataset.folder / TRUTH)
    columns = Columns.of(market, plan)
    with pq.ParquetWriter(dataset.events, EVENTS.arrow) as writer, progress_bar("draw events", events) as progress:
        for rows in _all_rows(market, plan, events - plan.rows, seed):
            writer.write_table(columns.table(rows))
            advance(progress, len(rows))
    return dataset


def _all_rows(market: Marketplace, plan: planted.Plan, clean: int, seed: int) -> Iterator[Rows]:
    """The events day by day; the defects of a batch come after it, bots at the end."""
    first, end = 0, market.truth.end
    for number, (start, quota) in enumerate(_quotas(market.truth.start, end, clean)):
        rng = np.random.default_rng((seed, 2, number))
        damage = np.random.default_rng((seed, 3, number))
        for rows in _day(rng, market, start, quota):
            yield Rows.concat([rows, planted.damaged_copies(damage, plan, first, rows, end)])
            first += len(rows)
    rng = np.random.default_rng((seed, 4))
    for bot in range(plan.bots * len(planted.BOTS)):
        yield planted.bot_rows(rng, market, bot, len(market.activity) + bot)


def _quotas(start: int, end: int, rows: int) -> list[tuple[int, int]]:
    """Start and number of clean rows of each day."""
    starts = np.arange(start, end, DAY)
    weights = WEEKDAY[(starts // DAY + 3) % 7] * np.linspace(0.9, 1.1, len(starts))
    upto = np.round(np.cumsum(weights) / weights.sum() * rows).astype(int)
    return list(zip(starts.tolist(), np.diff(upto, prepend=0).tolist(), strict=True))


def _day(rng: np.random.Generator, market: Marketplace, start: int, quota: int) -> Iterator[Rows]:
    day = Day.at(market, start)
    while quota > 0:
        rows = draw_sessions(rng, market, day, min(SESSIONS_PER_BATCH, quota // EVENTS_PER_SESSION + 5))
        rows = rows.take(rows.time < market.truth.end * 1000)
        rows = rows.take(slice(0, quota))
        quota -= len(rows)
        yield rows.take(np.argsort(rows.time, kind="stable"))


@dataclass(frozen=True)
class Columns:
    """The words behind the codes of `Rows`, as Arrow arrays."""

    user: pa.Array
    item: pa.Array
    type: pa.Array
    device: pa.Array
    location: pa.Array

    @classmethod
    def of(cls, market: Marketplace, plan: planted.Plan) -> Columns:
        """Words for users and items of `market` and for the bots of `plan`."""
        bots = [f"bot{n + 1}" for n in range(plan.bots * len(planted.BOTS))]
        users = pa.concat_arrays([market.users["user_id"].combine_chunks(), pa.array(bots, pa.string())])
        kinds = pa.array([*EVENT_TYPES, UNKNOWN_TYPE])
        return cls(users, market.items["item_id"].combine_chunks(), kinds, pa.array(DEVICES), pa.array(REGIONS))

    def table(self, rows: Rows) -> pa.Table:
        """Events with the columns of the schema."""
        time = timestamps(np.where(rows.time == planted.NO_TIME, 0, rows.time))
        columns = [
            _words(self.user, rows.user),
            _words(self.item, rows.item),
            pc.if_else(pa.array(rows.time != planted.NO_TIME), time, pa.scalar(None, time.type)),
            _words(self.type, np.where(rows.type < 0, len(EVENT_TYPES), rows.type)),
            pa.array(rows.duration, pa.float64(), mask=np.isnan(rows.duration)),
            _words(self.device, rows.device),
            _words(self.location, rows.location),
        ]
        return pa.Table.from_arrays(columns, schema=EVENTS.arrow)


def _words(values: pa.Array, codes: np.ndarray) -> pa.Array:
    return values.take(pa.array(codes, pa.int64(), mask=codes < 0))


def _with_planted(market: Marketplace, plan: planted.Plan) -> Marketplace:
    counts = plan.counts
    names, numbers = np.array(list(counts)), np.array(list(counts.values()))
    return replace(market, truth=replace(market.truth, planted_reasons=names, planted_counts=numbers))


def _midnight() -> datetime:
    return datetime.now(timezone.utc).replace(hour=0, minute=0, second=0, microsecond=0)


def _check_sizes(users: int, items: int, events: int, days: int) -> None:
    for name, value, least, most in (
        ("users", users, 10, 100_000_000),
        ("items", items, 100, 100_000_000),
        ("events", events, 100, 10_000_000_000),
        ("days", days, 1, 600),
    ):
        if not least <= value <= most:
            raise InvalidInput(f"synthetic data: {name}: expected {least} to {most}, got {value}")
    each = events / users / days
    if each > MOST_EVENTS_PER_USER_AND_DAY:
        raise InvalidInput(
            f"synthetic data: expected at most {MOST_EVENTS_PER_USER_AND_DAY} events per user and day, got {each:.0f};"
            " ask for more users or days, or fewer events"
        )
