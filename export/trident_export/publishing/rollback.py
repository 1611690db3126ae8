"""Going back: the pointer moves to a release that is still there and loaded, which takes no copying and no building."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trident.contract import LEAVES, MODELS, RECOMMEND
from trident.errors import ReleaseError
from trident.release import MANIFEST, Manifest, fingerprint
from trident.repository import numbers_in_use, serving_release
from trident_export.publishing import canary, history, pointer, probe, staging, user_rows
from trident_export.publishing.journal import ROLLBACK, Journal
from trident_export.publishing.lock import locked
from trident_export.publishing.recovery import finish, recover, undo
from trident_export.publishing.server import Server

LARGE = 8 << 20  # bytes: what is larger is mapped by the models that have it loaded, and is not read again


def rollback(repository: Path, server: Server | None = None, to: int | None = None) -> int:
    """Let release `to` serve again, by default the one that served before; return its number.

    Raises ReleaseError when there is nothing to go back to, or Unavailable when the server does not answer with it;
    then nothing has changed.
    """
    if not repository.is_dir():
        raise ReleaseError(f"there is no model repository at '{repository}'")
    with locked(repository), staging.disk_errors(repository):
        recover(repository, server)
        canary.require_none(repository, server)
        serving = serving_release(repository)
        if serving is None:
            raise ReleaseError(f"no release in '{repository}': `trident publish` puts one there")
        number = _target(repository, serving, to)
        _require_whole(repository, number)
        if server:
            server.control.require(RECOMMEND.name, serving)
        journal = Journal.begin(repository, ROLLBACK, number, serving)
        try:
            staging.empty(repository)
            _flip(journal, server)
            journal.step("record")
            history.record(repository, journal.intent)
        except BaseException:
            undo(journal, server)
            raise
        finish(journal, server)
    return number


def _target(repository: Path, serving: int, to: int | None) -> int:
    there = numbers_in_use(repository)
    if to is not None:
        if to == serving:
            raise ReleaseError(f"release {to} serves already")
        if to not in there:
            raise ReleaseError(f"release {to} is not there any more: expected one of {sorted(there - {serving})}")
        return to
    number = history.predecessor(repository, serving, there)
    if number is None:
        others = sorted(there - {serving})
        hint = f"; `--to` takes {' or '.join(map(str, others))}" if others else ""
        raise ReleaseError(f"nothing is left to go back to: nothing served before release {serving}{hint}")
    return number


def _require_whole(repository: Path, number: int) -> None:
    """Raise ReleaseError unless every model has a version folder of that release, with what is small undamaged."""
    for contract in MODELS:
        folder = repository / contract.name / str(number)
        if not folder.is_dir():
            raise ReleaseError(f"release {number} is not whole: '{contract.name}' has no folder of it")
    stated = Manifest.read(repository / "user_encoder" / str(number) / MANIFEST).files
    for contract in LEAVES:
        for here, there in contract.files.items():
            path = repository / contract.name / str(number) / here
            if here != MANIFEST and not here.endswith("/"):
                _require_sound(path, stated[there])


def _require_sound(path: Path, stated: Mapping[str, Any]) -> None:
    if path.stat().st_size > LARGE:
        return
    actual = fingerprint(path)
    if actual != dict(stated):
        raise ReleaseError(f"{path.name}: expected sha256 {stated['sha256']}, got {actual['sha256']}")


def _flip(journal: Journal, server: Server | None) -> None:
    repository, number = journal.repository, journal.intent.release
    if server:
        journal.step("load leaves")
        missing = [leaf.name for leaf in LEAVES if not server.control.serves(leaf.name, number)]
        server.control.load(missing, number)
        journal.step("load users")
        user_rows.bring_back(repository, number, server)
    journal.step("flip")
    pointer.point(repository, number)
    if server:
        journal.step("load ensemble")
        server.control.load([RECOMMEND.name], number)
        journal.step("verify")
        probe.verify(server.control.url, number)
