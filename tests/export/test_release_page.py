from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest

from trident.release import Release
from trident_export.release_charts import Line, lines
from trident_export.release_page import number, release_page, table


@pytest.fixture(scope="module")
def page(tiny_release: Path) -> str:
    return (tiny_release / "report.html").read_text("utf-8")


def test_the_page_is_a_listed_file_of_the_release(tiny_release: Path, page: str) -> None:
    manifest = Release.open(tiny_release).manifest
    assert "report.html" in manifest.files
    assert page == release_page(manifest.metrics, manifest.data["windows"])


def test_the_page_holds_every_method_slice_and_plot(tiny_release: Path, page: str) -> None:
    test = Release.open(tiny_release).manifest.metrics["test"]
    for name in (*test["methods"], *(n for n, s in test["slices"].items() if s["requests"])):
        assert name in page
    assert "Against the oracles" in page
    for about in (
        "Loss per epoch",
        "Validation recall per epoch",
        "Loss by number of trees",
        "Calibration",
        "Share of the gain",
    ):
        assert f'aria-label="{about}' in page


def test_without_an_oracle_the_page_says_nothing_of_it(tiny_release: Path) -> None:
    manifest = Release.open(tiny_release).manifest
    test = {**manifest.metrics["test"], "oracle": {}}
    page = release_page({**manifest.metrics, "test": test}, manifest.data["windows"])
    assert "Against the oracles" not in page
    assert "<th class=number>expected ndcg@20" not in page


def test_the_page_loads_nothing_and_closes_what_it_opens(page: str) -> None:
    assert not re.findall(r"https?://|<script|<link|src=|url\(", page)
    opened: list[str] = []

    class Balance(HTMLParser):
        def handle_starttag(self, tag: str, attrs: object) -> None:
            if tag != "meta":
                opened.append(tag)

        def handle_startendtag(self, tag: str, attrs: object) -> None:
            pass

        def handle_endtag(self, tag: str) -> None:
            assert opened.pop() == tag

    Balance().feed(page)
    assert opened == []


def test_lines_stay_inside_the_plot() -> None:
    drawn = lines([Line([(1, 0.5, "a"), (2, 0.25, "b"), (3, float("nan"), "c")], "kept")], "one & two")
    svg = ElementTree.fromstring(drawn)
    dots = [(float(c.get("cx", 0)), float(c.get("cy", 0))) for c in svg.iter("circle")]
    assert len(dots) == 2
    assert all(0 <= x <= 880 and 0 <= y <= 220 for x, y in dots)
    assert dots[0][1] < dots[1][1]  # more is higher


@pytest.mark.parametrize("points", [[(1, 0.7, "")], [(1, 3.0, ""), (1, 3.0, "")]])
def test_a_single_place_can_be_drawn(points: list[tuple[float, float, str]]) -> None:
    assert "nan" not in lines([Line(points, "kept")], "about")


def test_nothing_is_drawn_of_nothing() -> None:
    assert lines([Line([], "kept")], "about").startswith("<p>")


def test_tables_escape_names_and_numbers_show_their_interval() -> None:
    assert number(0.5, (0.25, 0.75)) == "0.500<small>0.250 … 0.750</small>"
    assert number(None) == ""
    assert "&lt;b&gt;" in table(["x"], [["<b>"]])
