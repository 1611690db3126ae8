from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[3] / "benchmarks" / "validation.py"
SIZES = ("--events=60000", "--users=300", "--items=500", "--days=10")


def run(folder: Path, *more: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), *SIZES, f"--folder={folder}", *more]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def test_the_benchmark_finds_what_was_planted_and_cleans_up(tmp_path):
    done = run(tmp_path)
    assert done.returncode == 0, done.stderr
    assert "differs" not in done.stdout
    assert done.stdout.splitlines()[-1].endswith("= 60,000 read")
    assert list(tmp_path.iterdir()) == []


def test_the_benchmark_fails_when_a_count_differs(tmp_path):
    rules = tmp_path / "validation.toml"
    rules.write_text("[bots]\nmax_events_per_day = 2000\n")
    done = run(tmp_path, f"--rules={rules}")
    assert done.returncode == 1, done.stderr
    assert [line.split()[0] for line in done.stdout.splitlines() if line.endswith("differs")] == ["bot_volume"]
