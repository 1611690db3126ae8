import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_the_forest_benchmark_compares_at_equal_answers(tmp_path: Path, tiny_release: Path):
    script = [sys.executable, str(ROOT / "benchmarks" / "forest.py"), "--work", str(tmp_path)]
    command = [*script, "--sizes", "--release", str(tiny_release), "--threads", "1"]
    asked = ["--rows", "1", "500", "--repeats", "1", "--libraries", "Trident", "LightGBM", "Treelite GTIL"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run([*command, *asked], capture_output=True, text=True, env=environment, timeout=300)
    assert done.returncode == 0, done.stderr
    rows = re.findall(r"^\| ([\w ]+) \| [\d.]+ \| [\d.]+ \| \de[-+]\d\d \|$", done.stdout, re.M)
    assert rows == ["Trident", "LightGBM", "Treelite GTIL"]  # none of them differs
    assert (tmp_path / "forest.json").exists()
