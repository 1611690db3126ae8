"""MovieLens in the layouts in which it goes around.

A rating is a view; 4 and more is also a click with the same timestamp. Of films: title, genres as category (the first),
subcategory (the second, or the first again) and tags (all); `published_at` is 1 January of the release year. Of users:
age, and the occupation as `account_type`, the column for the kind of user. Gender has no column. A zip code does not
name a country, so `region` is US, where MovieLens is run. Durations, devices and locations are unknown.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import duckdb
from ibis.backends.duckdb import Backend

from trident.errors import InvalidInput
from trident_export.data.dataset import Dataset
from trident_export.data.movielens_layouts import LAYOUTS, Layout, TextFile
from trident_export.data.reading import Relation, quoted, write_tables
from trident_export.data.rules import ValidationRules

RULES = ValidationRules(max_age_days=None, max_events_per_day=10_000)
"""Validation for MovieLens: it spans years, and people rated whole catalogues in one sitting."""

LIKED = 4
REGION = "US"
NO_GENRE = "('unknown', '(no genres listed)', '')"


def load(path: Path, out: Path) -> Dataset:
    """Read the MovieLens folder `path`, whichever layout it has, and write it to `out` as a dataset.

    Films and users that are only rated keep rows of defaults. Raises InvalidInput for an unknown layout, with the list
    of the known ones, and for a file whose values are not what its layout says.
    """
    path, out = Path(path), Path(out)
    layout = _detect(path)
    names = {"events": str(_find(path, layout.ratings))}
    try:
        write_tables(out, lambda engine: _relations(engine, path, layout), names=names)
    except duckdb.Error as error:
        raise InvalidInput(f"{path}: cannot be read as MovieLens: {str(error).splitlines()[0]}") from None
    return Dataset(out)


def _detect(path: Path) -> Layout:
    accepted = "; ".join(", ".join(f.name for f in (y.ratings, y.items, y.users) if f is not None) for y in LAYOUTS)
    if not path.is_dir():
        raise InvalidInput(f"{path}: expected a folder with MovieLens files ({accepted}), got no folder")
    for layout in LAYOUTS:
        if _find(path, layout.ratings) is not None:
            return layout
    names = ", ".join(sorted(p.name for p in path.iterdir())[:10]) or "nothing"
    raise InvalidInput(f"{path}: expected MovieLens files in one of these layouts: {accepted}; got {names}")


def _find(path: Path, file: TextFile) -> Path | None:
    found = sorted(path.glob(file.name))
    if len(found) > 1:
        raise InvalidInput(f"{path}: expected one {file.name}, got {', '.join(f.name for f in found)}")
    return found[0] if found else None


def _relations(engine: Backend, path: Path, layout: Layout) -> Mapping[str, Relation]:
    _view(engine, path, layout.ratings, "ratings")
    relations = {"events": _events(engine), "users": _users(engine, path, layout)}
    if _view(engine, path, layout.items, "films"):
        relations["items"] = _films(engine)
    return relations


def _view(engine: Backend, path: Path, file: TextFile | None, name: str) -> bool:
    """Make a view of what a file holds, as its layout selects it; False when there is no such file."""
    found = None if file is None else _find(path, file)
    if file is None or found is None:
        return False
    if file.header:
        _check_header(found, file)
    columns = ", ".join(f"'{column}': 'VARCHAR'" for column in file.columns)
    engine.con.execute(
        f"CREATE VIEW {name} AS SELECT {file.select} FROM read_csv('{quoted(found)}', delim = '{file.delimiter}',"
        f" header = {file.header}, columns = {{{columns}}}, quote = '{file.quote}', escape = '{file.quote}',"
        f" encoding = '{_encoding(found, file)}', auto_detect = false)"
    )
    return True


def _check_header(found: Path, file: TextFile) -> None:
    with found.open("rb") as lines:
        first = lines.readline().decode("utf-8", "replace").strip()
    names = [name.split(":")[0] for name in first.split(file.delimiter)]
    if len(names) != len(file.columns) or names[0].lower() != file.header_starts:
        expected = f"a header of {len(file.columns)} columns that starts with '{file.header_starts}'"
        raise InvalidInput(f"{found}: expected {expected}, got {first!r}")


def _encoding(found: Path, file: TextFile) -> str:
    if not file.has_titles:
        return "utf-8"
    try:
        found.read_text("utf-8")
    except UnicodeDecodeError:
        return "latin-1"
    return "utf-8"


def _events(engine: Backend) -> Relation:
    columns = "user_id, item_id, to_timestamp(CAST(seconds AS DOUBLE)) AS timestamp"
    return engine.con.sql(
        f"SELECT * FROM (SELECT {columns}, 'view' AS event_type FROM ratings UNION ALL"
        f" SELECT {columns}, 'click' AS event_type FROM ratings WHERE CAST(rating AS DOUBLE) >= {LIKED})"
        " ORDER BY timestamp, event_type DESC, user_id, item_id"
    )


def _users(engine: Backend, path: Path, layout: Layout) -> Relation:
    raters = "SELECT DISTINCT user_id FROM ratings WHERE user_id IS NOT NULL"
    if not _view(engine, path, layout.users, "people"):
        return engine.con.sql(f"SELECT user_id, '{REGION}' AS region FROM ({raters})")
    return engine.con.sql(
        f"SELECT user_id, age, account_type, '{REGION}' AS region"
        f" FROM (SELECT * FROM people UNION ALL BY NAME ({raters} AND user_id NOT IN (SELECT user_id FROM people)))"
    )


def _films(engine: Backend) -> Relation:
    known = f"list_filter(genres, lambda genre: genre NOT IN {NO_GENRE})"
    return engine.con.sql(
        "SELECT item_id, title, tags[1] AS category, COALESCE(tags[2], tags[1]) AS subcategory, tags,"
        " CASE WHEN regexp_full_match(year, '\\d{4}') THEN make_timestamp(CAST(year AS INTEGER), 1, 1, 0, 0, 0.0) END"
        f" AS published_at FROM (SELECT item_id, title, year, {known} AS tags FROM films)"
    )
