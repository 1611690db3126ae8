"""What the ranker learns from: requests at moments of the log, each with items that were and were not clicked.

Behind a request stand the items that were retrieved for the user at that moment: those that the short session after it
shows, clicked or not, and some that he did not touch. What was not retrieved is left out: the forest will never score
such a row, and a place behind the last candidate would only tell it that the log has the item.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trident.errors import InvalidInput
from trident_export.event_log import Log, Requests


@dataclass(frozen=True)
class SampleConfig:
    """How many requests and rows the ranker learns from."""

    requests: int = 1500
    per_session: int = 3  # requests of one session at most; they resemble each other
    session_seconds: int = 1800  # what is clicked or seen so soon after the request answers it
    logged: int = 40  # rows of the session at most, clicked ones first
    retrieved: int = 60  # retrieved, untouched items at most

    def __post_init__(self) -> None:
        for name, least in {"requests": 1, "per_session": 1, "session_seconds": 1, "logged": 2, "retrieved": 0}.items():
            if getattr(self, name) < least:
                raise InvalidInput(f"samples: expected '{name}' of at least {least}, got {getattr(self, name)}")


def sample_requests(log: Log, start: int, end: int, config: SampleConfig, rng: np.random.Generator) -> Requests:
    """Draw moments in [start, end) that a click follows soon; the begins of sessions go before moments within them."""
    window = log.between(start, end)
    first = np.ones(len(window), bool)
    first[1:] = (np.diff(window.user) != 0) | (np.diff(window.time) != 0)
    at = np.flatnonzero(first)
    until = window.position(window.user[at], np.minimum(window.time[at] + config.session_seconds, end))
    clicks = np.concatenate([[0], np.cumsum(window.positive)])
    at = at[clicks[until] > clicks[at]]
    begins = np.ones(len(at), bool)
    begins[1:] = (np.diff(window.user[at]) != 0) | (np.diff(window.time[at]) > config.session_seconds)
    place = _places(begins, rng)
    order = np.lexsort((rng.random(len(at)), place))
    order = order[place[order] < config.per_session][: config.requests]
    return Requests.at(window, at[np.sort(order)])


def _places(begins: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A place for every moment within its session, (n,) int64: 0 for its begin, the others in random order."""
    session = np.cumsum(begins)
    order = np.lexsort((np.where(begins, -1.0, rng.random(len(begins))), session))
    place = np.empty(len(begins), np.int64)
    place[order] = np.arange(len(begins)) - np.flatnonzero(begins)[session - 1]
    return place


@dataclass(frozen=True)
class Shelves:
    """The items behind requests: arrays (q, K)."""

    rows: np.ndarray  # int64 item rows, -1 pads
    chosen: np.ndarray  # bool: the row is learned from
    label: np.ndarray  # int8, 1 where the session has a click
    logged: np.ndarray  # bool: the session shows the item


def shelves(
    log: Log, requests: Requests, retrieved: np.ndarray, end: int, config: SampleConfig, rng: np.random.Generator
) -> Shelves:
    """Mark what the log before `end` says of `retrieved` (q, K), item rows, -1 pads, nearest first.

    Items that the user touched before the request are never chosen.
    """
    shelf = Shelves(retrieved, *(np.zeros(retrieved.shape, dtype) for dtype in (bool, np.int8, bool)))
    start = log.position(requests.user, requests.time)
    stop = log.position(requests.user, np.minimum(requests.time + config.session_seconds, end))
    for query, before in enumerate(log.touched(requests)):
        session = log.where(slice(start[query], stop[query]))
        clicked, shown = _session(session, before, config.logged, rng)
        rows = retrieved[query]
        others = np.flatnonzero((rows >= 0) & ~np.isin(rows, before) & ~np.isin(rows, session.item))
        logged = np.isin(rows, shown)
        shelf.logged[query] = shelf.chosen[query] = logged
        shelf.label[query] = np.isin(rows, clicked)
        shelf.chosen[query, _draw(others, config.retrieved, rng)] = True
    return shelf


def _session(log: Log, before: np.ndarray, most: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """The items new to the user that a session has clicked, and those it has clicked or viewed, `most` at most."""
    clicked = np.setdiff1d(log.item[log.positive], before)
    passed = np.setdiff1d(log.item[log.viewed], np.concatenate([clicked, before]))
    clicked = _draw(clicked, most, rng)
    return clicked, np.concatenate([clicked, _draw(passed, most - len(clicked), rng)])


def _draw(rows: np.ndarray, most: int, rng: np.random.Generator) -> np.ndarray:
    return rows if len(rows) <= most else np.sort(rng.choice(rows, most, replace=False))
