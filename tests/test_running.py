import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from trident.running import RunningServer, announced, at_address, serving_repository


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))


def server(repository: Path) -> RunningServer:
    return RunningServer(str(repository), "127.0.0.1:8000", "127.0.0.1:8001", "unix:///r.sock", os.getpid())


def test_a_server_is_found_by_repository_and_by_either_address_while_it_runs(tmp_path):
    mine = server(tmp_path.resolve())
    with announced(mine):
        assert serving_repository(tmp_path) == mine
        assert at_address("localhost:8001") == at_address("127.0.0.1:8000") == mine
        assert serving_repository(tmp_path / "other") is None
        assert at_address("127.0.0.1:9") is None
        assert at_address("elsewhere:8001") is None
    assert serving_repository(tmp_path) is None


def test_the_note_is_for_its_user_alone(tmp_path):
    with announced(server(tmp_path)):
        (note,) = tmp_path.glob("trident-*/*.json")
        assert note.stat().st_mode & 0o777 == 0o600
        assert note.parent.stat().st_mode & 0o777 == 0o700


def test_the_note_of_a_process_that_is_gone_or_that_is_damaged_is_passed_over(tmp_path):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    with announced(replace(server(tmp_path.resolve()), pid=ended.pid)):
        (note,) = tmp_path.glob("trident-*/*.json")
        note.with_name("0.json").write_text("{")
        assert serving_repository(tmp_path) is None


def test_two_servers_of_one_process_do_not_take_each_others_note(tmp_path):
    mine = server(tmp_path.resolve())
    other = replace(mine, repository="/elsewhere", grpc="127.0.0.1:9001", http="127.0.0.1:9000")
    with announced(mine):
        with announced(other):
            assert at_address("127.0.0.1:9001") == other
        assert serving_repository(tmp_path) == mine
