"""The files of each MovieLens layout: how they are cut into columns and how ours come out of them.

`ratings` give user_id, item_id, rating, seconds; `items` give item_id, title, year (text), genres (list); `users` give
user_id, age, account_type.
"""

from __future__ import annotations

from dataclasses import dataclass

GENRES = (
    "unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary", "Drama", "Fantasy",
    "Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War", "Western",
)  # fmt: skip
"""The 19 flags of u.item, in order."""

OCCUPATIONS = (
    "other", "academic/educator", "artist", "clerical/admin", "college/grad student", "customer service",
    "doctor/health care", "executive/managerial", "farmer", "homemaker", "K-12 student", "lawyer", "programmer",
    "retired", "sales/marketing", "scientist", "self-employed", "technician/engineer", "tradesman/craftsman",
    "unemployed", "writer",
)  # fmt: skip
"""What the numbers in users.dat mean."""


@dataclass(frozen=True)
class TextFile:
    """One text file; `name` may be a pattern, `select` is SQL over `columns`."""

    name: str
    delimiter: str
    columns: tuple[str, ...]
    select: str = "*"
    header_starts: str = ""  # the first name of the header, "" for no header
    quote: str = ""
    has_titles: bool = False  # and so may be Latin-1

    @property
    def header(self) -> bool:
        """Whether the first line names the columns."""
        return bool(self.header_starts)


@dataclass(frozen=True)
class Layout:
    """The files of one layout; `users` is None where there are none. Files of items and users may be missing."""

    ratings: TextFile
    items: TextFile
    users: TextFile | None = None


RATING = ("user_id", "item_id", "rating", "seconds")
TITLE = r"trim(regexp_replace(title, '\s*\(\d{4}\)\s*$', '')) AS title"
YEAR_IN_TITLE = r"regexp_extract(title, '\((\d{4})\)\s*$', 1)"
PIPED = f"item_id, {TITLE}, {YEAR_IN_TITLE} AS year, string_split(genres, '|') AS genres"
# One year of the atomic file is "V", cut out of "Land Before Time III"; its title still holds the right one.
ATOMIC = (
    rf"item_id, {TITLE}, CASE WHEN regexp_full_match(year, '\d{{4}}') THEN year ELSE {YEAR_IN_TITLE} END AS year,"
    " string_split(genres, ' ') AS genres"
)


def _flagged() -> str:
    genres = (genre.replace("'", "''") for genre in GENRES)
    flags = (f"CASE WHEN flag{i} = '1' THEN '{genre}' ELSE '' END" for i, genre in enumerate(genres))
    return f"item_id, {TITLE}, right(date, 4) AS year, [{', '.join(flags)}] AS genres"


def _person_by_number() -> str:
    cases = " ".join(f"WHEN '{number}' THEN '{name}'" for number, name in enumerate(OCCUPATIONS))
    # Ages are the lower ends of brackets, and the lowest, "under 18", is written as 1.
    age = "CASE WHEN age = '1' THEN '17' ELSE age END AS age"
    return f"user_id, {age}, CASE occupation {cases} ELSE occupation END AS account_type"


PERSON = "user_id, age, occupation AS account_type"

ATOMIC_FILES = Layout(
    TextFile("*.inter", "\t", RATING, header_starts="user_id"),
    TextFile("*.item", "\t", ("item_id", "title", "year", "genres"), ATOMIC, "item_id", has_titles=True),
    TextFile("*.user", "\t", ("user_id", "age", "gender", "occupation", "zip"), PERSON, "user_id"),
)
U_DATA = Layout(
    TextFile("u.data", "\t", RATING),
    TextFile(
        "u.item",
        "|",
        ("item_id", "title", "date", "video", "url", *(f"flag{i}" for i in range(len(GENRES)))),
        _flagged(),
        has_titles=True,
    ),
    TextFile("u.user", "|", ("user_id", "age", "gender", "occupation", "zip"), PERSON),
)
RATINGS_DAT = Layout(
    TextFile("ratings.dat", "::", RATING),
    TextFile("movies.dat", "::", ("item_id", "title", "genres"), PIPED, has_titles=True),
    TextFile("users.dat", "::", ("user_id", "gender", "age", "occupation", "zip"), _person_by_number()),
)
RATINGS_CSV = Layout(
    TextFile("ratings.csv", ",", RATING, header_starts="userid", quote='"'),
    TextFile("movies.csv", ",", ("item_id", "title", "genres"), PIPED, "movieid", quote='"', has_titles=True),
)
LAYOUTS = (ATOMIC_FILES, U_DATA, RATINGS_DAT, RATINGS_CSV)
