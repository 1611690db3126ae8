from __future__ import annotations

import json
import math
import os
from pathlib import Path

import numpy as np
import pytest
import typer
from rich.console import Console
from typer.testing import CliRunner

from trident.items import COLUMNS, ItemColumns, blocked_words, write_items
from trident.running import RunningServer, announced
from trident_client.commands import register
from trident_client.errors import InvalidRequest, Unreachable
from trident_client.results import Recommendation, RecommendedItem
from trident_client.table import age_text, item_table, print_answer

NOW = 1_700_000_000
DAY = 86_400


@pytest.fixture(scope="module")
def items_folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("items")
    n = 2
    columns = {name: np.zeros(n, dtype) for name, dtype in COLUMNS.items()}
    columns |= {
        "features": np.zeros((n, 40)),
        "vectors": np.zeros((n, 128)),
        "category": np.array([1, -1]),
        "published_at": np.array([NOW - 12 * DAY, 0]),
        "blocked": blocked_words([[], []], 3),
        "popular": np.array([[0]]),
    }
    write_items(folder, ["u|0|2", "b"], ["A [red]film[/red]\x1b[31m", "Other"], ["news", "drama"], **columns)
    return folder


@pytest.fixture
def run(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "160")
    app = typer.Typer()
    app.callback()(lambda: None)
    register(app)
    return lambda *args: CliRunner().invoke(app, ["recommend", *args])


def _shown(answer: Recommendation, items: ItemColumns | None) -> str:
    console = Console(width=140)
    with console.capture() as capture:
        print_answer(answer, console, items, NOW)
    return capture.get()


def test_the_table_shows_text_as_it_is_and_steers_no_terminal(items_folder):
    items = RecommendedItem("u|0|2", 0.5), RecommendedItem("?", math.nan)
    answer = Recommendation("u", items, 4, {"a": 1000, "b": 2}, ())
    shown = _shown(answer, ItemColumns.open(items_folder))
    assert "A [red]film[/red]\N{REPLACEMENT CHARACTER}[31m" in shown
    assert "drama" in shown
    assert "12 d" in shown
    assert "0.5000" in shown
    assert "nan" not in shown
    assert "funnel    a 1,000 → b 2" in shown
    assert "release   4" in shown
    assert "degraded  no" in shown


def test_without_item_columns_the_table_has_no_texts():
    answer = Recommendation("u", (RecommendedItem("i", 0.5),), 4, {}, ("cold_start",))
    assert [c.header for c in item_table(answer).columns] == ["#", "item", "score"]
    assert "degraded  cold_start" in _shown(answer, None)


@pytest.mark.parametrize(("days", "text"), [(None, ""), (0.2, "0 d"), (12, "12 d"), (800, "2 y"), (10_000, "27 y")])
def test_an_age_is_told_in_days_and_then_in_years(days, text):
    assert age_text(days) == text


def test_recommend_prints_the_answer(run, server):
    done = run("u", "--url", server.grpc, "--limit", "2")
    assert done.exit_code == 0
    assert "u|1|2" in done.output
    assert "release   7" in done.output


def test_recommend_over_http_prints_json_with_texts(run, server, items_folder):
    done = run("u", "--http", "--url", server.http, "--limit", "2", "--json", "--items", str(items_folder))
    answer = json.loads(done.output)
    assert answer["items"][0]["category"] == "drama"
    assert "title" not in answer["items"][1]
    assert (answer["user_id"], answer["release"], answer["degraded"]) == ("u", 7, [])


def test_recommend_finds_the_texts_of_the_release_that_a_server_of_this_machine_serves(
    run, server, items_folder, tmp_path, monkeypatch
):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    items = tmp_path / "repository" / "business_rules" / "7" / "items"
    items.parent.mkdir(parents=True)
    items.symlink_to(items_folder)
    note = RunningServer(str(tmp_path / "repository"), server.http, server.grpc, "", os.getpid())
    with announced(note):
        assert "drama" in run("u", "--url", server.grpc, "--limit", "2").output


def test_no_record_reaches_the_server(run, server):
    assert "u|0|1|False" in run("u", "--url", server.grpc, "--limit", "1", "--no-record").output


def test_errors_are_left_to_the_command_line(run, free_port):
    assert isinstance(run("u", "--url", f"127.0.0.1:{free_port()}").exception, Unreachable)
    assert isinstance(run("u", "--limit", "0").exception, InvalidRequest)


def test_help_names_every_option(run):
    text = run("--help").output
    assert all(f"--{o}" in text for o in ("url", "http", "no-record", "limit", "items", "json", "deadline"))
