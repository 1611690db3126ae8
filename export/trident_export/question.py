"""What an evaluation asks: one request per user, against what he clicked from then on and had not touched before."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trident_export.event_log import Log, Requests, first_requests


@dataclass(frozen=True)
class Question:
    """Requests with their right answers; every request has at least one."""

    requests: Requests
    relevant: list[np.ndarray]  # per request: distinct item rows clicked or bought later, never touched before
    touched: list[np.ndarray]  # per request: item rows of any event before

    def __len__(self) -> int:
        return len(self.requests)


def question(log: Log, start: int, end: int, most: int, rng: np.random.Generator) -> Question:
    """Ask at each user's first event in [start, end); `most` users, drawn at random when there are more."""
    return answered(log, first_requests(log, start, end), end, most, rng)


def answered(log: Log, requests: Requests, end: int, most: int, rng: np.random.Generator) -> Question:
    """Keep the requests that a click before `end` on an item new to the user answers, `most` of them at most."""
    touched = log.touched(requests)
    begins = log.position(requests.user, requests.time)
    stops = log.position(requests.user, np.full(len(requests), end))
    spans = [slice(begin, stop) for begin, stop in zip(begins, stops, strict=True)]
    clicked = [log.item[span][log.positive[span]] for span in spans]
    relevant = [np.setdiff1d(items, before) for items, before in zip(clicked, touched, strict=True)]
    asked = np.flatnonzero([len(r) > 0 for r in relevant])
    if len(asked) > most:
        asked = np.sort(rng.choice(asked, most, replace=False))
    return Question(requests.take(asked), [relevant[i] for i in asked], [touched[i] for i in asked])
