"""The code lists of a dataset."""

from __future__ import annotations

import ibis
from ibis.backends import BaseBackend
from ibis.expr.types import Table

from trident.features.vocabulary import Vocabulary, ranked
from trident_export.data.dataset import Dataset
from trident_export.data.engine import opened
from trident_export.data.schema import UNDETERMINED_LANGUAGE, UNKNOWN

NOT_A_VALUE = ("", UNKNOWN, UNDETERMINED_LANGUAGE)


def build_vocabulary(dataset: Dataset, engine: str | BaseBackend = "duckdb") -> Vocabulary:
    """Count the strings of users, items and event locations: most frequent first, then by name.

    Regions are home regions, locations of events and blocked regions of items, so that a block is never lost.
    `engine` is a name of `data.engine.ENGINES` or an open engine.
    """
    with opened(engine, dataset.folder) as at:
        items, users, events = (at.read_parquet(path) for path in (dataset.items, dataset.users, dataset.events))
        regions = [users.select(value=users.region), events.select(value=events.location)]
        regions.append(items.select(value=items.blocked_regions.unnest()))
        return Vocabulary(
            categories=_list(at, items.select(value=items.category)),
            subcategories=_list(at, items.select(value=items.subcategory)),
            languages=_list(at, items.select(value=items.language)),
            regions=_list(at, ibis.union(*regions)),
            account_types=_list(at, users.select(value=users.account_type)),
        )


def _list(engine: BaseBackend, values: Table) -> tuple[str, ...]:
    known = values.filter(values["value"].notnull() & values["value"].notin(NOT_A_VALUE))
    counts = engine.to_pyarrow(known.group_by("value").agg(count=known.count()))
    return ranked(dict(zip(counts["value"].to_pylist(), counts["count"].to_pylist(), strict=True)))
