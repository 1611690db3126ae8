"""Tables of users and items that hold every id of the clean events."""

from __future__ import annotations

import shutil
from pathlib import Path

import ibis
from ibis import _
from ibis.backends import BaseBackend
from ibis.expr.types import Value
from ibis.formats.pyarrow import PyArrowType

from trident_export.data.dataset import Dataset
from trident_export.data.schema import Column, TableSpec
from trident_export.data.tables import write_table


def completed(engine: BaseBackend, table: TableSpec, source: Path, out: Dataset) -> None:
    """Write the table at `source` to `out`, with rows of defaults for ids that only the events of `out` name."""
    given = engine.read_parquet(source)
    missing = engine.read_parquet(out.events).select(table.key).distinct().anti_join(given, table.key)
    if not engine.to_pyarrow(missing.count()).as_py():
        shutil.copyfile(source, out.path(table))
        return
    columns = {c.name: _[c.name] if c.name == table.key else _default(c) for c in table.columns}
    rows = given.select(*table.names).union(missing.select(**columns))
    write_table(engine, rows.order_by(table.key), out.path(table), table.arrow)


def _default(column: Column) -> Value:
    default = False if column.name == "in_stock" else column.default  # not in the list, so not to be had
    return ibis.literal(default, PyArrowType.to_ibis(column.type))
