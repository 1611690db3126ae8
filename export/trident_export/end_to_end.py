"""What the server would answer: its stages in one process, on a release as of the moment at which the test begins.

Of what comes later such a release knows nothing: item rows, index and user rows are as of that moment, and what is
published later is out of stock. Nothing is asked of Redis and nothing is remembered as shown. What a user had touched
before stands in for what he was shown, so that it is left out as it is for all other methods.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from trident.contract import DEFAULT_LIMIT, DEVICES, MAX_USERS, NO_ITEM
from trident.features.registry import place
from trident.pipeline import Pipeline
from trident.release import MANIFEST
from trident.requests import Tensors
from trident.safety import Safety
from trident.state.layout import UserRow
from trident.state.store import UserState
from trident_export.bystanders import Bystanders
from trident_export.catalogue import Catalogue
from trident_export.event_log import Requests
from trident_export.ground import Ground
from trident_export.index import one_thread
from trident_export.moments import Scene
from trident_export.question import Question
from trident_export.snapshot import manifest_of, write_snapshot
from trident_export.towers import Towers

RULES_OFF, RULES_ON = "end to end, rules off", "end to end, rules on"
NEUTRAL_RULES = Path(__file__).parent / "neutral_rules.toml"
MODELS = ("user_tower", "ranker")
TENURE = place("user_tenure_days")


@dataclass(frozen=True)
class Served:
    """The answers to a question, and who saw them from where."""

    lists: dict[str, np.ndarray]  # RULES_OFF and RULES_ON → (Q, 20) int64 item rows, best first, -1 pads
    region: np.ndarray  # (Q,) int32 as in `viewer_region`
    age: np.ndarray  # (Q,) int32 as in `viewer_age`
    safety: Safety
    touched: Sequence[np.ndarray]

    def allowed(self, query: int) -> np.ndarray:
        """Which items an answer to this request may hold: (n,) bool."""
        bitmap = self.safety.allowed(int(self.region[query]), int(self.age[query])).bitmap
        items = np.unpackbits(bitmap, count=len(self.safety.items), bitorder="little").astype(bool)
        items[self.touched[query]] = False
        return items


def end_to_end(
    folder: Path, models: Path, ground: Ground, towers: Towers, asked: Question, users: Scene, moment: int
) -> Served:
    """Answer a question by the whole path, with the rules off and on.

    `folder` takes a release as of `moment`; `models` is one whose `user_tower/`, `ranker/` and `rules.toml` are judged.
    `users` are those who ask, in that order; the times in it are those that their rows are as of.
    """
    write_release(folder / "on", models, ground, towers, users, moment)
    _with_rules(folder / "on", folder / "off", NEUTRAL_RULES)
    known = bystanders(ground, users, asked.touched)
    with one_thread():  # which is what the search of a serving process sets
        off, on = (_answers(Pipeline.open(folder / rules, known), ground, asked) for rules in ("off", "on"))
    return Served({RULES_OFF: off.rows, RULES_ON: on.rows}, on.region, on.age, on.safety, asked.touched)


def write_release(folder: Path, models: Path, ground: Ground, towers: Towers, users: Scene, moment: int) -> None:
    """Write a release as of `moment` around models that are there already; its files are not sealed."""
    for name in MODELS:
        shutil.copytree(models / name, folder / name)
    shutil.copyfile(models / "rules.toml", folder / "rules.toml")
    catalogue = published_by(ground.moments.catalogue, moment)
    search = write_snapshot(folder, ground, catalogue, towers, users, moment)
    manifest_of(ground, towers, search, moment, len(users)).write(folder / MANIFEST)


def _with_rules(release: Path, folder: Path, rules: Path) -> None:
    """Make a release of the same files with other rules."""
    folder.mkdir()
    for path in release.iterdir():
        (folder / path.name).symlink_to(path.resolve())
    (folder / "rules.toml").unlink()
    shutil.copyfile(rules, folder / "rules.toml")


def published_by(catalogue: Catalogue, moment: int) -> Catalogue:
    """The catalogue with all that comes out after `moment` out of stock."""
    return replace(catalogue, in_stock=catalogue.in_stock & (catalogue.published_at <= moment))


def bystanders(ground: Ground, users: Scene, touched: Sequence[np.ndarray]) -> Bystanders:
    """The state of `users`, with what they touched as shown; who is no member yet has no row."""
    known, items, regions = ground.moments.known_users, ground.moments.catalogue.ids, ground.moments.vocabulary.regions
    states = {}
    for query, user in enumerate(users.requests.user.tolist()):
        region, features = int(known.region[user]), users.users[query]
        row = UserRow(
            features, int(users.requests.time[query]), regions[region] if region >= 0 else "", int(known.age[user])
        )
        states[known.ids[user]] = UserState(
            row=None if features[TENURE] < 0 else row,
            history=_names(items, users.histories[query]),
            shown=_names(items, touched[query]),
        )
    return Bystanders(states)


def _names(ids: Sequence[str], rows: np.ndarray) -> tuple[bytes, ...]:
    return tuple(ids[row].encode() for row in rows[rows != NO_ITEM].tolist())


@dataclass(frozen=True)
class _Answers:
    safety: Safety
    rows: np.ndarray  # (Q, 20)
    region: np.ndarray  # (Q,)
    age: np.ndarray  # (Q,)


def _answers(pipeline: Pipeline, ground: Ground, asked: Question) -> _Answers:
    items, parts = pipeline.release.items, []
    for start in range(0, len(asked), MAX_USERS):
        part = asked.requests.take(np.arange(start, min(start + MAX_USERS, len(asked))))
        made = pipeline.trace(**inputs(part, ground))
        rows = items.rows(made["item_id"].ravel().tolist()).reshape(made["item_id"].shape)
        parts.append((rows, made["viewer_region"][:, 0], made["viewer_age"][:, 0]))
    return _Answers(pipeline.candidates.safety, *(np.concatenate(column) for column in zip(*parts, strict=True)))


def inputs(requests: Requests, ground: Ground) -> Tensors:
    """The public inputs of requests: who, on what device, where, when; not to be remembered."""
    users, regions = ground.moments.known_users.ids, ground.moments.vocabulary.regions

    def texts(names: Sequence[str], codes: np.ndarray) -> np.ndarray:
        return np.array([[names[code].encode() if code >= 0 else b""] for code in codes.tolist()], np.object_)

    return {
        "user_id": texts(users, requests.user),
        "device": texts(DEVICES, requests.device),
        "region": texts(regions, requests.region),
        "timestamp": requests.time[:, None].astype(np.int64),
        "limit": np.full((len(requests), 1), DEFAULT_LIMIT, np.int32),
        "record": np.zeros((len(requests), 1), bool),
    }
