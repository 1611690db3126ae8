"""A dataset: three Parquet files in a folder, and what a synthetic one knows about its own truth."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from trident.errors import InvalidInput
from trident_export.data.schema import EVENTS, ITEMS, TABLES, USERS, TableSpec

TRUTH = "truth.npz"


@dataclass(frozen=True)
class Dataset:
    """Events, users and items as Parquet files with exactly the columns of `schema`, in `folder`."""

    folder: Path

    @property
    def events(self) -> Path:
        """The events, in no promised order before validation, sorted by timestamp after it."""
        return self.path(EVENTS)

    @property
    def users(self) -> Path:
        """The users, one row each."""
        return self.path(USERS)

    @property
    def items(self) -> Path:
        """The items, one row each."""
        return self.path(ITEMS)

    @property
    def truth(self) -> Path | None:
        """The planted truth of a synthetic dataset, see `trident_export.data.truth`; None for real data."""
        path = self.folder / TRUTH
        return path if path.is_file() else None

    def path(self, table: TableSpec) -> Path:
        """The file of one table."""
        return self.folder / f"{table.name}.parquet"

    @classmethod
    def open(cls, folder: Path | str) -> Dataset:
        """Open a folder with the three files and their columns; InvalidInput names what is missing or differs."""
        dataset = cls(Path(folder))
        for table in TABLES:
            _check(dataset.path(table), table)
        return dataset

    @classmethod
    def write(
        cls, folder: Path, events: pa.Table, users: pa.Table | None = None, items: pa.Table | None = None
    ) -> Dataset:
        """Write tables as a dataset: columns and rows that are missing get their defaults, as for `files.load`."""
        from trident_export.data.reading import write_tables

        tables = {EVENTS.name: events, USERS.name: users, ITEMS.name: items}
        given = {name: table for name, table in tables.items() if table is not None}
        write_tables(folder, lambda engine: {name: engine.con.from_arrow(table) for name, table in given.items()})
        return cls(folder)


def _check(path: Path, table: TableSpec) -> None:
    if not path.is_file():
        raise InvalidInput(f"{path}: expected the {table.name} of a dataset, got no such file")
    try:
        found = pq.read_schema(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise InvalidInput(f"{path}: expected Parquet, got a file that cannot be read: {error}") from None
    for column in table.columns:
        got = found.field(column.name).type if column.name in found.names else "no such column"
        if got != column.type:
            raise InvalidInput(f"{path}: column '{column.name}': expected {column.type}, got {got}")
