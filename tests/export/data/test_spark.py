"""Where Spark runs: where SPARK_REMOTE says, or on the Java of this machine, and what is said without them."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path

import pytest
from typer.testing import CliRunner

from trident.command_group import build
from trident.errors import SetupError
from trident_export.data.java import java_problem
from trident_export.data.spark import spark_engine
from trident_export.data.synthetic import generate

END = datetime(2024, 6, 1, tzinfo=timezone.utc)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@pytest.fixture
def remote(tmp_path: Path) -> Iterator[str]:
    """A Spark Connect server from pyspark's own wheel, on loopback."""
    pyspark = pytest.importorskip("pyspark", reason="Spark is not installed: make spark")
    if problem := java_problem():
        pytest.skip(problem)
    port = free_port()
    binding, driver = "spark.connect.grpc.binding", "spark.driver"
    settings = {f"{binding}.address": "127.0.0.1", f"{binding}.port": port, "spark.ui.enabled": "false"}
    settings |= {f"{driver}.host": "127.0.0.1", f"{driver}.bindAddress": "127.0.0.1", "spark.sql.shuffle.partitions": 1}
    start = Path(pyspark.__file__).parent / "sbin" / "start-connect-server.sh"
    options = [word for name, value in settings.items() for word in ("--conf", f"{name}={value}")]
    command = ["bash", str(start), "--wait", "--master", "local[2]", *options]
    with (tmp_path / "server.log").open("w") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, cwd=tmp_path, start_new_session=True)
    try:
        await_port(server, port, tmp_path / "server.log")
        yield f"sc://127.0.0.1:{port}"
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def await_port(server: subprocess.Popen, port: int, log: Path) -> None:
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        assert server.poll() is None, log.read_text()
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.2)
    pytest.fail(f"no Spark Connect server after 90 s: {log.read_text()}")


def test_a_connect_server_validates_as_duckdb_does(remote, tmp_path):
    raw = generate(tmp_path / "raw", users=50, items=200, events=2_000, days=3, end=END).folder
    command = ["data", "validate", str(raw), "--json", "--out"]
    ours = json.loads(CliRunner().invoke(build(), [*command, str(tmp_path / "ours")]).stdout)
    arguments = [sys.executable, "-m", "trident.cli", *command, str(tmp_path / "theirs"), "--engine", "spark"]
    environment = {**os.environ, "SPARK_REMOTE": remote}
    done = subprocess.run(arguments, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    theirs = json.loads(done.stdout)
    assert ours.pop("rules").keys() == theirs.pop("rules").keys()  # each has its own `now`
    assert theirs == ours


def test_a_remote_where_nobody_listens_is_named_at_once(monkeypatch):
    pytest.importorskip("pyspark", reason="Spark is not installed: make spark")
    monkeypatch.setenv("SPARK_REMOTE", f"sc://127.0.0.1:{free_port()}")
    monkeypatch.setattr("pyspark.sql.SparkSession.getActiveSession", lambda: None)
    told = r"SPARK_REMOTE=sc://127.0.0.1:\d+: expected a Spark Connect server, got: .*refused"
    with pytest.raises(SetupError, match=told), spark_engine():
        pass


@pytest.mark.parametrize(
    ("told", "problem"),
    [
        ('openjdk version "17.0.15" 2025-04-15', None),
        ('openjdk version "21" 2023-09-19', None),
        ('openjdk version "11.0.2" 2019-01-15', "is Java 11"),
        ('java version "1.8.0_392"', "is Java 8"),
        ("Segmentation fault", "does not tell its version: 'Segmentation fault"),
    ],
)
def test_java_is_known_by_its_version(tmp_path, monkeypatch, told, problem):
    java = tmp_path / "bin" / "java"
    java.parent.mkdir()
    java.write_text(f"#!/bin/sh\ncat >&2 <<'.'\n{told}\n.\n")
    java.chmod(0o755)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    assert (problem in java_problem()) if problem else java_problem() == ""


def test_a_missing_java_is_named_with_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    assert java_problem().endswith(f"no java in JAVA_HOME={tmp_path}")
    monkeypatch.delenv("JAVA_HOME")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "openjdk-17-jre-headless" in java_problem()
    assert java_problem().endswith("no java on PATH, and no JAVA_HOME")
