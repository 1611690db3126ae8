"""Where the time of requests goes, from Triton's own statistics."""

from __future__ import annotations

from dataclasses import dataclass

import tritonclient.http as http

from trident.contract import MODELS
from trident.serving.control_key import http_headers


@dataclass(frozen=True)
class StageTime:
    """What one model has done so far: requests, and nanoseconds that they waited and were computed."""

    requests: int
    queue_ns: int
    compute_ns: int  # reading inputs, computing and writing outputs; for the ensemble: the whole request

    def __sub__(self, earlier: StageTime) -> StageTime:
        return StageTime(
            self.requests - earlier.requests, self.queue_ns - earlier.queue_ns, self.compute_ns - earlier.compute_ns
        )

    def __add__(self, other: StageTime) -> StageTime:
        return StageTime(
            self.requests + other.requests, self.queue_ns + other.queue_ns, self.compute_ns + other.compute_ns
        )

    @property
    def mean_ms(self) -> float:
        """Milliseconds of computing per request, NaN without requests."""
        return self.compute_ns / self.requests / 1e6 if self.requests else float("nan")


def stage_times(url: str, key: str) -> dict[str, StageTime]:
    """The totals of every model of the server at `url`, "host:port" of its HTTP endpoint, over all versions.

    `key` opens its statistics.
    """
    headers = http_headers(key)
    with http.InferenceServerClient(url) as client:
        found = {model.name: client.get_inference_statistics(model.name, headers=headers) for model in MODELS}
    return {name: _total(statistics["model_stats"]) for name, statistics in found.items()}


def _total(versions: list[dict]) -> StageTime:
    stats = [version["inference_stats"] for version in versions]
    compute = ("compute_input", "compute_infer", "compute_output")
    return StageTime(
        sum(int(s["success"]["count"]) for s in stats),
        sum(int(s["queue"]["ns"]) for s in stats),
        sum(int(s[part]["ns"]) for s in stats for part in compute),
    )
