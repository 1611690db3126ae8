"""The documentation page of the data columns, written from the schema."""

from __future__ import annotations

from trident_export.data.schema import EXPECTED, TABLES, Column, TableSpec

_HEAD = """# The data

Written by `python -m trident_export.data` from `export/trident_export/data/schema.py`.

`trident build --source files --path FOLDER` reads a folder with `events`, `users` and `items` as `.jsonl` or
`.parquet`. Only `events` must be there, with its required columns; other columns and nulls get the default. Items and
users that appear in events alone are kept, with the defaults; where there is a table of items, an item that it lacks is
out of stock. Timestamps are ISO 8601, UTC unless they say otherwise,
or unix seconds. `trident data validate FOLDER` says what is wrong with the events and where each rejected row went.
"""


def page() -> str:
    """The page as Markdown: a table per table."""
    return "\n".join([_HEAD, *map(_table, TABLES)])


def _table(table: TableSpec) -> str:
    head = f"## {table.name}\n\n| column | type | default | |\n|---|---|---|---|\n"
    return head + "".join(map(_line, table.columns))


def _line(column: Column) -> str:
    return f"| {column.name} | {EXPECTED[column.type].split(' (')[0]} | {_default(column)} | {column.doc} |\n"


def _default(column: Column) -> str:
    if column.required:
        return "required"
    if column.default in (None, ""):
        return "null" if column.default is None else "empty"
    return "none" if column.default == () else str(column.default).lower()
