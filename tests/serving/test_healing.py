"""Python processes of a real server that are killed, with one model that doubles its input."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from trident.serving import stubs
from trident.serving.healing import Healer
from trident.serving.model_control import ModelControl
from trident.serving.serve import Serving, serving
from trident.serving.stubs import Stub

DOUBLE = Stub("double", 1, "double_0")


@pytest.fixture(scope="module")
def repository(double: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shutil.copytree(double, tmp_path_factory.mktemp("healing") / "repository")


@pytest.fixture(scope="module")
def server(repository: Path, request_two: dict) -> Iterator[Serving]:
    with serving(repository, models=["double"], probe="double", request=request_two, before_start=None) as running:
        yield running


@pytest.fixture
def said() -> list[str]:
    """The lines of the healer."""
    return []


@pytest.fixture
def healer(server: Serving, said: list[str], look_after) -> Iterator[Healer]:
    """Looks after the server meanwhile."""
    healer = Healer(server.triton.child.pid, server.triton.repository, server.http, said.append, server.key)
    with look_after(healer, 0.05):
        yield healer


def eventually(true: Callable[[], bool], seconds: float = 5.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.01)


def kill(server: Serving) -> int:
    """Kill the one Python process of the server; its process id."""
    ((pid, stub),) = stubs.living(server.triton.child.pid).items()
    assert stub == DOUBLE
    os.kill(pid, signal.SIGKILL)
    return pid


def ask(server: Serving, body: dict) -> list[float]:
    answer = urllib.request.urlopen(
        f"http://{server.http}/v2/models/double/infer", json.dumps(body).encode(), timeout=5
    )
    return json.loads(answer.read())["outputs"][0]["data"]


def test_a_killed_process_is_started_again_and_said(
    server: Serving, healer: Healer, said: list[str], request_two: dict
) -> None:
    pid = kill(server)
    eventually(lambda: len(said) == 2)
    assert said[0] == "double 1: a process has died; starting it again"
    assert said[1].startswith("double 1: answers again after ")
    assert ask(server, request_two) == [2.0, 4.0]
    assert pid in stubs.dead(server.triton.child.pid)  # the server never looks after it
    time.sleep(0.5)
    assert len(said) == 2


def test_a_look_while_the_kernel_takes_its_memory_does_not_forget_a_process(
    server: Serving, said: list[str], request_two: dict, monkeypatch
) -> None:
    healer = Healer(server.triton.child.pid, server.triton.repository, server.http, said.append, server.key)
    healer.look()
    with monkeypatch.context() as ending:  # no command line any more, and no zombie yet
        ending.setattr(stubs, "_stub", lambda pid: None)
        healer.look()
    pid = kill(server)
    eventually(lambda: pid in stubs.dead(server.triton.child.pid))
    healer.look()
    assert healer.suspicious
    healer.look()
    eventually(lambda: len(said) == 2)
    assert said[1].startswith("double 1: answers again after ")
    assert ask(server, request_two) == [2.0, 4.0]


def test_a_child_is_one_until_it_is_reaped() -> None:
    with subprocess.Popen(["sleep", "60"]) as child:
        assert stubs.is_child(child.pid, os.getpid())
        assert not stubs.is_child(child.pid, child.pid)
        child.kill()
        eventually(lambda: child.pid in stubs.dead(os.getpid()))
        assert stubs.is_child(child.pid, os.getpid())
    assert not stubs.is_child(child.pid, os.getpid())


def test_what_fails_is_tried_again_until_it_does_not(
    server: Serving, healer: Healer, said: list[str], request_two: dict
) -> None:
    healer.address = "127.0.0.1:1"
    kill(server)
    eventually(lambda: len(said) == 2)
    assert said[1] == "double 1: does not start again: the server does not answer: ConnectionRefusedError"
    healer.address = server.http
    eventually(lambda: said[-1].startswith("double 1: answers again after "))
    assert ask(server, request_two) == [2.0, 4.0]


def test_a_process_that_ends_in_good_order_is_left_alone(
    server: Serving, healer: Healer, said: list[str], repository: Path
) -> None:
    os.utime(repository / "double/1")
    before = set(stubs.living(server.triton.child.pid))
    ModelControl(server.http, key=server.key).load("double")
    eventually(lambda: not before & set(stubs.living(server.triton.child.pid)))
    time.sleep(0.5)
    assert said == []


def test_waiting_for_an_end_returns_when_a_process_ends_and_otherwise_in_time() -> None:
    with subprocess.Popen(["sleep", "60"]) as one, subprocess.Popen(["sleep", "60"]) as other:
        began = time.monotonic()
        stubs.wait_for_an_end([one.pid, other.pid], 0.2)
        assert 0.2 <= time.monotonic() - began < 2
        threading.Timer(0.1, other.kill).start()
        stubs.wait_for_an_end([one.pid, other.pid], 30)
        assert time.monotonic() - began < 10
        other.wait()
        stubs.wait_for_an_end([other.pid], 30)  # which is gone altogether
        assert time.monotonic() - began < 10
        one.kill()
