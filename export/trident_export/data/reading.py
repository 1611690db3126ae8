"""Turn tables of any source into the files of a dataset: types are checked, defaults filled, lost keys added.

A source is a DuckDB relation per table. Columns of JSON Lines come as JSON and are judged value by value; typed columns
are judged by their type first, so that well-typed Parquet is not scanned twice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import duckdb
from ibis.backends.duckdb import Backend

from trident.errors import InvalidInput
from trident_export.data.engine import local_engine
from trident_export.data.progress import advance, progress_bar
from trident_export.data.schema import (
    CONTROL,
    EVENTS,
    EXPECTED,
    FLAG,
    LONGEST_ID,
    REAL,
    TABLES,
    TEXT,
    TEXTS,
    TIME,
    WHOLE,
    Column,
    TableSpec,
)

Relation = duckdb.DuckDBPyRelation
Source = Callable[[Backend], Mapping[str, Relation]]

SQL_TYPES = {
    TEXT: "VARCHAR",
    WHOLE: "INTEGER",
    REAL: "DOUBLE",
    FLAG: "BOOLEAN",
    TIME: "TIMESTAMPTZ",
    TEXTS: "VARCHAR[]",
}
NUMBERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT")
REALS = ("FLOAT", "DOUBLE", "DECIMAL")
TIMES = ("TIMESTAMP", "DATE")
ACCEPTED = {
    TEXT: ("VARCHAR", "UUID", "ENUM", *NUMBERS),
    WHOLE: (*NUMBERS, *REALS, "VARCHAR"),
    REAL: (*NUMBERS, *REALS, "VARCHAR"),
    FLAG: ("BOOLEAN",),
    TIME: (*TIMES, *NUMBERS, *REALS, "VARCHAR"),
    TEXTS: ("VARCHAR[]",),
}
"""DuckDB types (by their beginning) that a typed source may have for each of ours."""


def write_tables(
    folder: Path, source: Source, *, names: Mapping[str, str] | None = None, keep_unknown: bool = True
) -> None:
    """Write what `source` gives for events, users and items to the Parquet files of a dataset in `folder`.

    `names` are the file names for error texts. With `keep_unknown`, users and items that appear in events alone get
    rows of defaults. Raises InvalidInput for a missing required column, a value of the wrong type, or a key that is
    null or stands twice.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with local_engine(folder) as engine, progress_bar("read", len(TABLES)) as progress:
        given = source(engine)
        if EVENTS.name not in given:
            raise InvalidInput("expected a table of events, got none")
        for table in TABLES:
            advance(progress, 0, f"read {table.name}")
            name = (names or {}).get(table.name, table.name)
            _write_table(engine, folder, table, given.get(table.name), name, keep_unknown)
            advance(progress)


def _write_table(
    engine: Backend, folder: Path, table: TableSpec, relation: Relation | None, name: str, keep_unknown: bool
) -> None:
    out = folder / f"{table.name}.parquet"
    try:
        query = _conformed(relation, table, name) if relation is not None else _empty(table)
        if table.key:
            engine.con.execute(f"CREATE OR REPLACE TEMP TABLE {table.name} AS {query}")
            _check_key(engine, table, name)
            query = f"SELECT * FROM {table.name}"
        if table.key and keep_unknown:
            query += f" UNION ALL {_from_events_alone(folder, table, listed=relation is not None)}"
        order = f"ORDER BY {table.key}" if table.key else ""
        engine.con.execute(f"COPY (SELECT * FROM ({query}) {order}) TO '{quoted(out)}' (FORMAT parquet)")
    except duckdb.Error as error:
        raise InvalidInput(f"{name}: cannot be read: {str(error).splitlines()[0]}") from None


def _conformed(relation: Relation, table: TableSpec, name: str) -> str:
    """SQL that selects the columns of `table` from `relation`, which is checked first."""
    relation.create_view(f"source_{table.name}", replace=True)
    types = dict(zip(relation.columns, map(str, relation.types), strict=True))
    for column in table.columns:
        if column.required and column.name not in types:
            found = ", ".join(types) or "none"
            raise InvalidInput(f"{name}: column '{column.name}' is missing; columns found: {found}")
        if column.name in types:
            _check_column(relation, column, types[column.name], name)
            _check_pattern(relation, column, types[column.name], name)
    values = (_with_default(column, _value(column, types.get(column.name))) for column in table.columns)
    return f"SELECT {', '.join(values)} FROM source_{table.name}"


def _check_column(relation: Relation, column: Column, got: str, name: str) -> None:
    expected = EXPECTED[column.type]
    if got not in ("JSON", '"NULL"') and not got.startswith(ACCEPTED[column.type]):
        raise InvalidInput(f"{name}: column '{column.name}': expected {expected}, got a column of {got}")
    if got != "JSON" and (column.type == TEXT or not got.startswith(("VARCHAR", *NUMBERS, *REALS))):
        return  # every value of such a column converts
    text = _text(column, got)
    wrong = f"{text} IS NOT NULL AND ({_value(column, got)} IS NULL OR {_wrong_json(column, got)})"
    rows = relation.project(f"row_number() OVER () AS row, {text} AS text, ({wrong}) AS wrong").filter("wrong")
    for row, text_found, _ in rows.limit(1).fetchall():
        raise InvalidInput(f"{name}: column '{column.name}', row {row}: expected {expected}, got {text_found[:80]!r}")


def _check_pattern(relation: Relation, column: Column, got: str, name: str) -> None:
    if not column.pattern:
        return
    value, pattern = _value(column, got), column.pattern
    if column.type == TEXTS:
        value, pattern = f"array_to_string({value}, ' ')", f"{pattern}( {pattern})*"
    rows = relation.project(f"row_number() OVER () AS row, {value} AS text")
    for row, text in rows.filter(f"NOT regexp_full_match(text, '({pattern})?')").limit(1).fetchall():
        expected = "two-letter ISO 3166 codes in capitals"
        raise InvalidInput(f"{name}: column '{column.name}', row {row}: expected {expected}, got {text[:80]!r}")


def _text(column: Column, got: str) -> str:
    return f"\"{column.name}\" ->> '$'" if got == "JSON" else f'"{column.name}"::VARCHAR'


def _wrong_json(column: Column, got: str) -> str:
    if got != "JSON":
        return "false"
    allowed = {TEXTS: "('ARRAY')", FLAG: "('BOOLEAN')"}.get(column.type)
    kind = f'json_type("{column.name}")'
    return f"{kind} NOT IN {allowed}" if allowed else f"{kind} IN ('ARRAY', 'OBJECT', 'BOOLEAN')"


def _value(column: Column, got: str | None) -> str:
    """SQL of the value in our type: null where it cannot be converted."""
    kind = SQL_TYPES[column.type]
    if got is None or got == '"NULL"':
        return f"NULL::{kind}"
    text = _text(column, got)
    if column.type == TIME:
        return f'"{column.name}"::{kind}' if got.startswith(TIMES) else _time(text)
    if column.type == WHOLE:
        number = f"TRY_CAST({text} AS DOUBLE)"
        return f"CASE WHEN {number} = floor({number}) THEN TRY_CAST({text} AS {kind}) END"
    return f'TRY_CAST("{column.name}" AS {kind})' if column.type == TEXTS else f"TRY_CAST({text} AS {kind})"


def _time(text: str) -> str:
    seconds = f"TRY_CAST({text} AS DOUBLE)"
    in_range = f"CASE WHEN abs({seconds}) < 1e11 THEN to_timestamp({seconds}) END"
    return f"COALESCE({in_range}, CASE WHEN {seconds} IS NULL THEN TRY_CAST({text} AS TIMESTAMPTZ) END)"


def _with_default(column: Column, value: str) -> str:
    if column.default is None:
        return f'{value} AS "{column.name}"'
    literal = "[]::VARCHAR[]" if column.type == TEXTS else f"'{column.default}'::{SQL_TYPES[column.type]}"
    return f'COALESCE({value}, {literal}) AS "{column.name}"'


def _empty(table: TableSpec) -> str:
    return f"SELECT {', '.join(_with_default(c, _value(c, None)) for c in table.columns)} LIMIT 0"


def _check_key(engine: Backend, table: TableSpec, name: str) -> None:
    rows = engine.con.execute(
        f"SELECT {table.key}, count(*) FROM {table.name} GROUP BY ALL"
        f" HAVING count(*) > 1 OR {table.key} IS NULL OR {table.key} = '' ORDER BY 1 LIMIT 1"
    ).fetchall()
    for key, count in rows:
        wrong = f"every id once, got {key!r} in {count} rows" if key else f"an id in every row, got {count} without one"
        raise InvalidInput(f"{name}: column '{table.key}': expected {wrong}")


def _from_events_alone(folder: Path, table: TableSpec, listed: bool) -> str:
    """SQL of rows of defaults for the keys that events name and the table does not have.

    An item that the source's own list of items lacks is not taken for one that can be had.
    """
    key = table.key
    values = {c.name: _with_default(c, _value(c, None)) for c in table.columns} | {key: key}
    if listed and "in_stock" in values:
        values["in_stock"] = "false AS in_stock"
    events = f"read_parquet('{quoted(folder / 'events.parquet')}')"
    return (
        f"SELECT {', '.join(values.values())} FROM"
        f" (SELECT DISTINCT {key} FROM {events} WHERE length({key}) BETWEEN 1 AND {LONGEST_ID}"
        f" AND NOT regexp_matches({key}, '{CONTROL}'))"
        f" WHERE {key} NOT IN (SELECT {key} FROM {table.name})"
    )


def quoted(path: Path) -> str:
    """A path as it stands between the single quotes of SQL."""
    return str(path).replace("'", "''")
