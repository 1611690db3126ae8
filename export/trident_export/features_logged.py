"""Rows that production has logged against the rows that training makes of the same answers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from trident.contract import NO_ITEM, USER_ENCODER
from trident.errors import InvalidInput
from trident.features.registry import ALL
from trident.users import HISTORY
from trident_export.event_log import UNKNOWN
from trident_export.features_check import Differences
from trident_export.features_replay import Offline, Replay
from trident_export.impressions_pull import FEATURE_ROWS, ROWS

STATELESS = "user_state_unavailable"
STRANGER = "cold_start"


@dataclass
class LoggedReport:
    """What a comparison of logged rows found; answers that could not be compared are counted by reason."""

    tolerance: float
    answers: int = 0
    releases: set[int] = field(default_factory=set)
    left_out: dict[str, int] = field(default_factory=dict)
    differences: Differences = field(default_factory=Differences)

    @property
    def wrong(self) -> list[str]:
        """The features that differ by more than the tolerance."""
        return self.differences.beyond(self.tolerance)

    def as_dict(self) -> dict[str, Any]:
        """The report as JSON can hold it."""
        return {
            "releases": sorted(self.releases),
            "answers": self.answers,
            "rows": self.differences.compared,
            "left_out": self.left_out,
            "tolerance": self.tolerance,
            "wrong": self.wrong,
            "features": self.differences.by_feature(),
        }


@dataclass(frozen=True)
class Answer:
    """The rows of one answer in the files: `rows` (n, 120) as they were served."""

    asked: dict[str, Any]
    items: list[bytes]
    rows: np.ndarray
    candidates: np.ndarray  # (K,) item rows, -1 pads
    similarity: np.ndarray  # (K,)


class Releases:
    """The releases of a repository, opened when a row of them comes; None for one that is not there."""

    def __init__(self, repository: Path, log: Path | None) -> None:
        self._repository, self._log = repository, log
        self._opened: dict[int, tuple[Offline, dict[bytes, int]] | None] = {}

    def of(self, number: int) -> tuple[Offline, dict[bytes, int]] | None:
        """A release, and the rows of its users by id."""
        if number not in self._opened:
            there = (self._repository / USER_ENCODER.name / str(number)).is_dir()
            self._opened[number] = self._open(number) if there else None
        return self._opened[number]

    def _open(self, number: int) -> tuple[Offline, dict[bytes, int]]:
        offline = Offline.open(self._repository, number, self._log)
        ids = offline.users.ids.take(np.arange(len(offline.users.ids)))
        return offline, {user: row for row, user in enumerate(ids)}


def check_logged(repository: Path, folder: Path, *, tolerance: float = 0.0, log: Path | None = None) -> LoggedReport:
    """Compare the rows in `folder`/feature_rows.parquet with those of the releases in `repository` that served them.

    `log` as in `Offline.open`. What the search found is taken from the rows: the candidates and their similarities; all
    else is computed from the release, the request's user, time, device and region. Raises InvalidInput without rows.
    """
    releases, report = Releases(repository, log), LoggedReport(tolerance)
    for answer in _answers(folder):
        problem = _compare(releases, answer, report)
        if problem:
            report.left_out[problem] = report.left_out.get(problem, 0) + 1
    return report


def _compare(releases: Releases, answer: Answer, report: LoggedReport) -> str:
    """Compare one answer; returns why it cannot be compared, or nothing."""
    degraded, number = answer.asked["degraded"].split(","), answer.asked["release"]
    if STATELESS in degraded:
        return "the user's state was unavailable"
    found = releases.of(number)
    if found is None:
        return "the release is no longer in the repository"
    offline, users = found
    rows = offline.release.items.rows(answer.items)
    places = (answer.candidates[None] == rows[:, None]).argmax(axis=1)
    if (rows == NO_ITEM).any() or (answer.candidates[places] != rows).any():
        return "the items are not those of the release"
    user = UNKNOWN if STRANGER in degraded else users.get(answer.asked["user_id"].encode(), UNKNOWN)
    expected = _matrix(offline, answer, user)
    report.differences.add(answer.rows, expected[places])
    report.answers += 1
    report.releases.add(number)
    return ""


def _matrix(offline: Offline, answer: Answer, user: int) -> np.ndarray:
    """The rows (K, 120) that training makes of all candidates of an answer to the user in row `user`."""
    asked, time = answer.asked, np.array([int(answer.asked["timestamp"].timestamp())])
    replay = Replay(
        np.array([user]), [asked["user_id"].encode()], [asked["device"] or ""], [asked["location"] or ""], time
    )
    nothing = np.full((1, HISTORY), NO_ITEM, np.int64)  # what was liked counts in the similarity alone
    return offline.rows(offline.scene(replay, time, nothing), answer.candidates[None], answer.similarity[None])[0]


def _answers(folder: Path) -> Iterator[Answer]:
    """The answers in the files, part by part; the rows of one lie together, the first at position 1."""
    parts = sorted((folder / f"{FEATURE_ROWS}.parquet").glob("*.parquet"))
    if not parts:
        raise InvalidInput(f"{folder}: expected rows in {FEATURE_ROWS}.parquet from `trident data pull`, got none")
    for part in parts:
        try:
            table = pq.read_table(part, schema=ROWS)
        except (OSError, pa.ArrowInvalid) as error:
            raise InvalidInput(
                f"{part}: expected logged feature rows, got a file that cannot be read: {error}"
            ) from None
        begins = np.flatnonzero(table["position"].to_numpy() == 1).tolist()
        for begin, end in zip(begins, [*begins[1:], len(table)], strict=True):
            yield _answer(table.slice(begin, end - begin))


def _answer(table: pa.Table) -> Answer:
    first = (
        table.slice(0, 1).select(["user_id", "timestamp", "release", "device", "location", "degraded"]).to_pylist()[0]
    )
    return Answer(
        first,
        [item.encode() for item in table["item_id"].to_pylist()],
        np.column_stack([table[feature.name].to_numpy() for feature in ALL]),
        np.asarray(table["candidates"][0].values.to_numpy(), np.int64),
        table["similarities"][0].values.to_numpy(),
    )
