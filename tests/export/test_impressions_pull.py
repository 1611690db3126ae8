"""What was shown, from the streams of a real Redis into files: each answer once, whatever happens in between."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from trident.command_group import build as command_line
from trident.errors import InvalidInput
from trident.features.registry import ALL
from trident.state.feedback import Event, FeedbackStore
from trident.state.impressions import (
    FEATURE_ROWS,
    FIELDS,
    IMPRESSIONS,
    Impression,
    Logged,
    ShownRows,
    add_logged,
    pack_impression,
    pack_rows,
)
from trident_export import impressions_pull
from trident_export.data.files import load
from trident_export.data.schema import EVENTS
from trident_export.features_logged import check_logged
from trident_export.impressions_pull import ROWS, SHOWN, pull_shown

NOON = 1_780_000_000


def answer(n: int, request: str | None = None) -> Impression:
    scores = np.array([0.5, 0.25], np.float32)
    name = f"r{n}" if request is None else request
    return Impression(f"u{n}", NOON + n, 3, name, "tv", "DE", 0, (b"i%d" % n, b"other"), scores)


def rows(n: int) -> ShownRows:
    matrix = np.random.default_rng(n).random((2, 120), np.float32)
    return ShownRows(answer(n), matrix, np.array([4, 2, -1], np.int32), np.array([0.5, 0.25, np.nan], np.float32))


@pytest.fixture
def show(client) -> Callable[..., None]:
    """Log answers as the server does."""

    def log(*answers: Impression) -> None:
        pipe = client.pipeline(transaction=False)
        add_logged(pipe, [Logged(IMPRESSIONS, pack_impression(shown), 10_000) for shown in answers])
        pipe.execute()

    return log


def table(out: Path, name: str) -> list[dict]:
    return [row for part in sorted((out / f"{name}.parquet").glob("*")) for row in pq.read_table(part).to_pylist()]


def test_an_answer_comes_out_as_a_row_per_item(embedded, show, tmp_path):
    show(answer(1), answer(2, request=""))
    pulled, source = pull_shown(embedded.url, tmp_path)[IMPRESSIONS]
    assert (pulled.rows, pulled.parts, pulled.gap, source.unreadable, source.repeated) == (4, 1, False, 0, 0)
    first, second, third, _ = table(tmp_path, IMPRESSIONS)
    time = datetime.fromtimestamp(NOON + 1, timezone.utc)
    assert list(first.values()) == ["u1", "i1", time, 1, 0.5, 3, "r1", "tv", "DE", ""]
    assert list(second.values()) == ["u1", "other", time, 2, 0.25, 3, "r1", "tv", "DE", ""]
    assert third["request_id"] is None
    assert pq.read_schema(next(pulled.folder.iterdir())) == SHOWN


def test_feature_rows_come_out_bit_for_bit_under_the_names_of_the_features(embedded, client, tmp_path):
    for n in (1, 2):
        client.xadd(FEATURE_ROWS, {FIELDS[FEATURE_ROWS]: pack_rows(rows(n))})
    pulled, _ = pull_shown(embedded.url, tmp_path)[FEATURE_ROWS]
    assert pulled.rows == 4
    [part] = pulled.folder.iterdir()
    found = pq.read_table(part)
    assert found.schema == ROWS
    matrix = np.column_stack([found[feature.name].to_numpy() for feature in ALL])
    assert matrix.tobytes() == np.concatenate([rows(1).rows, rows(2).rows]).tobytes()
    assert found["candidates"].to_pylist() == [[4, 2, -1]] * 4


def test_pulled_twice_is_each_answer_once(embedded, show, tmp_path):
    show(answer(1), answer(2))
    pull_shown(embedded.url, tmp_path)
    again, _ = pull_shown(embedded.url, tmp_path)[IMPRESSIONS]
    assert (again.rows, again.parts) == (0, 0)
    show(answer(3))
    assert pull_shown(embedded.url, tmp_path)[IMPRESSIONS][0].rows == 2
    assert Counter(row["user_id"] for row in table(tmp_path, IMPRESSIONS)) == {"u1": 2, "u2": 2, "u3": 2}


def test_a_repeated_request_is_taken_once_also_by_the_next_pull(embedded, show, tmp_path):
    show(answer(1), answer(1), answer(2, request=""), answer(2, request=""))
    _, source = pull_shown(embedded.url, tmp_path)[IMPRESSIONS]
    assert source.repeated == 1
    show(answer(1), answer(4))
    pulled, source = pull_shown(embedded.url, tmp_path)[IMPRESSIONS]
    assert (pulled.rows, source.repeated) == (2, 1)
    assert Counter(row["user_id"] for row in table(tmp_path, IMPRESSIONS)) == {"u1": 2, "u2": 4, "u4": 2}


def test_a_pull_that_is_killed_while_it_writes_loses_and_repeats_nothing(embedded, show, tmp_path):
    show(*(answer(n) for n in range(10)))
    program = (
        "import os, signal, sys; from trident_export import impressions_pull as i, stream_pull as s\n"
        "write, make = s.pq.write_table, i.impressions\n"
        "def small():\n    source = make(); source.batch = 4; return source\n"
        "def half(table, file, **options):\n"
        "    write(table, file, **options); file.flush()\n"
        "    if len(table) and table['user_id'][0].as_py() == 'u4': os.kill(os.getpid(), signal.SIGKILL)\n"
        "i.impressions, s.pq.write_table = small, half; i.pull_shown(sys.argv[1], sys.argv[2])"
    )
    killed = subprocess.run([sys.executable, "-c", program, embedded.url, str(tmp_path)])
    assert killed.returncode == -signal.SIGKILL
    assert len(list((tmp_path / "impressions.parquet").iterdir())) == 2
    assert pull_shown(embedded.url, tmp_path)[IMPRESSIONS][0].rows == 12
    assert Counter(row["user_id"] for row in table(tmp_path, IMPRESSIONS)) == {f"u{n}": 2 for n in range(10)}


def test_damaged_entries_are_left_out_and_counted(embedded, client, show, tmp_path):
    value = pack_impression(answer(1))
    for wrong in (value[:-1], value[:30] + b"?" + value[31:], b"", b"\x80\x04."):
        client.xadd(IMPRESSIONS, {FIELDS[IMPRESSIONS]: wrong})
    client.xadd(IMPRESSIONS, {"other": value})
    show(answer(2))
    client.xadd(FEATURE_ROWS, {FIELDS[FEATURE_ROWS]: pack_rows(rows(1))[:-3]})
    told = pull_shown(embedded.url, tmp_path)
    assert [(pulled.rows, source.unreadable) for pulled, source in told.values()] == [(2, 5), (0, 1)]
    assert {row["user_id"] for row in table(tmp_path, IMPRESSIONS)} == {"u2"}


def test_a_stream_that_dropped_what_was_not_pulled_is_told(embedded, client, show, tmp_path):
    show(answer(1), answer(2))
    assert not pull_shown(embedded.url, tmp_path)[IMPRESSIONS][0].gap
    show(answer(3), answer(4))
    client.xtrim(IMPRESSIONS, maxlen=1, approximate=False)
    assert pull_shown(embedded.url, tmp_path)[IMPRESSIONS][0].gap


def test_what_was_shown_is_an_event_only_when_asked_for(embedded, client, show, tmp_path):
    FeedbackStore(client, 10).keep([Event("u1", "i1", "click", NOON + 5)])
    show(answer(1))
    run = lambda *more: CliRunner().invoke(  # noqa: E731
        command_line(), ["data", "pull", "--out", str(tmp_path), "--redis-url", embedded.url, *more]
    )
    told = json.loads(run("--json").stdout)
    assert {name: found["rows"] for name, found in told.items()} == {"events": 1, "impressions": 2, "feature_rows": 0}
    assert {row["event_type"] for row in table(tmp_path, EVENTS.name)} == {"click"}
    said = run("--views").stdout
    assert "0 new impressions in " in said
    assert "2 new views in " in said
    assert "0 new views in " in run("--views").stdout
    events = pq.read_table(load(tmp_path, tmp_path / "out").events).to_pylist()
    assert sorted((e["event_type"], e["item_id"], e["device"]) for e in events) == [
        ("click", "i1", None),
        ("view", "i1", "tv"),
        ("view", "other", "tv"),
    ]


def test_without_logged_rows_there_is_nothing_to_compare(tmp_path):
    with pytest.raises(
        InvalidInput, match=r"expected rows in feature_rows\.parquet from `trident data pull`, got none"
    ):
        check_logged(tmp_path, tmp_path)
    assert impressions_pull.LOOKBACK >= 120_000
