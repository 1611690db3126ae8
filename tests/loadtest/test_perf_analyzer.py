from __future__ import annotations

from pathlib import Path

import pytest

from trident.errors import SetupError, Unavailable
from trident_loadtest import perf_analyzer
from trident_loadtest.perf_analyzer import BUILD, Measurement, measure, parse_report

REPORT = """Concurrency,Inferences/Second,Client Send,Network+Server Send/Recv,Server Queue,Server Compute Input,\
Server Compute Infer,Server Compute Output,Client Recv,p50 latency,p90 latency,p95 latency,p99 latency
1,3466.02,2,112,12,9,78,69,0,246,331,369,592
"""


def test_a_report_becomes_milliseconds(tmp_path: Path) -> None:
    report = tmp_path / "report.csv"
    report.write_text(REPORT)
    assert parse_report(report) == Measurement(1, 3466.02, p50_ms=0.246, p90_ms=0.331, p95_ms=0.369, p99_ms=0.592)
    report.write_text(REPORT.splitlines()[0])
    with pytest.raises(Unavailable, match="did not become stable"):
        parse_report(report)


def test_missing_libraries_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(perf_analyzer, "LIBRARIES", {"libb64.so.0d": "libnowhere-*"})
    with pytest.raises(SetupError, match=r"libb64\.so\.0d .*libb64-0d"):
        perf_analyzer._link_libraries(tmp_path / "lib")


def test_no_server_is_an_error_with_the_programs_own_words() -> None:
    program = BUILD / "bin/perf_analyzer"
    if not program.is_file():
        pytest.skip("build/bin/perf_analyzer is not there: `make perf_analyzer` makes it")
    with pytest.raises(Unavailable, match=r"measured nothing at 127\.0\.0\.1:1: .*connect"):
        measure(program, "127.0.0.1:1", model="recommend", window_ms=500)
