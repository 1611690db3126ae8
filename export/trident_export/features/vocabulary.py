"""The code lists of a dataset."""

from __future__ import annotations

import ibis
from ibis.backends.duckdb import Backend
from ibis.expr.types import Table

from trident.features.vocabulary import Vocabulary, ranked
from trident_export.data.dataset import Dataset
from trident_export.data.engine import local_engine
from trident_export.data.schema import UNDETERMINED_LANGUAGE, UNKNOWN

NOT_A_VALUE = ("", UNKNOWN, UNDETERMINED_LANGUAGE)


def build_vocabulary(dataset: Dataset) -> Vocabulary:
    """Count the strings of users, items and event locations: most frequent first, then by name.

    Regions are home regions, locations of events and blocked regions of items, so that a block is never lost.
    """
    with local_engine(dataset.folder) as engine:
        items, users = engine.read_parquet(dataset.items), engine.read_parquet(dataset.users)
        events = engine.read_parquet(dataset.events)
        regions = [users.select(value=users.region), events.select(value=events.location)]
        regions.append(items.select(value=items.blocked_regions.unnest()))
        return Vocabulary(
            categories=_list(engine, items.select(value=items.category)),
            subcategories=_list(engine, items.select(value=items.subcategory)),
            languages=_list(engine, items.select(value=items.language)),
            regions=_list(engine, ibis.union(*regions)),
            account_types=_list(engine, users.select(value=users.account_type)),
        )


def _list(engine: Backend, values: Table) -> tuple[str, ...]:
    known = values.filter(values["value"].notnull() & values["value"].notin(NOT_A_VALUE))
    counts = engine.to_pyarrow(known.group_by("value").agg(count=known.count()))
    return ranked(dict(zip(counts["value"].to_pylist(), counts["count"].to_pylist(), strict=True)))
