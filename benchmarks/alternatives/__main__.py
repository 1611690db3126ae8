"""What one would build instead, side by side with Trident: the same release, the same answers, the same load.

    pip install -e '.[serve,export,loadtest,alternatives]'
    python -m benchmarks.alternatives --release build/release

Every server runs all the time; each round finds the capacity of one after the other, and asks Trident at the capacity
of each alternative. Nothing is timed unless all answer the same. `docs/benchmarks/alternatives.md` has printed results.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from benchmarks.alternatives.comparison import Plan, compare
from benchmarks.alternatives.report import as_dict, table
from trident.errors import TridentError


def main() -> None:
    """Compare, print a table, and write JSON where that is wanted."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--release", type=Path, default=Path("build/release"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=10.0, help="of load per rate")
    parser.add_argument("--workers", default="1,2,3", help="numbers of uvicorn processes to choose from")
    parser.add_argument("--only", default="triton,fastapi,feast", help="which alternatives")
    parser.add_argument("--start", type=float, default=50.0, help="requests/s to begin with")
    parser.add_argument("--json", type=Path, help="write all measurements here")
    asked = parser.parse_args()
    workers = tuple(int(count) for count in asked.workers.split(","))
    plan = Plan(asked.release, asked.rounds, asked.seconds, workers, tuple(asked.only.split(",")), asked.start)
    found = compare(plan, lambda text: print(text, file=sys.stderr, flush=True))
    print(table(plan, found))
    if asked.json:
        asked.json.write_text(json.dumps(as_dict(plan, found), indent=1) + "\n")


if __name__ == "__main__":
    try:
        main()
    except TridentError as error:
        sys.exit(f"alternatives: {error}")
