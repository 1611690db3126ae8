"""Your own data: a folder with `events`, `users` and `items`, each as `.jsonl` or `.parquet`.

Only events are needed, and of them only `user_id`, `item_id` and `timestamp`; `schema` documents what stands in for the
rest. A `.parquet` may also be a folder of part files. Columns that `schema` does not name are left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ibis.backends.duckdb import Backend

from trident.errors import InvalidInput
from trident_export.data.dataset import Dataset
from trident_export.data.reading import Relation, quoted, write_tables
from trident_export.data.schema import EVENTS, TABLES, TableSpec

SUFFIXES = (".parquet", ".jsonl")


def load(path: Path, out: Path, *, keep_unknown: bool = True) -> Dataset:
    """Read the tables in the folder `path` and write them to `out` as a dataset.

    Users and items that appear in events alone are kept as rows of defaults; with `keep_unknown=False` they are not,
    and the rules of validation can reject their events. Raises InvalidInput that names file, column, expected and got.
    """
    path, out = Path(path), Path(out)
    if not path.is_dir():
        raise InvalidInput(f"{path}: expected a folder with events.jsonl or events.parquet, got no folder")
    if path.resolve() == out.resolve():
        raise InvalidInput(f"{out}: expected another folder than the one that is read; its files would be overwritten")
    found = {table.name: file for table in TABLES if (file := _find(path, table)) is not None}
    if EVENTS.name not in found:
        got = ", ".join(sorted(p.name for p in path.iterdir())[:10]) or "nothing"
        raise InvalidInput(f"{path}: expected events.jsonl or events.parquet, got {got}")
    labels = {table: str(file) for table, file in found.items()}
    write_tables(out, lambda engine: _relations(engine, found), names=labels, keep_unknown=keep_unknown)
    return Dataset(out)


def _find(folder: Path, table: TableSpec) -> Path | None:
    found = [file for suffix in SUFFIXES if (file := folder / f"{table.name}{suffix}").exists()]
    if len(found) > 1:
        raise InvalidInput(f"{folder}: expected {table.name} once, got {' and '.join(f.name for f in found)}; keep one")
    return found[0] if found else None


def _relations(engine: Backend, found: Mapping[str, Path]) -> dict[str, Relation]:
    tables = {table.name: table for table in TABLES}
    return {name: _relation(engine, file, tables[name]) for name, file in found.items()}


def _relation(engine: Backend, file: Path, table: TableSpec) -> Relation:
    import duckdb

    try:
        if file.suffix == ".parquet":
            parts = quoted(file / "*.parquet" if file.is_dir() else file)
            return engine.con.sql(f"SELECT * FROM read_parquet('{parts}')")
        return _json_lines(engine, file, table)
    except duckdb.Error as error:
        raise InvalidInput(f"{file}: cannot be read: {str(error).splitlines()[0]}") from None


def _json_lines(engine: Backend, file: Path, table: TableSpec) -> Relation:
    # A key that stands in no line reads as nulls, so only what is required has to be looked for.
    columns = ", ".join(f"'{name}': 'JSON'" for name in table.names)
    read = f"read_json('{quoted(file)}', format = 'newline_delimited', columns = {{{columns}}})"
    rows = engine.con.sql(f"SELECT * FROM {read}")
    required = [c.name for c in table.columns if c.required]
    counts = rows.aggregate(", ".join(["count(*)", *(f"count({name})" for name in required)])).fetchall()[0]
    missing = [name for name, count in zip(required, counts[1:], strict=True) if counts[0] and not count]
    return rows.project(", ".join(name for name in table.names if name not in missing))
