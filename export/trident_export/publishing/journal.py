"""What is under way: a file beside the repository, for whoever comes after a publisher that was killed.

It is there from before the first change until after the last one. The pointer says what is to be done then: an act that
has moved it is completed, one that has not is undone (`trident_export.publishing.recovery`).
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from trident.errors import ReleaseError
from trident_export.publishing import places
from trident_export.publishing.lock import now, who

PUBLISH, HOLD, DRY_RUN, ROLLBACK = "publish", "hold", "dry-run", "rollback"

STEPS = (
    "copy",  # the release into the staging folder
    "digests",  # of what was copied
    "examine",  # in a child process
    "arrange",  # version folders, in the staging folder
    "sync",  # to the disk
    "put away",  # releases that would push the serving one out
    "place",  # leaf configs and version folders, by renames
    "load leaves",
    "load users",  # their rows into Redis
    "flip",  # the ensemble's config
    "load ensemble",
    "verify",  # through the server
    "record",  # in the history
    "prune",  # what nothing goes back to
    "let go",  # the server unloads what was pruned
    "end",
)
"""The steps of a publish, in order; a rollback has the flip and those after it."""


@dataclass(frozen=True)
class Intent:
    """An act that is under way: what takes the place of which release, by whom, since when, and how far it is."""

    id: str
    act: str
    release: int
    before: int | None
    who: str
    since: str
    schema: str = ""  # feature schema of the release: its user rows in Redis are named after it
    rows: str | None = None  # what Redis said of the user rows that it held, before others were written
    step: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)  # for the history

    def text(self) -> str:
        """For messages."""
        return f"{self.act} of release {self.release} by {self.who}, begun {self.since}, at step '{self.step}'"


class Journal:
    """The journal of one act."""

    def __init__(self, repository: Path, intent: Intent) -> None:
        self.repository, self.intent = repository, intent

    @classmethod
    def begin(cls, repository: Path, act: str, release: int, before: int | None, **details: Any) -> Journal:
        """Write down what is going to happen."""
        journal = cls(repository, Intent(uuid.uuid4().hex, act, release, before, who(), now(), details=details))
        journal._write()
        return journal

    def step(self, name: str) -> None:
        """A step begins."""
        self.intent = replace(self.intent, step=name)
        with suppress(OSError):  # only for people; a full disk shows where it matters
            self._write(lasting=False)

    def note(self, **found: Any) -> None:
        """Add what has been found out: `schema` or `rows`, and details for the history."""
        own = {name: found.pop(name) for name in ("schema", "rows") if name in found}
        self.intent = replace(self.intent, **own, details={**self.intent.details, **found})
        self._write()

    def end(self) -> None:
        """Nothing is under way any more."""
        _path(self.repository).unlink(missing_ok=True)

    def _write(self, lasting: bool = True) -> None:
        path = _path(self.repository)
        places.replace(path, json.dumps(asdict(self.intent)), path.with_suffix(".draft"), lasting)


def unfinished(repository: Path) -> Journal | None:
    """The journal of an act that is under way, or that was killed; None when there is none."""
    path = _path(repository)
    try:
        content = json.loads(path.read_text("utf-8"))
        return Journal(repository, Intent(**{f.name: content[f.name] for f in fields(Intent)}))
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError):
        raise ReleaseError(
            f"{path.name} cannot be read: it should say which publish was under way; remove it when none is, "
            "and the version folders above the serving release with it"
        ) from None


def _path(repository: Path) -> Path:
    return places.beside(repository, "journal")
