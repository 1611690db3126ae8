"""Which release served before which, from what was done."""

from __future__ import annotations

from pathlib import Path

import pytest

from trident_export.publishing import history, places
from trident_export.publishing.journal import Intent


def done(act: str, release: int) -> history.Line:
    return {"act": act, "release": release}


def publishes(*numbers: int) -> list[history.Line]:
    return [done("publish", n) for n in numbers]


@pytest.mark.parametrize(
    ("lines", "served"),
    [
        ([], []),
        (publishes(1, 2, 3), [1, 2, 3]),
        ([*publishes(1, 2, 3), done("rollback", 2)], [1, 2]),
        ([*publishes(1, 2, 3), done("rollback", 1)], [1]),
        ([*publishes(1, 2), done("rollback", 1), done("rollback", 2)], [1, 2]),
        ([*publishes(1, 2), done("rollback", 1), done("publish", 3)], [1, 3]),
        ([*publishes(1), done("hold", 2), done("promote", 2)], [1, 2]),
        ([*publishes(1), done("hold", 2), done("canary", 2), done("taken back", 3)], [1]),
    ],
)
def test_what_led_to_the_serving_release_is_a_stack(lines, served):
    assert history.served(lines) == served


def test_a_held_release_is_held_until_it_serves_and_a_withdrawn_one_served():
    lines = [*publishes(1, 2), done("hold", 3)]
    assert history.held(lines) == {3}
    assert history.held([*lines, done("promote", 3)]) == set()
    assert history.withdrawn(lines) == set()
    assert history.withdrawn([*lines, done("rollback", 1)]) == {2}


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    (tmp_path / "repository").mkdir()
    return tmp_path / "repository"


def write(repository: Path, *acts: tuple[str, int]) -> None:
    for n, (act, release) in enumerate(acts):
        history.record(repository, Intent(str(n), act, release, None, "me@here", ""))


def test_the_predecessor_is_what_served_before_and_is_there(repository):
    write(repository, ("publish", 1), ("publish", 2), ("publish", 3), ("rollback", 1), ("publish", 4))
    assert history.predecessor(repository, 4, {1, 3, 4}) == 1
    assert history.predecessor(repository, 4, {3, 4}) is None
    assert history.predecessor(repository, 1, {1, 3, 4}) is None


def test_without_a_history_the_newest_older_release_is_the_predecessor(repository):
    assert history.predecessor(repository, 7, {5, 6, 7, 9}) == 6
    write(repository, ("publish", 8))
    assert history.predecessor(repository, 8, {6, 7, 8}) == 7


def test_a_line_is_written_once_and_a_torn_one_is_passed_over(repository):
    write(repository, ("publish", 1))
    path = places.beside(repository, "history.jsonl")
    with path.open("a") as file:
        file.write('{"act": "publi')
    write(repository, ("publish", 1), ("publish", 2))
    assert [(line["act"], line["release"]) for line in history.read(repository)] == [("publish", 1), ("publish", 2)]


def test_a_number_is_never_used_again(repository):
    assert history.next_number(repository) == 1
    (repository / "ranker" / "3").mkdir(parents=True)
    assert history.next_number(repository) == 4
    write(repository, ("publish", 8))
    assert history.next_number(repository) == 9
