from __future__ import annotations

import signal
import subprocess
import sys
import time
from datetime import datetime, timezone
from pathlib import Path

import pyarrow as pa
import pytest

from trident.errors import InvalidInput, TridentError
from trident_export.data import validate as validation
from trident_export.data.dataset import Dataset
from trident_export.data.synthetic import generate
from trident_export.data.validate import STEPS, validate

END = datetime(2024, 6, 1, tzinfo=timezone.utc)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    folder = tmp_path_factory.mktemp("raw")
    return generate(folder, users=50, items=200, events=2_000, days=3, end=END)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def fail_after(monkeypatch: pytest.MonkeyPatch, step: str, error: BaseException) -> None:
    real = validation.advance

    def advance(progress: object, steps: int, label: str) -> None:
        real(progress, steps, label)
        if label == step:
            raise error

    monkeypatch.setattr(validation, "advance", advance)


@pytest.mark.parametrize("step", STEPS[1:])
@pytest.mark.parametrize("error", [KeyboardInterrupt(), TridentError("no space left")])
def test_stopped_at_any_step_nothing_is_left(dataset, tmp_path, monkeypatch, step, error):
    fail_after(monkeypatch, step, error)
    with pytest.raises(type(error)):
        validate(dataset, tmp_path / "deep" / "out")
    assert list((tmp_path / "deep").iterdir()) == []


def test_stopped_at_the_last_step_the_older_result_stays_as_it_was(dataset, tmp_path, monkeypatch):
    validate(dataset, tmp_path / "out")
    before = contents(tmp_path)
    fail_after(monkeypatch, STEPS[-1], KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        validate(dataset, tmp_path / "out")
    assert contents(tmp_path) == before


def test_a_later_result_replaces_the_older_one_whole(dataset, tmp_path):
    validate(dataset, tmp_path / "out")
    events = pa.table({"user_id": ["u"], "item_id": ["i"], "timestamp": pa.array([END])})
    validate(Dataset.write(tmp_path / "in", events), tmp_path / "out")
    assert "truth.npz" not in contents(tmp_path / "out")
    assert {p.name for p in tmp_path.iterdir()} == {"in", "out"}


@pytest.mark.parametrize("taken", ["notes.txt", "events.parquet"])
def test_a_folder_with_other_files_is_refused_and_kept(dataset, tmp_path, taken):
    (tmp_path / taken).write_text("mine")
    with pytest.raises(
        InvalidInput, match=rf"expected an empty folder or one that validation wrote, got one with {taken}"
    ):
        validate(dataset, tmp_path)
    assert contents(tmp_path) == {taken: b"mine"}


def test_a_file_in_the_place_of_the_folder_is_refused(dataset, tmp_path):
    (tmp_path / "out").write_text("mine")
    with pytest.raises(InvalidInput, match="expected a folder or a free name, got a file"):
        validate(dataset, tmp_path / "out")


def test_ctrl_c_in_the_middle_leaves_nothing(tmp_path):
    generate(tmp_path / "raw", users=5_000, items=2_000, events=400_000, days=10, end=END)
    command = [sys.executable, "-m", "trident.cli", "data", "validate", "raw", "--out", "clean"]
    process = subprocess.Popen(
        command,
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a background shell ignores it
    )
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob(".clean-*/new/.spill-*")):
        assert process.poll() is None, "it ended before it could be stopped"
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=60)
    assert process.returncode != 0
    assert "Traceback" not in told
    assert {p.name for p in tmp_path.iterdir()} == {"raw"}
