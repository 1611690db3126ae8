"""`trident items` over a real Redis and the items of a real release."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from trident.command_group import build
from trident.items import ItemColumns
from trident.live.state import LiveState
from trident.live.updates import STATES, ItemUpdates
from trident_export.publishing.publish import publish

runner = CliRunner()


@pytest.fixture(scope="module")
def repository(tiny_release: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("items") / "repository"
    publish(tiny_release, folder)
    return folder


@pytest.fixture
def run(repository: Path, updates: ItemUpdates, running):
    def run(*arguments: str, code: int = 0, given: str | None = None) -> str:
        where = ["--repository", str(repository), "--redis-url", running.url]
        result = runner.invoke(build(), ["items", *arguments, *where], input=given)
        assert result.exit_code == code, result.output
        return result.output

    return run


@pytest.fixture(scope="module")
def sold(tiny_release: Path) -> list[str]:
    """Three items that are in stock, not flagged and blocked nowhere."""
    items = ItemColumns.open(tiny_release / "items")
    free = items.in_stock & ~items.flagged & ~items.blocked.any(axis=1)
    return [item.decode() for item in items.ids.take(free.nonzero()[0][:3])]


def test_what_is_set_is_shown_beside_the_release(run, sold):
    assert run("set", *sold[:2], "--in-stock", "false", "--block", "FR", "--block", "DE") == "set 2 items\n"
    run("set", sold[0], "--unblock", "DE")
    shown = run("show", sold[0]).splitlines()
    assert shown[0].startswith(f"{sold[0]}: changed 20")
    assert [line.split() for line in shown[1:]] == [
        ["release", "1", "now"],
        ["in_stock", "true", "false"],
        ["flagged", "false", "false"],
        ["blocked", "nowhere", "FR"],
    ]
    told = json.loads(run("show", sold[1], sold[2], "--json"))
    assert told["release"] == 1
    assert told["items"][0]["live"] == {"in_stock": False, "flagged": False, "blocked": ["DE", "FR"]}
    assert told["items"][1]["changed"] is None
    assert told["items"][1]["live"] == told["items"][1]["in_release"]


def test_what_is_cleared_is_as_in_the_release(run, sold, updates):
    run("set", sold[0], "--flagged", "true")
    assert run("clear", sold[0]) == "cleared 1 item\n"
    assert "not changed" in run("show", sold[0])
    assert not updates.client.exists(STATES)


def test_lines_come_from_a_file_or_the_input(run, sold, updates, tmp_path):
    lines = f'{{"item_id": "{sold[0]}", "in_stock": false}}\n{{"item_id": "{sold[1]}", "block": ["FR"]}}\n'
    (tmp_path / "changes.jsonl").write_text(lines)
    assert json.loads(run("set", "--file", str(tmp_path / "changes.jsonl"), "--json")) == {"set": 2}
    run("set", "--file", "-", given=f'{{"item_id": "{sold[1]}", "flagged": true}}\n')
    first, second = updates.of(sold[:2])
    assert (first.in_stock, second.flagged, second.blocked) == (False, True, {"FR": True})


def test_an_unknown_item_is_refused_and_nothing_is_set(run, sold, updates):
    told = run("set", sold[0], "nobody has this", "--flagged", "true", code=1)
    assert "expected items of release 1, got 'nobody has this'; nothing was set" in told
    assert updates.all() == {}
    run("set", "nobody has this", "--flagged", "true", "--allow-unknown")
    assert "release 1 does not have it" in run("show", "nobody has this")


def test_what_the_release_says_by_itself_is_cleared_when_its_data_are_newer(run, sold, updates):
    updates.change(
        {
            sold[0]: LiveState(in_stock=True, at=1),
            sold[1]: LiveState(in_stock=False, at=1),
            sold[2]: LiveState(in_stock=True, at=4_000_000_000),
            "of a later release": LiveState(in_stock=True, at=1),
        }
    )
    assert run("clear", "--agreed") == "cleared 1 item\n"
    assert set(updates.all()) == {sold[1].encode(), sold[2].encode(), b"of a later release"}


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["set", "a"], 1, "nothing to set"),
        (["set", "a", "--block", "fr"], 1, "two-letter"),
        (["set", "a", "--block", "FR", "--unblock", "FR"], 1, "got both"),
        (["set", "", "--flagged", "true"], 1, "expected 1 to 128 bytes"),
        (["set", "--file", "/no/such/file"], 1, "No such file"),
        (["set", "--file", "x", "--flagged", "true"], 2, "name items and what to set, or a --file"),
        (["set"], 2, "name items and what to set, or a --file"),
        (["set", "a", "--in-stock", "maybe"], 2, "maybe"),
        (["clear"], 2, "name items, or --agreed"),
    ],
)
def test_wrong_use_says_what_is_expected(run, arguments, code, told):
    assert told in run(*arguments, code=code)


def test_without_a_server_or_an_address_the_message_says_what_to_do(repository):
    result = runner.invoke(build(), ["items", "show", "a", "--repository", str(repository)], env={"REDIS_URL": None})
    assert result.exit_code == 1
    assert "start one with `trident serve`" in result.output


def test_a_redis_that_is_gone_is_told(repository, sold):
    where = ["--repository", str(repository), "--redis-url", "redis://127.0.0.1:1"]
    result = runner.invoke(build(), ["items", "set", sold[0], "--flagged", "true", *where])
    assert result.exit_code == 1
    assert "Redis does not take or tell them" in result.output
