"""Validation: clean events go on, sorted by time; rejected ones go to quarantine with their reason; none is lost.

The tables of users and items go on with them. What clean events name and a table lacks gets a row of defaults there.
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
from ibis import _
from ibis.backends import BaseBackend
from ibis.expr.types import Table
from rich.progress import Progress

from trident.errors import InvalidInput, TridentError
from trident_export.data import checks
from trident_export.data.completing import completed
from trident_export.data.dataset import Dataset
from trident_export.data.engine import opened
from trident_export.data.place import appearing
from trident_export.data.profile import profile
from trident_export.data.progress import advance, progress_bar
from trident_export.data.report import QUARANTINE, ValidationReport
from trident_export.data.rules import BOTS, REASONS, ValidationRules
from trident_export.data.schema import EVENTS, ITEMS, TEXT, USERS
from trident_export.data.tables import stored, write_table

STEPS = ("read days", "find duplicates", "check rows", "find bots", "sort clean events", "write quarantine", "count")
QUARANTINED = EVENTS.arrow.append(pa.field("reason", TEXT))


def validate(
    dataset: Dataset, out: Path, rules: ValidationRules | None = None, engine: str | BaseBackend = "duckdb"
) -> ValidationReport:
    """Write the clean part of `dataset` to the folder `out`: events, users, items, quarantine.parquet and the report.

    Each rejected event has one reason, the first of REASONS that applies, so clean and rejected events add up to what
    was read. `engine` is a name of `engine.ENGINES` or an open engine; all find the same. DuckDB keeps within
    `rules.memory`; the rest spills beside `out`, which appears, or is replaced, only when all has succeeded. Raises
    InvalidInput when `dataset` is not one, or `out` is its own folder or holds other files.
    """
    rules, out = rules or ValidationRules(), Path(out)
    rules = replace(rules, now=rules.now or datetime.now(timezone.utc))
    Dataset.open(dataset.folder)
    if out.resolve() == dataset.folder.resolve():
        raise InvalidInput(f"{out}: expected another folder than that of the dataset; its events would be overwritten")
    with appearing(out) as draft:
        with (
            opened(engine, draft, rules.memory) as at,
            TemporaryDirectory(prefix=".work-", dir=draft) as work,
            progress_bar(STEPS[0], len(STEPS)) as progress,
        ):
            report = _validate(at, dataset, Dataset(draft), Path(work), rules, progress)
        if dataset.truth is not None:
            shutil.copyfile(dataset.truth, draft / dataset.truth.name)
        report.write()
    return replace(report, folder=out)


def _validate(
    engine: BaseBackend, dataset: Dataset, out: Dataset, work: Path, rules: ValidationRules, progress: Progress
) -> ValidationReport:
    events = engine.read_parquet(dataset.events).select(*EVENTS.names)
    newest = _newest(engine, events, rules)
    advance(progress, 1, STEPS[1])
    repeated = stored(engine, checks.repeated_hashes(events), work / "repeated.parquet")
    advance(progress, 1, STEPS[2])
    rows = checks.labelled(checks.with_copies(events, repeated), rules, newest)
    rows = stored(engine, _with_known_keys(engine, rows, dataset, rules), work / "labelled.parquet")
    advance(progress, 1, STEPS[3])
    bots = stored(engine, checks.bots(rows.filter(_.reason.isnull()), rules), work / "bots.parquet")
    advance(progress, 1, STEPS[4])
    rows = checks.with_bots(rows, bots)
    clean = rows.filter(_.reason.isnull()).select(*EVENTS.names)
    write_table(engine, checks.clean_order(clean), out.events, EVENTS.arrow)
    advance(progress, 1, STEPS[5])
    rejected = rows.filter(_.reason.notnull()).select(*QUARANTINED.names)
    write_table(engine, checks.clean_order(rejected), out.folder / QUARANTINE, QUARANTINED)
    advance(progress, 1, STEPS[6])
    for table in (USERS, ITEMS):
        completed(engine, table, dataset.path(table), out)
    report = _report(engine, out, rules)
    _check_sum(report.read, engine.to_pyarrow(events.count()).as_py())
    return report


def _newest(engine: BaseBackend, events: Table, rules: ValidationRules) -> datetime | None:
    days = engine.to_pyarrow(checks.days_with_events(events)).to_pydict()
    day = checks.newest_plausible(list(zip(days["day"], days["events"], strict=True)), rules)
    if day is None:
        return None
    return min(_utc(engine.to_pyarrow(checks.newest_until(events, day)).as_py()), checks.horizon(rules))


def _with_known_keys(engine: BaseBackend, rows: Table, dataset: Dataset, rules: ValidationRules) -> Table:
    if rules.known_users:
        rows = checks.with_unknown_keys(rows, engine.read_parquet(dataset.users), "user_id", "unknown_user")
    if rules.known_items:
        rows = checks.with_unknown_keys(rows, engine.read_parquet(dataset.items), "item_id", "unknown_item")
    return rows


def _report(engine: BaseBackend, out: Dataset, rules: ValidationRules) -> ValidationReport:
    clean = engine.read_parquet(out.events)
    span = {"first": _.timestamp.min(), "newest": _.timestamp.max()}
    totals = clean.agg(clean=_.count(), users=_.user_id.nunique(), items=_.item_id.nunique(), **span)
    total = engine.to_pyarrow(totals).to_pylist()[0]
    quarantine = engine.read_parquet(out.folder / QUARANTINE)
    reasons = engine.to_pyarrow(quarantine.group_by("reason").agg(count=_.count())).to_pydict()
    counts = dict(zip(reasons["reason"], reasons["count"], strict=True))
    machines = quarantine.filter(_.reason.isin(BOTS)).agg(bots=_.user_id.nunique())
    rejected = {reason: counts.get(reason, 0) for reason in REASONS}
    return ValidationReport(
        folder=out.folder,
        read=total["clean"] + sum(rejected.values()),
        clean=total["clean"],
        rejected=rejected,
        users=total["users"],
        items=total["items"],
        first=_iso(total["first"]),
        newest=_iso(total["newest"]),
        bots=engine.to_pyarrow(machines).to_pylist()[0]["bots"],
        rules=rules.as_dict(),
        profile=profile(engine, clean, quarantine, total["items"]),
    )


def _check_sum(accounted: int, read: int) -> None:
    if accounted != read:
        raise TridentError(f"validation: expected clean and rejected events to add up to {read}, got {accounted}")


def _iso(moment: datetime | None) -> str:
    return "" if moment is None else _utc(moment).isoformat().replace("+00:00", "Z")


def _utc(moment: datetime) -> datetime:
    # Spark names no zone, but its session is in UTC
    return moment.astimezone(timezone.utc) if moment.tzinfo else moment.replace(tzinfo=timezone.utc)
