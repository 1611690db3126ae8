"""Users for locust, over gRPC and over HTTP, who send the requests of a profile through the client library.

    trident bench profile build/profile.jsonl
    locust -f loadtest/trident_loadtest/locust_users.py --requests build/profile.jsonl GrpcUser HttpUser

A user asks once a second, so `-u 50` is 50 requests per second as long as the server keeps up. That is a closed loop: a
user who waits for an answer sends nothing meanwhile, so use `trident bench` for latencies.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from pathlib import Path

import grpc.experimental.gevent
from locust import User, constant_pacing, events, task

from trident_client import HttpRecommender, Recommender, RecommenderError
from trident_loadtest.request_profile import ProfileRequest, read_profile

grpc.experimental.gevent.init_gevent()  # before the first channel, or a call blocks all users of the process

requests: Iterator[ProfileRequest] = iter(())


@events.init_command_line_parser.add_listener
def _options(parser) -> None:
    parser.add_argument("--requests", default="build/profile.jsonl", help="File that `trident bench profile` made.")
    parser.add_argument("--grpc-url", default="127.0.0.1:8001", help="host:port for GrpcUser.")
    parser.add_argument("--http-url", default="127.0.0.1:8000", help="host:port for HttpUser.")
    parser.add_argument("--deadline", type=float, default=1.0, help="Seconds that a call may take.")


@events.init.add_listener
def _read(environment, **_) -> None:
    global requests
    if environment.parsed_options is not None:
        requests = itertools.cycle(read_profile(Path(environment.parsed_options.requests)))


class _Asking(User):
    """Sends the next request of the profile, of which each is sent by one user."""

    abstract = True
    wait_time = constant_pacing(1)
    kind = ""
    recommender: Recommender | HttpRecommender

    def on_stop(self) -> None:
        """Close the connection."""
        self.recommender.close()

    @task
    def recommend(self) -> None:
        """Ask once and tell locust how it went."""
        one, began, error, items = next(requests), time.perf_counter(), None, 0
        try:
            items = len(self.recommender.recommend(one.user_id, **one.options(time.time())).items)
        except RecommenderError as failure:
            error = failure
        self.environment.events.request.fire(
            request_type=self.kind, name="recommend", response_time=1000 * (time.perf_counter() - began),
            response_length=items, exception=error, context={},
        )  # fmt: skip


class GrpcUser(_Asking):
    """Asks over gRPC."""

    kind = "gRPC"

    def on_start(self) -> None:
        """Open a channel."""
        options = self.environment.parsed_options
        self.recommender = Recommender(options.grpc_url, deadline=options.deadline)


class HttpUser(_Asking):
    """Asks over HTTP."""

    kind = "HTTP"

    def on_start(self) -> None:
        """Open a connection."""
        options = self.environment.parsed_options
        self.recommender = HttpRecommender(options.http_url, deadline=options.deadline)
