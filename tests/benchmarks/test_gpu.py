from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "gpu.py"


def test_every_part_is_measured_on_a_core_and_says_why_not_on_a_card(tiny_release: Path):
    command = [sys.executable, str(SCRIPT), f"--release={tiny_release}", "--seconds=0", "--batches=1,2"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    rows = [line for line in done.stdout.splitlines() if line.startswith(("| 1 |", "| 2 |"))]
    assert len(rows) == 8
    for row in rows:
        assert float(row.split("|")[2]) > 0
    if "card: none" in done.stdout:
        assert all(row.endswith("| not measured |") for row in rows)
        assert done.stdout.count("not measured: no card here") == 5
