"""Feedback from the stream of a real Redis into files: each entry once, whatever happens in between."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
from collections import Counter
from datetime import datetime, timezone
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from trident.command_group import build as command_line
from trident.errors import InvalidInput, Unavailable
from trident.settings import Settings
from trident.state.feedback import STREAM, Event, FeedbackStore
from trident_export import stream_pull
from trident_export.data.files import load
from trident_export.data.schema import EVENTS
from trident_export.feedback_pull import FeedbackSource, pull
from trident_export.stream_pull import START

NOON = 1_780_000_000


@pytest.fixture
def tell(client):
    store = FeedbackStore(client, 10_000)
    return lambda *numbers: store.keep([Event(f"u{n}", f"i{n}", "click", NOON + n) for n in numbers])


def users(out: Path) -> list[str]:
    """The users of all events in the folder, one per event."""
    return sorted(u for part in (out / "events.parquet").glob("*") for u in pq.read_table(part)["user_id"].to_pylist())


def test_an_event_comes_out_with_all_that_was_told(embedded, client, tmp_path):
    store = FeedbackStore(client, 10)
    store.keep([Event("ü", "i 1", "purchase", NOON, "tv", "DE", 12.5), Event("u", "i", "view", NOON + 1)])
    pulled = pull(embedded.url, tmp_path)
    assert (pulled.rows, pulled.parts, pulled.gap) == (2, 1, False)
    [part] = pulled.folder.iterdir()
    assert part.name == f"feedback-{pulled.last}.parquet"
    table = pq.read_table(part)
    assert table.schema == EVENTS.arrow
    time = datetime.fromtimestamp(NOON, timezone.utc)
    assert list(table.to_pylist()[0].values()) == ["ü", "i 1", time, "purchase", 12.5, "tv", "DE"]
    assert list(table.to_pylist()[1].values())[4:] == [None, None, None]


def test_pulled_twice_is_each_event_once(embedded, tell, tmp_path):
    tell(1, 2)
    pull(embedded.url, tmp_path)
    again = pull(embedded.url, tmp_path)
    assert (again.rows, again.parts) == (0, 0)
    tell(3)
    assert pull(embedded.url, tmp_path).rows == 1
    assert users(tmp_path) == ["u1", "u2", "u3"]


def test_many_events_become_parts_of_bounded_size(embedded, tell, tmp_path, monkeypatch):
    monkeypatch.setattr(FeedbackSource, "batch", 4)
    tell(*range(10))
    told: list[int] = []
    assert pull(embedded.url, tmp_path, told.append).parts == 3
    assert told == [4, 8, 10]
    assert len(users(tmp_path)) == 10


def test_a_pull_that_is_stopped_after_a_part_goes_on_there(embedded, tell, tmp_path, monkeypatch):
    monkeypatch.setattr(FeedbackSource, "batch", 4)
    tell(*range(10))

    def stop(events: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pull(embedded.url, tmp_path, stop)
    assert len(users(tmp_path)) == 4
    assert pull(embedded.url, tmp_path).rows == 6
    assert Counter(users(tmp_path)) == Counter(f"u{n}" for n in range(10))


def test_a_pull_that_is_killed_while_it_writes_loses_and_repeats_nothing(embedded, tell, tmp_path):
    tell(*range(10))
    program = (
        "import os, signal, sys; from trident_export import feedback_pull as f, stream_pull as s\n"
        "f.FeedbackSource.batch = 4; write = s.pq.write_table\n"
        "def half(table, file, **options):\n"
        "    write(table, file, **options); file.flush()\n"
        "    if table['user_id'][0].as_py() == 'u4': os.kill(os.getpid(), signal.SIGKILL)\n"
        "s.pq.write_table = half; f.pull(sys.argv[1], sys.argv[2])"
    )
    killed = subprocess.run([sys.executable, "-c", program, embedded.url, str(tmp_path)])
    assert killed.returncode == -signal.SIGKILL
    assert (tmp_path / "events.parquet" / stream_pull.DRAFT).exists()
    assert pull(embedded.url, tmp_path).rows == 6
    assert Counter(users(tmp_path)) == Counter(f"u{n}" for n in range(10))
    assert not (tmp_path / "events.parquet" / stream_pull.DRAFT).exists()


def test_two_pulls_at_once_are_refused(embedded, tell, tmp_path):
    tell(1)
    pull(embedded.url, tmp_path)
    handle = os.open(tmp_path / "events.parquet", os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    try:
        with pytest.raises(InvalidInput, match="expected to be the only pull into it, got another one under way"):
            pull(embedded.url, tmp_path)
    finally:
        os.close(handle)


def test_a_stream_that_dropped_what_was_not_pulled_is_told(embedded, client, tell, tmp_path):
    tell(1, 2)
    assert not pull(embedded.url, tmp_path).gap
    tell(3, 4, 5)
    client.xtrim(STREAM, maxlen=2, approximate=False)
    pulled = pull(embedded.url, tmp_path)
    assert pulled.gap
    assert users(tmp_path) == ["u1", "u2", "u4", "u5"]
    assert not pull(embedded.url, tmp_path).gap


def test_the_stream_is_bounded_by_the_environment(embedded, client, monkeypatch):
    monkeypatch.setenv("REDIS_URL", embedded.url)
    monkeypatch.setenv("FEEDBACK_EVENTS", "200")
    store = FeedbackStore.connect(Settings.from_environment())
    for start in range(0, 2_000, 50):
        store.keep([Event(f"u{n}", "i", "view", NOON) for n in range(start, start + 50)])
    assert 200 <= client.xlen(STREAM) <= 400


def test_an_empty_stream_makes_no_file(embedded, client, tmp_path):
    pulled = pull(embedded.url, tmp_path)
    assert (pulled.rows, pulled.parts, pulled.last, pulled.gap) == (0, 0, START, False)
    assert list(pulled.folder.iterdir()) == []


def test_entries_that_nobody_can_read_reach_validation_as_nulls(embedded, client, tmp_path):
    client.xadd(STREAM, {"user_id": b"\xff", "timestamp": "soon", "duration_seconds": "nan", "other": "x"})
    client.xadd(STREAM, {"user_id": "u", "item_id": "i", "timestamp": "1e300"})
    rows = pq.read_table(pull(embedded.url, tmp_path).folder).to_pylist()
    assert [(row["item_id"], row["timestamp"]) for row in rows] == [(None, None), ("i", None)]


def test_older_events_may_lie_beside_the_parts_and_everything_is_read_as_one_source(embedded, tell, tmp_path):
    tell(1, 2)
    folder = pull(embedded.url, tmp_path / "mine").folder
    (folder / "history.parquet").write_bytes(next(folder.iterdir()).read_bytes())
    tell(3)
    pull(embedded.url, tmp_path / "mine")
    dataset = load(tmp_path / "mine", tmp_path / "out")
    assert sorted(pq.read_table(dataset.events)["user_id"].to_pylist()) == ["u1", "u1", "u2", "u2", "u3"]


@pytest.mark.parametrize("name", ["events.parquet", "events.jsonl"])
def test_a_folder_with_events_in_one_file_is_refused(embedded, tmp_path, name):
    (tmp_path / name).touch()
    with pytest.raises(InvalidInput, match=f"{name}: expected a folder of part files or nothing, got a file"):
        pull(embedded.url, tmp_path)


def test_a_redis_that_is_gone_is_told(tmp_path):
    with pytest.raises(Unavailable, match="the streams cannot be pulled"):
        pull("redis://127.0.0.1:9", tmp_path)


def test_the_command_says_what_it_wrote(embedded, tell, tmp_path):
    tell(1, 2)
    run = lambda *more: CliRunner().invoke(command_line(), ["data", "pull", "--out", str(tmp_path), *more])  # noqa: E731
    told = run("--redis-url", embedded.url)
    assert told.exit_code == 0
    assert told.stdout.startswith("2 new events in ")
    nobody = run("--repository", str(tmp_path / "none"))
    assert nobody.exit_code == 1
    assert "expected --redis-url" in nobody.stderr
