"""A real server is stopped while a slow model works on a request, and its client keeps the connection."""

from __future__ import annotations

import http.client
import json
import threading
import time
from pathlib import Path

import pytest

from trident.errors import Unavailable
from trident.serving.drain import drain
from trident.serving.model_control import ModelControl
from trident.serving.serve import serving


def ask(connection: http.client.HTTPConnection, body: dict) -> int:
    connection.request("POST", "/v2/models/double/infer", json.dumps(body))
    answer = connection.getresponse()
    answer.read()
    return answer.status


def test_what_was_accepted_is_answered_and_what_comes_later_is_refused(patient: Path, request_two: dict) -> None:
    statuses: dict[str, int] = {}
    with serving(patient, models=["double"], probe="double", request=request_two, before_start=None) as running:
        first, second = (http.client.HTTPConnection(running.http, timeout=20) for _ in range(2))
        asking = threading.Thread(target=lambda: statuses.update(first=ask(first, request_two)))
        asking.start()
        time.sleep(0.5)
        draining = threading.Thread(target=drain, args=(ModelControl(running.http, key=running.key), 10))
        draining.start()
        time.sleep(0.5)
        statuses["second"] = ask(second, request_two)
        assert "first" not in statuses
    asking.join()
    draining.join()
    assert statuses == {"first": 200, "second": 404}


def test_without_a_server_it_gives_up_at_once() -> None:
    began = time.monotonic()
    drain(ModelControl("127.0.0.1:1"), 10)
    assert time.monotonic() - began < 1
    with pytest.raises(Unavailable, match="the server does not answer: ConnectionRefusedError"):
        ModelControl("127.0.0.1:1").load("double")
