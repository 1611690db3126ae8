"""Odd requests by the thousand against a server of its own: nothing may crash, hang, leak a path or grow.

    python -m trident_loadtest.fuzz [REPOSITORY] [REQUESTS]

Half of them go over gRPC, a quarter each over HTTP as JSON and as binary tensors.
"""

from __future__ import annotations

import http.client
import re
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import numpy as np
from tritonclient.grpc import service_pb2

from trident.errors import TridentError
from trident.locations import DEFAULT_REPOSITORY
from trident.serving.serve import Serving, serving
from trident_client import Recommender
from trident_loadtest.odd_requests import as_binary, as_grpc, as_json, odd_request
from trident_loadtest.processes import memory, tree

REQUESTS = 100_000
THREADS = 4
PATIENCE = 10.0  # seconds until a request counts as hanging
ROUNDS = 10  # a valid request, a look at processes and memory after each
LEAK = re.compile(r"Traceback|File \"|\.py\b|site-packages|(?<![\w.])/(?:tmp|home|usr|work|opt|root|var)/")
METHOD = "/inference.GRPCInferenceService/ModelInfer"


@dataclass
class Outcome:
    """What came back so far."""

    statuses: Counter[str] = field(default_factory=Counter)
    leaks: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)  # no answer at all

    def add(self, status: str, text: str, seed: int) -> None:
        """Count one answer, and keep it where its text shows what it should not."""
        self.statuses[status] += 1
        if LEAK.search(text):
            self.leaks.append(f"request {seed}: {text[:300]}")


class Sender(threading.local):
    """One gRPC channel and one HTTP connection per thread."""

    def __init__(self, server: Serving) -> None:
        self.server = server
        self.channel = grpc.insecure_channel(server.grpc)
        self.call = self.channel.unary_unary(METHOD, response_deserializer=service_pb2.ModelInferResponse.FromString)
        self.http = http.client.HTTPConnection(server.http, timeout=PATIENCE)

    def send(self, seed: int, outcome: Outcome) -> None:
        """Send the request of `seed` and note what comes back."""
        request = odd_request(np.random.default_rng(seed))
        try:
            if seed % 2:
                self._grpc(as_grpc(request), seed, outcome)
            elif seed % 4:
                self._http(request.model, as_json(request), {}, seed, outcome)
            else:
                body, length = as_binary(request)
                self._http(request.model, body, {"Inference-Header-Content-Length": str(length)}, seed, outcome)
        except (OSError, http.client.HTTPException) as error:
            self.http.close()
            outcome.failures.append(f"request {seed}: {type(error).__name__}: {error}")

    def _grpc(self, body: bytes, seed: int, outcome: Outcome) -> None:
        try:
            self.call(body, timeout=PATIENCE)
            outcome.add("gRPC OK", "", seed)
        except grpc.RpcError as error:
            code: Any = error.code()
            outcome.add(f"gRPC {code.name}", error.details() or "", seed)
            if code in (grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED):
                outcome.failures.append(f"request {seed}: gRPC {code.name}")

    def _http(self, model: str, body: bytes, headers: dict[str, str], seed: int, outcome: Outcome) -> None:
        self.http.request("POST", f"/v2/models/{model}/infer", body, headers)
        answer = self.http.getresponse()
        text = answer.read().decode("utf-8", "replace")
        outcome.add(f"HTTP {answer.status}", text if answer.status != http.HTTPStatus.OK else "", seed)


def fuzz(server: Serving, requests: int, first: int = 0) -> Outcome:
    """Send `requests` odd requests, in rounds; print a row per round."""
    outcome, sender = Outcome(), Sender(server)
    before = processes(server)
    print(f"{'requests':>9} {'seconds':>8} {'Triton MB':>9} {'Redis MB':>8}  answers")
    started = time.monotonic()
    with ThreadPoolExecutor(THREADS) as pool, Recommender(server.grpc, deadline=PATIENCE) as recommender:
        for part in range(ROUNDS):
            seeds = range(first + requests * part // ROUNDS, first + requests * (part + 1) // ROUNDS)
            list(pool.map(lambda seed: sender.send(seed, outcome), seeds))
            if len(recommender.recommend("u1", record=False).items) != 20:
                outcome.failures.append(f"after {seeds.stop} requests a good one did not get 20 items")
            if (now := processes(server)) != before:
                outcome.failures.append(f"processes changed from {sorted(before)} to {sorted(now)}")
                before = now
            own = tree(server.triton.child.pid)
            taken, megabytes, redis = time.monotonic() - started, memory(own) >> 20, memory(now - own) >> 20
            print(
                f"{seeds.stop:9} {taken:8.0f} {megabytes:9} {redis:8}  {dict(sorted(outcome.statuses.items()))}",
                flush=True,
            )
    return outcome


def processes(server: Serving) -> set[int]:
    """All processes of the server and of its Redis."""
    return set().union(*(tree(child.pid) for child in server.children))


def main(repository: Path, requests: int) -> None:
    """Fuzz a server of its own and say what was found; exit with 1 when there was something."""
    with serving(repository) as server:
        outcome = fuzz(server, requests)
    for name, found in (("no answer or harm done", outcome.failures), ("texts that show too much", outcome.leaks)):
        print(f"{name}: {len(found)}")
        for line in found[:20]:
            print(f"  {line}")
    sys.exit(1 if outcome.failures or outcome.leaks else 0)


if __name__ == "__main__":
    try:
        main(
            Path(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT_REPOSITORY,
            int(sys.argv[2]) if len(sys.argv) > 2 else REQUESTS,
        )
    except TridentError as error:
        sys.exit(f"trident: {error}")
