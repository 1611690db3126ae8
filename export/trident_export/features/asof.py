"""Totals as of each request: what had happened in strictly earlier seconds.

The requests join the events' own stream as rows that count nothing. In the order of seconds, with the requests of a
second before its events, a running total at a request holds just the earlier events, and an event never describes
itself. A window of W seconds is the total at t without the total at t − W. All frames run from the first row to the
current one: DuckDB computes those several times faster than frames over a range of seconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import ibis
import pyarrow as pa
from ibis.expr.types import NumericValue, Table

from trident.features.registry import DAY

WINDOWS = {"_1d": DAY, "_7d": 7 * DAY, "_14d": 14 * DAY}
"""Ends of the names of windowed totals → seconds that they look back."""
_REQUEST, _EVENT = 0, 1


def as_of(ticks: Table, requests: Table, totals: Mapping[str, str], by: tuple[str, ...] = ("entity",)) -> Table:
    """Totals of `ticks` before each of `requests`: the columns of `requests` and one float64 column per total.

    Both tables have the columns `by` and `second`. `totals` maps columns of `ticks` to "sum", "min" or "max". A sum
    over nothing is 0, the others are null. A sum of whole numbers is exact, whatever order an engine adds in.
    """
    keys = requests.columns
    asked = requests.mutate(kind=_REQUEST, **{name: ibis.null("float64") for name in totals})
    absent = {k: ibis.null(requests[k].type()) for k in keys if k not in (*by, "second")}
    counted = {name: ticks[name].cast("float64") for name in totals}
    told = ticks.select(*by, "second", kind=ibis.literal(_EVENT).cast(asked.kind.type()), **absent, **counted)
    stream = asked.union(told.select(asked.columns))
    so_far = ibis.cumulative_window(group_by=list(by), order_by=["second", "kind"])
    stream = stream.mutate(**{name: _total(stream[name], how).over(so_far) for name, how in totals.items()})
    answered = stream.filter(stream.kind == _REQUEST)
    filled = {name: answered[name].fill_null(0.0) for name, how in totals.items() if how == "sum"}
    return answered.mutate(**filled).drop("kind")


def within(ticks: Table, requests: Table, names: Iterable[str]) -> Table:
    """Sums of `ticks` in the windows before each of `requests`: row and one float64 column per name.

    A name is a column of `ticks` and one of WINDOWS, such as `view_7d`: the views of the 604,800 seconds before the
    request's own. Tables as for `as_of`; `requests` has row, entity and second.
    """
    asked = {name: _split(name) for name in names}
    backs = sorted({0, *(seconds for _, seconds in asked.values())})
    moments = requests.cross_join(ibis.memtable(pa.table({"back": backs})))
    moments = moments.mutate(second=moments.second - moments.back)
    totals = as_of(ticks, moments, {column: "sum" for column, _ in asked.values()})
    return totals.group_by("row").agg(
        **{name: _at(totals, column, 0) - _at(totals, column, back) for name, (column, back) in asked.items()}
    )


def _total(column: NumericValue, how: str) -> NumericValue:
    return {"sum": column.sum, "min": column.min, "max": column.max}[how]()


def _at(totals: Table, column: str, back: int) -> NumericValue:
    return totals[column].max(where=totals.back == back)


def _split(name: str) -> tuple[str, int]:
    column, _, ending = name.rpartition("_")
    return column, WINDOWS[f"_{ending}"]
