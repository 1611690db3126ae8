"""NVIDIA's `perf_analyzer`: made ready to run without root, and run against a server.

The binary lives in an old wheel of tritonclient. That version and today's locust exclude each other, so the wheel goes
into a folder of its own, without its dependencies. The two libraries that it wants come from the server's wheel.
"""

from __future__ import annotations

import csv
import importlib.util
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from trident.errors import SetupError, Unavailable
from trident.serving.control_key import grpc_headers, http_headers
from trident_loadtest.request_profile import ProfileRequest

WHEEL = "tritonclient==2.51.0"
"""The last release whose wheel holds the real program."""

LIBRARIES = {"libcudart.so.12": "libcudart-*.so.12*", "libb64.so.0d": "libb64-*.so.0d*"}
"""What the program is linked with → the renamed copies in `nvidia_pytriton.libs`."""

BUILD = Path("build")


def prepare(build: Path = BUILD) -> Path:
    """Make `build/bin/perf_analyzer` unless it is there and runs; return its path.

    Raises SetupError when the wheel cannot be installed or the server's wheel is missing.
    """
    program = build.resolve() / "bin/perf_analyzer"
    if not _runs(program):
        folder = build.resolve() / "perf_analyzer"
        shutil.rmtree(folder, ignore_errors=True)
        _install(folder)
        _link_libraries(folder / "lib")
        _write_launcher(program, folder)
        if not _runs(program):
            raise SetupError(f"{program} does not start; `ldd {folder}/bin/perf_analyzer` shows what it misses")
    return program


def _runs(program: Path) -> bool:
    """Whether the program starts and prints its version."""
    try:
        answer = subprocess.run(
            [program, "--version"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=30
        )
    except (OSError, subprocess.SubprocessError):
        return False
    return "Perf Analyzer Version" in answer.stdout


def _install(folder: Path) -> None:
    """Install the old wheel, and nothing it depends on, into `folder`."""
    command = [
        sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--only-binary",
        ":all:", "--target", str(folder), WHEEL,
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode or not (folder / "bin/perf_analyzer").is_file():
        raise SetupError(
            f"{WHEEL} cannot be installed into {folder}: {done.stderr.strip() or 'it holds no perf_analyzer'}"
        )
    (folder / "bin/perf_analyzer").chmod(0o755)


def _link_libraries(folder: Path) -> None:
    """Link the wheel's renamed libraries under the names that the program asks for."""
    spec = importlib.util.find_spec("nvidia_pytriton") or importlib.util.find_spec("pytriton")
    if spec is None or not spec.submodule_search_locations:
        raise SetupError(
            "perf_analyzer needs libraries of the wheel nvidia-pytriton: pip install 'trident-recommender[serve]'"
        )
    source = Path(spec.submodule_search_locations[0]).parent / "nvidia_pytriton.libs"
    folder.mkdir(parents=True)
    for name, pattern in LIBRARIES.items():
        copies = sorted(source.glob(pattern))
        if not copies:
            raise SetupError(
                f"{name} for perf_analyzer is not in {source}: install the package libb64-0d or CUDA's runtime"
            )
        (folder / name).symlink_to(copies[0])


def _write_launcher(program: Path, folder: Path) -> None:
    """Write the script that sets the library path and starts the program."""
    program.parent.mkdir(parents=True, exist_ok=True)
    program.write_text(
        "#!/bin/sh\n"
        f'export LD_LIBRARY_PATH={shlex.quote(str(folder / "lib"))}"${{LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}}"\n'
        f'exec {shlex.quote(str(folder / "bin/perf_analyzer"))} "$@"\n'
    )
    program.chmod(0o755)


@dataclass(frozen=True)
class Measurement:
    """One load level: requests/s and latency percentiles in milliseconds."""

    concurrency: int
    throughput: float
    p50_ms: float
    p90_ms: float
    p95_ms: float
    p99_ms: float


def measure(
    program: Path, address: str, *, model: str = "recommend", protocol: str = "grpc", concurrency: int = 1,
    window_ms: int = 5000, stability: int = 30, input_file: Path | None = None, key: str = "",
) -> Measurement:  # fmt: skip
    """Run closed-loop load on `model` at `address` ("host:port") until it is stable, and return what was measured.

    `stability` is the allowed spread of the last windows in percent. `input_file` is perf_analyzer's JSON of requests.
    `key` lets it ask for the model's config and statistics.
    Raises Unavailable when it ends without a measurement.
    """
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.csv"
        command = [
            str(program), "-m", model, "-u", address, "-i", protocol, "--concurrency-range", str(concurrency),
            "-p", str(window_ms), "-s", str(stability), "-r", "20", "-f", str(report),
        ]  # fmt: skip
        for name, value in (grpc_headers(key) if protocol == "grpc" else http_headers(key)).items():
            command += ["-H", f"{name}:{value}"]
        if input_file is not None:
            command += ["--input-data", str(input_file)]
        done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"LC_ALL": "C"})
        if done.returncode or not report.is_file():
            text = " ".join((done.stderr or done.stdout).split())
            raise Unavailable(f"perf_analyzer measured nothing at {address}: {text[-500:]}")
        return parse_report(report)


def write_input(path: Path, requests: Sequence[ProfileRequest], now: float) -> None:
    """Write perf_analyzer's file of the requests of a profile, sent at about unix second `now`.

    It wants the same tensors in each, so those that a request leaves out get the values that mean the same.
    """
    steps = [_tensors(request, now) for request in requests]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"data": steps}))


def _tensors(request: ProfileRequest, now: float) -> dict[str, dict[str, list]]:
    values = {
        "user_id": request.user_id,
        "device": request.device,
        "region": request.region,
        "timestamp": int(now) - request.ago if request.ago else 0,
        "limit": request.limit,
        "record": request.record,
    }
    return {name: {"content": [value], "shape": [1, 1]} for name, value in values.items()}


def parse_report(path: Path) -> Measurement:
    """Read the first load level of perf_analyzer's CSV, whose latencies are microseconds."""
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    if not rows:
        raise Unavailable("perf_analyzer measured nothing: its windows did not become stable")
    row = rows[0]
    p50, p90, p95, p99 = (float(row[f"p{p} latency"]) / 1000 for p in (50, 90, 95, 99))
    return Measurement(int(row["Concurrency"]), float(row["Inferences/Second"]), p50, p90, p95, p99)


def main() -> int:
    """Prepare the program and say where it is."""
    try:
        print(f"{prepare()} is ready")
    except SetupError as error:
        print(f"trident: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
