"""Validation: clean events go on, sorted by time; rejected ones go to quarantine with their reason; none is lost.

The tables of users and items go on with them. What clean events name and a table lacks gets a row of defaults there.
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

from ibis import _
from ibis.backends.duckdb import Backend
from ibis.expr.types import Table
from rich.progress import Progress

from trident.errors import InvalidInput, TridentError
from trident_export.data import checks
from trident_export.data.completing import completed
from trident_export.data.dataset import Dataset
from trident_export.data.engine import local_engine
from trident_export.data.place import appearing
from trident_export.data.profile import profile
from trident_export.data.progress import advance, progress_bar
from trident_export.data.report import QUARANTINE, ValidationReport
from trident_export.data.rules import BOTS, REASONS, ValidationRules
from trident_export.data.schema import EVENTS, ITEMS, USERS

STEPS = ("read days", "find duplicates", "check rows", "find bots", "sort clean events", "write quarantine", "count")


def validate(dataset: Dataset, out: Path, rules: ValidationRules | None = None) -> ValidationReport:
    """Write the clean part of `dataset` to the folder `out`: events, users, items, quarantine.parquet and the report.

    Each rejected event has one reason, the first of REASONS that applies, so clean and rejected events add up to what
    was read. DuckDB keeps within `rules.memory`; the rest spills beside `out`, which appears, or is replaced, only when
    all has succeeded. Raises InvalidInput when `dataset` is not one, or `out` is its own folder or holds other files.
    """
    rules, out = rules or ValidationRules(), Path(out)
    rules = replace(rules, now=rules.now or datetime.now(timezone.utc))
    Dataset.open(dataset.folder)
    if out.resolve() == dataset.folder.resolve():
        raise InvalidInput(f"{out}: expected another folder than that of the dataset; its events would be overwritten")
    with appearing(out) as draft:
        with local_engine(draft, rules.memory) as engine, progress_bar(STEPS[0], len(STEPS)) as progress:
            report = _validate(engine, dataset, Dataset(draft), rules, progress)
        if dataset.truth is not None:
            shutil.copyfile(dataset.truth, draft / dataset.truth.name)
        report.write()
    return replace(report, folder=out)


def _validate(
    engine: Backend, dataset: Dataset, out: Dataset, rules: ValidationRules, progress: Progress
) -> ValidationReport:
    work = out.folder / ".labelled.parquet"
    events = engine.read_parquet(dataset.events).select(*EVENTS.names)
    newest = _newest(engine, events, rules)
    advance(progress, 1, STEPS[1])
    repeated = engine.create_table("repeated_hashes", checks.repeated_hashes(events), temp=True)
    advance(progress, 1, STEPS[2])
    rows = checks.labelled(checks.with_copies(events, repeated), rules, newest)
    engine.to_parquet(_with_known_keys(engine, rows, dataset, rules), work)
    rows = engine.read_parquet(work)
    advance(progress, 1, STEPS[3])
    bots = engine.create_table("bots", checks.bots(rows.filter(_.reason.isnull()), rules), temp=True)
    advance(progress, 1, STEPS[4])
    rows = checks.with_bots(rows, bots)
    clean = rows.filter(_.reason.isnull()).select(*EVENTS.names)
    engine.to_parquet(checks.clean_order(clean), out.events)
    advance(progress, 1, STEPS[5])
    engine.to_parquet(checks.clean_order(rows.filter(_.reason.notnull())), out.folder / QUARANTINE)
    work.unlink()
    advance(progress, 1, STEPS[6])
    for table in (USERS, ITEMS):
        completed(engine, table, dataset.path(table), out)
    report = _report(engine, out, rules)
    _check_sum(report.read, engine.to_pyarrow(events.count()).as_py())
    return report


def _newest(engine: Backend, events: Table, rules: ValidationRules) -> datetime | None:
    days = engine.to_pyarrow(checks.days_with_events(events)).to_pydict()
    return checks.newest_plausible(list(zip(days["day"], days["events"], days["newest"], strict=True)), rules)


def _with_known_keys(engine: Backend, rows: Table, dataset: Dataset, rules: ValidationRules) -> Table:
    if rules.known_users:
        rows = checks.with_unknown_keys(rows, engine.read_parquet(dataset.users), "user_id", "unknown_user")
    if rules.known_items:
        rows = checks.with_unknown_keys(rows, engine.read_parquet(dataset.items), "item_id", "unknown_item")
    return rows


def _report(engine: Backend, out: Dataset, rules: ValidationRules) -> ValidationReport:
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
    return "" if moment is None else moment.astimezone(timezone.utc).isoformat().replace("+00:00", "Z")
