"""The report of validation as one HTML page that loads nothing from elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, timedelta
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from trident_export.data import charts
from trident_export.data.profile import SHARES, DayCounts, share_rank
from trident_export.data.rules import MEANING

if TYPE_CHECKING:
    from trident_export.data.report import ValidationReport

STYLE = Path(__file__).parent / "report_page.css"
MOST_COLUMNS = 366  # of a plot over days; longer times are drawn in columns of several days
DATES = 6  # labels below it


def report_page(report: ValidationReport) -> str:
    """The whole page."""
    parts = [_head(report), _days(report), _reasons(report), _tail(report), _activity(report), _rules(report)]
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n<title>Data quality</title>\n'
        f"<style>\n{STYLE.read_text('utf-8')}</style>\n</head>\n<body>\n" + "\n".join(parts) + "\n</body>\n</html>\n"
    )


def _head(report: ValidationReport) -> str:
    tiles = [
        ("events read", f"{report.read:,}"),
        ("clean", f"{report.clean:,} <small>{_share(report.clean, report.read)}</small>"),
        ("in quarantine", f"{report.quarantined:,} <small>{_share(report.quarantined, report.read)}</small>"),
        ("users", f"{report.users:,}"),
        ("items", f"{report.items:,}"),
        ("bots", f"{report.bots:,}"),
    ]
    window = f"Clean events from {_minute(report.first)} to {_minute(report.newest)} UTC." if report.clean else ""
    shown = "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in tiles)
    files = "The clean events are in <code>events.parquet</code>, the rejected ones with their reasons in"
    files += " <code>quarantine.parquet</code>, the numbers of this page in <code>report.json</code>."
    return f'<h1>Data quality</h1>\n<p>{window}</p>\n<p class="soft">{files}</p>\n<dl>{shown}</dl>'


def _days(report: ValidationReport) -> str:
    title, found = "<h2>Events per day</h2>", report.profile
    if not found.days:
        return f"{title}\n<p>No event has a time.</p>"
    width = _column_days(found.days)
    outside = (("before", found.earlier), ("after", found.later), ("without a time", found.undated))
    told = ", ".join(f"{count:,} {where}" for where, count in outside if count)
    notes = [
        f"Each column is {width} days." if width > 1 else "",
        f"Rejected outside of these days: {told}." if told else "",
    ]
    kept, rejected = (_per_day(found.days, width, name, of) for name, of in DAY_COUNTS.items())
    return f'{title}\n<p class="soft">{" ".join(filter(None, notes))}</p>\n{kept}\n{rejected}'


DAY_COUNTS: dict[str, Callable[[DayCounts], int]] = {"kept": lambda d: d.kept, "rejected": lambda d: d.rejected}


def _per_day(days: Sequence[DayCounts], width: int, name: str, of: Callable[[DayCounts], int]) -> str:
    first = date.fromisoformat(days[0].day).toordinal()
    counts: dict[int, int] = {}
    for day in days:
        column = (date.fromisoformat(day.day).toordinal() - first) // width
        counts[column] = counts.get(column, 0) + of(day)
    key = f'<h3><i class="{name}"></i>{name}</h3>'
    if not any(counts.values()):
        return f"{key}\n<p>None on these days.</p>"
    bars = [
        charts.Bar(c * width, (c + 1) * width, n, f"{_date(first + c * width)}: {n:,} {name}")
        for c, n in counts.items()
    ]
    total = (max(counts) + 1) * width
    step = -(-total // DATES)
    ticks = [charts.Tick(d + width / 2, _date(first + d)) for d in range(step // 2, total, step)]
    plot = charts.columns(bars, ticks, name, f"Events {name} per day")
    return f'{key}\n<div class="plot">{plot}</div>'


def _column_days(days: Sequence[DayCounts]) -> int:
    span = date.fromisoformat(days[-1].day) - date.fromisoformat(days[0].day) + timedelta(days=1)
    return -(-span.days // MOST_COLUMNS)


def _reasons(report: ValidationReport) -> str:
    note = "An event has one reason: the first that applies, in the order of the table."
    title = f'<h2>Reasons</h2>\n<p class="soft">{note}</p>'
    found = sorted(((reason, n) for reason, n in report.rejected.items() if n), key=lambda pair: -pair[1])
    bars = [(reason, float(n), f"{n:,} ({_share(n, report.read)})") for reason, n in found]
    plot = charts.rows(bars, "rejected", "Rejected events per reason") if bars else "<p>Nothing was rejected.</p>"
    lines = "".join(
        f"<tr{'' if n else ' class=none'}><td><code>{reason}</code></td><td>{escape(MEANING[reason])}</td>"
        f'<td class="number">{n:,}</td></tr>'
        for reason, n in report.rejected.items()
    )
    head = '<tr><th>reason</th><th>the event is</th><th class="number">events</th></tr>'
    total = f'<tr><td>all</td><td></td><td class="number">{report.quarantined:,}</td></tr>'
    return f'{title}\n<div class="plot">{plot}</div>\n<table>{head}{lines}{total}</table>'


def _tail(report: ValidationReport) -> str:
    title, ranks = "<h2>Long tail of items</h2>", report.profile.item_ranks
    if not ranks:
        return f"{title}\n<p>No clean events.</p>"
    share_at = {r.rank: r.share for r in ranks}
    (first, its), *more = ((share, share_at[share_rank(share, report.items)]) for share in SHARES)
    told = f"The most frequent {first:.0%} of the items have {its:.0%} of the clean events"
    told += "".join(f", {share:.0%} have {part:.0%}" for share, part in more)
    points = [
        (r.rank, r.events, f"item {r.rank:,}: {r.events:,} events; up to here {r.share:.1%} of all events")
        for r in ranks
    ]
    plot = charts.curve(points, "kept", "Events per item by rank, both axes logarithmic")
    note = f"{told}. Below: events of an item by its rank, both axes logarithmic."
    return f'{title}\n<p class="soft">{note}</p>\n<div class="plot">{plot}</div>'


def _activity(report: ValidationReport) -> str:
    title, bands = "<h2>Activity of users</h2>", report.profile.user_activity
    if not bands:
        return f"{title}\n<p>No clean events.</p>"
    place = {band: band.least.bit_length() - 1 for band in bands}
    names = {b: f"{b.least:,}" if b.least == b.most else f"{b.least:,}–{b.most:,}" for b in bands}
    bars = [charts.Bar(at, at + 1, b.users, f"{b.users:,} users with {names[b]} events") for b, at in place.items()]
    edges = range(min(place.values()), max(place.values()) + 2)
    ticks = [charts.Tick(at, f"{2**at:,}") for at in edges]
    plot = charts.columns(bars, ticks, "kept", "Users by number of events")
    half = f"{report.profile.median_events_per_user:,.0f}"
    note = f"Users by their number of clean events, on a logarithmic axis; half of them have at most {half}."
    return f'{title}\n<p class="soft">{note}</p>\n<div class="plot">{plot}</div>'


def _rules(report: ValidationReport) -> str:
    lines = "".join(
        f"<tr><td><code>{name}</code></td><td>{escape(_rule(value))}</td></tr>" for name, value in report.rules.items()
    )
    return f"<h2>Rules</h2>\n<details><summary>The thresholds that were used</summary><table>{lines}</table></details>"


def _rule(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(value)
    return {"None": "none", "True": "true", "False": "false"}.get(str(value), str(value))


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.2%}" if whole else "0%"


def _minute(moment: str) -> str:
    return moment[:16].replace("T", " ")


def _date(ordinal: int) -> str:
    return date.fromordinal(ordinal).isoformat()
