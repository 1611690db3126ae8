"""Tables that an engine writes: one Parquet file for what goes on, whatever the engine's own way for what it keeps."""

from __future__ import annotations

import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from ibis.backends import BaseBackend
from ibis.expr.types import Table

ROWS_AT_ONCE = 1_000_000


def write_table(engine: BaseBackend, table: Table, path: Path, schema: pa.Schema) -> None:
    """Write `table`, which has the columns of `schema`, to the file `path` in the table's order.

    Spark's workers write a part each beside `path`; the parts are then strung together here, some rows at a time.
    """
    table = table.select(*schema.names)
    if engine.name == "duckdb":
        engine.to_parquet(table, path)
        return
    parts = path.resolve().with_name(f".{path.name}.parts")
    engine.to_parquet(table, parts)
    _strung(parts, path, schema)
    shutil.rmtree(parts)


def stored(engine: BaseBackend, table: Table, path: Path) -> Table:
    """Compute `table` once, to Parquet at `path`: a file of DuckDB, a folder of Spark, for this engine to read."""
    engine.to_parquet(table, path.resolve())
    return engine.read_parquet(path.resolve())


def _strung(parts: Path, path: Path, schema: pa.Schema) -> None:
    with pq.ParquetWriter(path, schema) as writer:
        for part in sorted(parts.glob("part-*.parquet"), key=lambda p: int(p.name.split("-")[1])):
            # Spark writes times as INT96 unless it is configured otherwise, and Arrow reads those as nanoseconds
            with pq.ParquetFile(part, coerce_int96_timestamp_unit="us") as file:
                for batch in file.iter_batches(ROWS_AT_ONCE):
                    writer.write_table(pa.Table.from_batches([batch]).cast(schema))
