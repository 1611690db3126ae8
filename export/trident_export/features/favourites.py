"""The most frequent codes of an entity's events as of each request."""

from __future__ import annotations

import ibis
from ibis.expr.types import Table

from trident_export.features.asof import as_of


def favourites(ticks: Table, requests: Table, code: str, top: int) -> Table:
    """Rank the codes that an entity met before each request; requests without any are left out.

    `ticks` has entity, second and the column `code` (nulls do not count), `requests` row, entity and second. Returns
    row, `<code>_1` to `<code>_<top>` (null when fewer), `<code>_count_1` and so on, `<code>_total` (events) and
    `<code>_different` (codes). The higher count goes first, then the lower code.
    """
    known = ticks.filter(ticks[code].notnull()).select("entity", "second", code, hits=ibis.literal(1.0))
    pairs = known.select("entity", code).distinct()
    grid = requests.join(pairs, "entity").select("row", "entity", code, "second")
    counts = as_of(known, grid, {"hits": "sum"}, ("entity", code))
    counts = counts.filter(counts.hits > 0)
    order = ibis.window(group_by="row", order_by=[counts.hits.desc(), counts[code]])
    ranked = counts.mutate(rank=ibis.row_number().over(order))
    columns = {}
    for n in range(top):
        nth = ranked["rank"] == n
        columns[f"{code}_{n + 1}"] = ranked[code].max(where=nth)
        columns[f"{code}_count_{n + 1}"] = ranked.hits.max(where=nth)
    return ranked.group_by("row").agg(
        **columns, **{f"{code}_total": ranked.hits.sum(), f"{code}_different": ranked.count().cast("float64")}
    )
