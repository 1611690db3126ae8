from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from trident.errors import InvalidInput
from trident_export.data import movielens
from trident_export.data.movielens_layouts import GENRES

FLAGS = "|".join("1" if g in ("Animation", "Children's", "Comedy") else "0" for g in GENRES)
LAYOUTS = {
    "atomic": {
        "ml.inter": "user_id:token\titem_id:token\trating:float\ttimestamp:float\n1\t10\t4\t100\n2\t11\t3\t50\n",
        "ml.item": "item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq\n"
        "10\tToy Story\t1995\tAnimation Children's Comedy\n11\tAmélie\tV\tDrama\n",
        "ml.user": "user_id:token\tage:token\tgender:token\toccupation:token\tzip_code:token\n"
        "1\t24\tM\twriter\t85711\n",
    },
    "u.data": {
        "u.data": "1\t10\t4\t100\n2\t11\t3\t50\n",
        "u.item": f"10|Toy Story (1995)|01-Jan-1995||http://x|{FLAGS}\n"
        f"11|Amélie|||http://x|{'|'.join('1' if g == 'Drama' else '0' for g in GENRES)}\n",
        "u.user": "1|24|M|writer|85711\n",
    },
    "ratings.dat": {
        "ratings.dat": "1::10::4::100\n2::11::3::50\n",
        "movies.dat": "10::Toy Story (1995)::Animation|Children's|Comedy\n11::Amélie::Drama\n",
        "users.dat": "1::M::24::20::85711\n",
    },
    "ratings.csv": {
        "ratings.csv": "userId,movieId,rating,timestamp\n1,10,4.0,100\n2,11,3.5,50\n",
        "movies.csv": 'movieId,title,genres\n10,"Toy Story (1995)",Animation|Children\'s|Comedy\n11,Amélie,Drama\n',
    },
}


def write(folder: Path, layout: str) -> Path:
    for name, text in LAYOUTS[layout].items():
        (folder / name).write_bytes(text.encode("latin-1" if name in ("u.item", "movies.dat") else "utf-8"))
    return folder


def rows(path: Path) -> list[dict]:
    return pq.read_table(path).to_pylist()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_the_same_events_and_films(tmp_path, layout):
    dataset = movielens.load(write(tmp_path, layout), tmp_path / "out")
    events = [
        (e["user_id"], e["item_id"], int(e["timestamp"].timestamp()), e["event_type"]) for e in rows(dataset.events)
    ]
    assert events == [("2", "11", 50, "view"), ("1", "10", 100, "view"), ("1", "10", 100, "click")]
    toy, amelie = rows(dataset.items)
    assert (toy["title"], toy["category"], toy["subcategory"]) == ("Toy Story", "Animation", "Children's")
    assert toy["tags"] == ["Animation", "Children's", "Comedy"]
    assert toy["published_at"].isoformat() == "1995-01-01T00:00:00+00:00"
    assert (amelie["title"], amelie["category"], amelie["subcategory"]) == ("Amélie", "Drama", "Drama")
    assert amelie["published_at"] is None


@pytest.mark.parametrize("layout", LAYOUTS)
def test_raters_without_a_user_row_are_kept(tmp_path, layout):
    dataset = movielens.load(write(tmp_path, layout), tmp_path / "out")
    known, rated = rows(dataset.users)
    if layout != "ratings.csv":
        assert (known["age"], known["account_type"]) == (24, "writer")
    assert (rated["user_id"], rated["age"], rated["account_type"], rated["region"]) == ("2", None, "unknown", "US")


def test_an_unknown_layout_lists_the_accepted_ones(tmp_path):
    (tmp_path / "films.txt").touch()
    with pytest.raises(InvalidInput, match=r"\*\.inter, .*u\.data.*ratings\.dat.*ratings\.csv.*got films\.txt"):
        movielens.load(tmp_path, tmp_path / "out")


def test_a_missing_path_lists_the_accepted_layouts(tmp_path):
    with pytest.raises(InvalidInput, match=r"ratings\.csv, movies\.csv.*got no folder"):
        movielens.load(tmp_path / "nowhere", tmp_path / "out")


def test_a_rating_that_is_no_number_names_the_file(tmp_path):
    (tmp_path / "u.data").write_text("1\t10\tfour\t100\n")
    with pytest.raises(InvalidInput, match=r"u\.data: cannot be read: .*four"):
        movielens.load(tmp_path, tmp_path / "out")


def test_a_foreign_header_is_refused(tmp_path):
    (tmp_path / "x.inter").write_text("a:token\tb:token\n1\t2\n")
    with pytest.raises(InvalidInput, match=r"x\.inter: expected a header of 4 columns that starts with 'user_id'"):
        movielens.load(tmp_path, tmp_path / "out")
