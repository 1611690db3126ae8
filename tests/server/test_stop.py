"""`trident serve` gets SIGTERM while four clients ask without a pause."""

from __future__ import annotations

import time

from trident.state.answered import answered_key
from trident_loadtest.bad_processes import Stopped, executions, terminate
from trident_loadtest.latency import known_users
from trident_loadtest.serve_process import ServeProcess
from trident_loadtest.traffic import Fate, Sent, Traffic


def test_sigterm_under_load_loses_no_accepted_request_and_leaves_nothing(served):
    with (
        ServeProcess(served.repository) as server,
        executions(server.note.redis_url) as executed,
        Traffic(server.grpc, server.http, known_users(served.repository), record=True) as traffic,
    ):
        time.sleep(1)
        stopped = terminate(server, traffic, executed, "a server")
    assert stopped.code == 0
    assert stopped.left == []
    assert stopped.lost == []
    assert stopped.untraced == []
    assert {one.protocol for one in stopped.requests if one.fate is Fate.ANSWERED} == {"gRPC", "HTTP"}
    assert {one.protocol for one in stopped.requests if one.fate is Fate.REFUSED} == {"gRPC", "HTTP"}
    assert stopped.seconds < 10


def sent(number: int, error: str = "", items: int = 0) -> Sent:
    return Sent("gRPC", str(number), "u1", began=float(number), ended=number + 0.5, items=items, error=error)


def lost(*requests: Sent, executed: frozenset[str] = frozenset()) -> list[str]:
    return [one.id for one in Stopped("a server", 0.0, 0, 1.0, list(requests), executed, []).lost]


def test_what_counts_as_lost():
    refused = sent(5, "x: Request for unknown model: 'recommend' has no available versions")
    cut = "x: Remote end closed connection without response"
    assert lost(sent(1, items=20), refused, sent(9, cut), sent(9, "x: [Errno 111] Connection refused")) == []
    assert lost(sent(1, items=19)) == ["1"]
    assert lost(sent(1, "x: in ensemble 'recommend', something broke")) == ["1"]
    assert lost(sent(4, cut), refused) == ["4"]  # sent before anything was refused
    assert lost(refused, sent(9, cut), executed=frozenset({answered_key("9", "u1")})) == ["9"]
