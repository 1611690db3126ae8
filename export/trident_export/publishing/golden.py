"""Golden requests: what a release answers to some users in one process, written down when it is built.

Whoever gets the release asks the same again before it may serve. The users are those of the release itself, as they are
right after its rows were loaded, and a stranger; neither Redis nor the time of day has a say.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from trident.contract import DEFAULT_LIMIT, DEVICES, MAX_LIMIT, RECOMMEND
from trident.errors import InvalidInput, ReleaseError
from trident.pipeline import Pipeline
from trident.release import MANIFEST, Manifest, Release
from trident.requests import Tensors
from trident.rules import Rules
from trident.users import UserRows
from trident_export.bystanders import Bystanders, of_release
from trident_export.parts import seal

STRANGER = "a user nobody knows"
KNOWN = 6
TOLERANCE = 1e-5
"""Largest difference of a score, as a share of it: other processors round the last bits in another way."""
ASKED: Mapping[str, type] = {"user_id": str, "device": str, "region": str, "timestamp": int, "limit": int}
KINDS: Mapping[str, type] = {**ASKED, "item_id": list, "score": list}

Golden = Mapping[str, Any]
"""The inputs of ASKED, and with them `item_id` and `score`, the answer from its best item on."""


def golden_requests(folder: Path) -> tuple[Golden, ...]:
    """Ask the release in `folder`, whose manifest may still lack them, and return requests with their answers."""
    release = Release.open(folder)
    rows, requests = _requests(release)
    pipeline = Pipeline.open(folder, _users(release, rows))
    try:
        return tuple({**request, **_answer(pipeline, request)} for request in requests)
    finally:
        pipeline.close()


def write_golden(folder: Path) -> Manifest:
    """Put the golden requests of the release in `folder`, which is otherwise whole, into its manifest."""
    return seal(folder, replace(Manifest.read(folder / MANIFEST), golden=golden_requests(folder)))


def replay(release: Release) -> None:
    """Raise ReleaseError unless the release gives its golden answers; the text names the request and both values."""
    golden = release.manifest.golden
    if not golden:
        raise ReleaseError(f"{MANIFEST}: expected golden requests, got none: build the release again")
    for number, request in enumerate(golden, 1):
        _check(number, request, moment(release.manifest))
    wanted = {str(request["user_id"]) for request in golden}
    pipeline = Pipeline.open(release.folder, _users(release, list(_rows_of(release, wanted))))
    try:
        for number, request in enumerate(golden, 1):
            _compare(number, request, _answer(pipeline, request))
    finally:
        pipeline.close()


def ask(pipeline: Pipeline, **request: Any) -> Tensors:
    """Ask one user's request with what `request` says, by the names of the public inputs; nothing is remembered."""
    tensors = {"record": np.array([[False]])}
    for name, value in request.items():
        spec = RECOMMEND.input(name)
        tensors[name] = np.array([[value.encode() if isinstance(value, str) else value]], spec.numpy_dtype)
    return pipeline(**tensors)


def moment(manifest: Manifest) -> int:
    """The unix second at which golden requests are asked."""
    return max(manifest.as_of, 1)  # 0 would be now


def items_of(answer: Tensors) -> list[str]:
    """The item ids of an answer to one user, best first, without the pads."""
    return [item.decode() for item in answer["item_id"][0] if item]


def _requests(release: Release) -> tuple[list[int], list[Golden]]:
    """Rows of known users, and the requests: on every device, at home and abroad, by a stranger, long and short."""
    users = UserRows.open(release.folder / "users")
    rows = np.unique(np.linspace(0, len(users) - 1, KNOWN).astype(int)).tolist() if len(users) else []
    time = moment(release.manifest)
    regions = ["", *(name for name in release.vocabulary.regions if re.fullmatch("[A-Z]{2}", name))]
    names = [*(users.ids[row].decode() for row in rows), STRANGER, STRANGER]
    requests: list[Golden] = []
    for n, name in enumerate(names):
        region = regions[n % len(regions)] if n % 2 else ""
        limit = {0: MAX_LIMIT, len(names) - 1: 5}.get(n, DEFAULT_LIMIT)
        asked = (name, ("", *DEVICES)[n % (1 + len(DEVICES))], region, time, limit)
        requests.append(dict(zip(ASKED, asked, strict=True)))
    return rows, requests


def _users(release: Release, rows: Sequence[int]) -> Bystanders:
    users, rules = UserRows.open(release.folder / "users"), Rules.read(release.folder / "rules.toml")
    return of_release(release, users, rules, rows)


def _rows_of(release: Release, wanted: set[str]) -> Iterator[int]:
    """Rows of the users that are named; a name that the release does not have is a stranger's."""
    users = UserRows.open(release.folder / "users")
    names = {name.encode() for name in wanted}
    for start in range(0, len(users), 100_000):
        rows = np.arange(start, min(start + 100_000, len(users)))
        yield from (int(row) for row, name in zip(rows, users.ids.take(rows), strict=True) if name in names)


def _answer(pipeline: Pipeline, request: Golden) -> dict[str, Any]:
    try:
        answer = ask(pipeline, **{name: request[name] for name in ASKED})
    except InvalidInput as error:
        raise ReleaseError(f"golden request of user {request['user_id']!r}: {error}") from None
    items = items_of(answer)
    return {"item_id": items, "score": [float(score) for score in answer["score"][0, : len(items)]]}


def _check(number: int, request: Any, time: int) -> None:
    """Raise ReleaseError unless this is a request with an answer, as of `time`."""
    if not isinstance(request, dict) or set(request) != set(KINDS):
        raise ReleaseError(f"golden request {number}: expected {', '.join(KINDS)}, got {_shown(request)}")
    for name, kind in KINDS.items():
        if type(request[name]) is not kind:
            raise ReleaseError(f"golden request {number}: {name}: expected {kind.__name__}, got {request[name]!r}")
    if request["timestamp"] != time:
        raise ReleaseError(f"golden request {number}: timestamp: expected {time}, got {request['timestamp']}")
    items, scores = request["item_id"], request["score"]
    if len(items) != len(scores) or not all(isinstance(s, float) and np.isfinite(s) for s in scores):
        raise ReleaseError(f"golden request {number}: expected a finite score per item, got {len(items)}, {scores[:3]}")
    if not items:
        raise ReleaseError(f"golden request {number}: expected an answer with items, got none")


def _shown(request: Any) -> str:
    return ", ".join(map(str, request)) if isinstance(request, dict) else repr(request)[:80]


def _compare(number: int, request: Golden, got: Golden) -> None:
    """Raise ReleaseError at the first place where item or score differ; items of one score may change places."""
    where = f"golden request {number}, user {request['user_id']!r}"
    items, scores = request["item_id"], np.array(request["score"])
    if len(items) != len(got["item_id"]):
        raise ReleaseError(f"{where}: expected {len(items)} items, got {len(got['item_id'])}")
    found = np.array(got["score"])
    equal = np.abs(found - scores) <= TOLERANCE * np.abs(scores)
    for place, (expected, item) in enumerate(zip(items, got["item_id"], strict=True)):
        if not equal[place] or not (item == expected or _tied(item, place, items, scores)):
            raise ReleaseError(
                f"{where}, place {place + 1}: expected item {expected} with score {scores[place]:.6g}, "
                f"got {item} with {found[place]:.6g}"
            )


def _tied(item: str, place: int, items: Sequence[str], scores: np.ndarray) -> bool:
    """Whether an item is expected elsewhere with the score of this place."""
    return item in items and abs(scores[items.index(item)] - scores[place]) <= TOLERANCE * abs(scores[place])
