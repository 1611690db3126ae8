"""The oracles of synthetic data: one knows every user's taste, the other also what users get to see."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from trident_export.data.exposure import exposure
from trident_export.data.truth import Truth, sigmoid
from trident_export.metrics import gained_ndcg
from trident_export.question import Question

K = 20
ORACLE = "oracle of tastes"
SEER = "oracle of tastes and exposure"
EXPECTED = f"expected ndcg@{K}"
SHARES = {
    "tastes, by the log": (ORACLE, f"ndcg@{K}"),
    "tastes and exposure, by the log": (SEER, f"ndcg@{K}"),
    "tastes, to be expected": (ORACLE, EXPECTED),
}
"""What the oracle knows and how it is judged → the oracle and the metric."""


@dataclass(frozen=True)
class Consulted:
    """What the oracles would show, and what is to be expected of the lists of all."""

    lists: Mapping[str, np.ndarray]  # ORACLE and SEER → (Q, 20) int64 item rows of all that may be shown, -1 pads
    expected: Mapping[str, np.ndarray]  # method → (Q,) float64 EXPECTED


def consult(
    truth: Truth,
    ids: tuple[Sequence[str], Sequence[str]],
    asked: Question,
    allowed: Callable[[int], np.ndarray],
    lists: Mapping[str, np.ndarray],
) -> Consulted:
    """Ask the oracles about the users and items of `ids`; `allowed` says which items (n,) may answer a request.

    The gain of an item is the probability that the user clicks on it when he looks at it there and then, 0 where it may
    not be shown; ORACLE sorts by it, and that is the ideal list. So the expected NDCG of a list does not depend on what
    the log showed. SEER sorts by the gain times the chance of a look: by the clicks to be found in the log.
    """
    users, items = truth.users(ids[0]), truth.items(ids[1])
    best = {name: np.full((len(asked), K), -1, np.int64) for name in (ORACLE, SEER)}
    gains = {name: np.zeros((len(asked), K)) for name in (*lists, *best)}
    for query, (user, time, device) in enumerate(_requests(asked)):
        clicked = sigmoid(truth.click_logit(users[user], items, time, max(device, 0)))
        gain = np.where(allowed(query), clicked, np.float32(0))
        for name, value in ((ORACLE, gain), (SEER, gain * exposure(truth, int(users[user]), time)[items])):
            top = np.argsort(-value, kind="stable")[:K]
            top = top[value[top] > 0]
            best[name][query, : len(top)] = top
        for name, found in {**lists, **best}.items():
            rows = found[query, :K]
            gains[name][query, : len(rows)] = np.where(rows >= 0, gain[np.maximum(rows, 0)], 0)
    return Consulted(best, {name: gained_ndcg(found, gains[ORACLE]) for name, found in gains.items()})


def shares(means: Mapping[str, Mapping[str, float]], methods: Sequence[str]) -> dict[str, dict[str, float]]:
    """What part of the oracles' NDCG@20 some methods reach: method → SHARES → ratio, NaN for an oracle at 0."""
    found: dict[str, dict[str, float]] = {}
    for method in methods if ORACLE in means else ():
        ratios = ((name, means[method][metric], means[oracle][metric]) for name, (oracle, metric) in SHARES.items())
        found[method] = {name: mine / best if best > 0 else float("nan") for name, mine, best in ratios}
    return found


def _requests(asked: Question) -> list[tuple[int, int, int]]:
    """User row, unix second and device code of each request, -1 for an unknown device."""
    requests = asked.requests
    return list(zip(requests.user.tolist(), requests.time.tolist(), requests.device.tolist(), strict=True))
