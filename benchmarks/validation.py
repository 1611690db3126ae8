"""Time and memory of `trident data validate` on synthetic events, and whether it finds exactly what was planted.

    python benchmarks/validation.py --events 20000000

Runs the two commands a user would run. Exit code 1 when the counts of a reason differ. `docs/benchmarks/validation.md`
has a printed result.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

TRIDENT = (sys.executable, "-m", "trident.cli")
GIB = 2**30


@dataclass(frozen=True)
class Run:
    """One command: what it printed, how long it took and its largest resident memory.

    `trident data` starts no other process, so the memory of the process is that of the whole tree.
    """

    output: dict
    seconds: float
    cpu_seconds: float
    peak_bytes: int


def run(*arguments: str) -> Run:
    """Run a `trident` command that prints JSON."""
    started = time.perf_counter()
    with tempfile.TemporaryFile("w+") as printed:
        process = subprocess.Popen([*TRIDENT, *arguments, "--json"], stdout=printed)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.perf_counter() - started
        if process.returncode:
            sys.exit(f"trident {' '.join(arguments)}: exit code {process.returncode}")
        printed.seek(0)
        return Run(json.load(printed), seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)


def main() -> int:
    """Make events, validate them, print what was measured and found."""
    options = parse()
    sizes = [f"--{name}={getattr(options, name)}" for name in ("events", "users", "items", "days", "seed", "end")]
    print(f"{len(os.sched_getaffinity(0))} cores, {memory_gib():.0f} GiB memory, {platform.platform()}")
    with tempfile.TemporaryDirectory(prefix="trident-validation-", dir=options.folder) as folder:
        raw, clean = str(Path(folder, "raw")), str(Path(folder, "clean"))
        made = run("data", "synth", "--out", raw, *sizes)
        told = f"{options.events:,} events of {options.users:,} users and {options.items:,} items"
        print(f"made      {told} over {options.days} days, seed {options.seed}: {made.seconds:.1f} s")
        checked = run("data", "validate", raw, "--out", clean, *rules_option(options.rules))
        print(f"validated {cost(checked)}")
        computed = run("features", "build", clean, "--out", str(Path(folder, "features")))
        print(f"features  {cost(computed)}")
    return compare(made.output["planted"], checked.output)


def cost(measured: Run) -> str:
    """What a run took."""
    memory = f"peak of resident memory {measured.peak_bytes / GIB:.2f} GiB"
    return f"{measured.seconds:.1f} s, {measured.cpu_seconds:.1f} s of CPU time, {memory}"


def parse() -> argparse.Namespace:
    """The options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, default in (("events", 20_000_000), ("users", 100_000), ("items", 100_000), ("days", 60), ("seed", 7)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--end", default="2024-06-01")
    parser.add_argument("--rules", help="a TOML file with rules of validation")
    parser.add_argument("--folder", help="where the data lie for the time of the run; default: the system's")
    return parser.parse_args()


def rules_option(rules: str | None) -> list[str]:
    """The option `--rules` where there is one."""
    return [] if rules is None else ["--rules", rules]


def compare(planted: Mapping[str, int], report: Mapping) -> int:
    """Print planted beside found for each reason; 1 when they differ or do not add up, else 0."""
    print(f"\n{'reason':20}{'planted':>12}{'found':>12}")
    wrong = 0
    for reason, found in report["rejected"].items():
        expected = planted.get(reason, 0)
        wrong += found != expected
        print(f"{reason:20}{expected:12,}{found:12,}{'' if found == expected else '  differs'}")
    total, adds_up = sum(planted.values()), report["clean"] + report["quarantined"] == report["read"]
    print(f"{'all':20}{total:12,}{report['quarantined']:12,}")
    sum_of = f"{report['clean']:,} clean + {report['quarantined']:,} in quarantine"
    print(f"\n{sum_of} {'=' if adds_up else '≠'} {report['read']:,} read")
    return int(bool(wrong) or not adds_up)


def memory_gib() -> float:
    """The memory of this machine."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / GIB


if __name__ == "__main__":
    sys.exit(main())
