"""What was done to a repository: one line of JSON per act, oldest first.

    {"id", "act", "release", "before", "who", "when", ...}   and what the act adds: metrics, checks, reason, source

Acts that move the pointer are "publish", "rollback" and "promote"; "hold" puts a release there that does not serve;
"taken back" tells of a release that served for a moment and failed. Other acts may follow.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from trident.repository import numbers_in_use
from trident_export.publishing import places
from trident_export.publishing.journal import HOLD, PUBLISH, ROLLBACK, Intent
from trident_export.publishing.lock import now

PROMOTE, TAKEN_BACK = "promote", "taken back"
Line = dict[str, Any]


def read(repository: Path) -> list[Line]:
    """All lines; one that is torn or not ours is passed over."""
    path = places.beside(repository, "history.jsonl")
    if not path.is_file():
        return []
    found = (_parsed(line) for line in path.read_text("utf-8", "replace").splitlines())
    return [line for line in found if line is not None]


def _parsed(text: str) -> Line | None:
    try:
        line = json.loads(text)
        return line if isinstance(line["act"], str) and isinstance(line["release"], int) else None
    except (ValueError, KeyError, TypeError):
        return None


def record(repository: Path, intent: Intent, act: str = "", **details: Any) -> None:
    """Add the line of an act, once; a disk that cannot take all of it is left without it (OSError)."""
    act = act or intent.act
    if any((line.get("id"), line["act"]) == (intent.id, act) for line in read(repository)):
        return
    line = {"id": intent.id, "act": act, "release": intent.release, "before": intent.before, "who": intent.who}
    text = json.dumps({**line, "when": now(), **intent.details, **details}, ensure_ascii=False)
    path = places.beside(repository, "history.jsonl")
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        _append(handle, text.encode())
    finally:
        os.close(handle)
    places.sync(path.parent)


def _append(handle: int, text: bytes) -> None:
    size = os.fstat(handle).st_size
    torn = size > 0 and os.pread(handle, 1, size - 1) != b"\n"
    try:
        whole = (b"\n" if torn else b"") + text + b"\n"
        if os.write(handle, whole) != len(whole):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.fsync(handle)
    except OSError:
        os.ftruncate(handle, size)
        raise


def next_number(repository: Path) -> int:
    """A number that no release of this repository ever had."""
    return max((*numbers_in_use(repository), *(line["release"] for line in read(repository))), default=0) + 1


def served(lines: Sequence[Line]) -> list[int]:
    """The releases that led to the serving one, oldest first; what a rollback left is not among them."""
    stack: list[int] = []
    for line in lines:
        act, number = line["act"], line["release"]
        if act == ROLLBACK and number in stack:
            del stack[stack.index(number) + 1 :]
        elif act in (PUBLISH, PROMOTE, ROLLBACK):
            stack = [n for n in stack if n != number] + [number]
    return stack


def predecessor(repository: Path, serving: int, there: set[int]) -> int | None:
    """The release of `there` to which a rollback from `serving` goes: what served before it. None: nothing is left."""
    lines = read(repository)
    stack = served(lines)
    before = [n for n in stack[: stack.index(serving)] if n in there] if serving in stack else []
    known = {line["release"] for line in lines}
    older = [n for n in sorted(there - known) if n < serving]  # than the history
    return next(reversed(older + before), None)


def held(lines: Sequence[Line]) -> set[int]:
    """Releases that were put there without serving, and have not served since."""
    found: set[int] = set()
    for line in lines:
        (found.add if line["act"] == HOLD else found.discard)(line["release"])
    return found


def withdrawn(lines: Sequence[Line]) -> set[int]:
    """Releases that served and were rolled back."""
    everything = {line["release"] for line in lines if line["act"] in (PUBLISH, PROMOTE)}
    return everything - set(served(lines))
