"""What of a repository is kept: the serving release, the one before it, and one that is held or a canary."""

from __future__ import annotations

from pathlib import Path

from trident.contract import LEAVES
from trident.repository import numbers_in_use, serving_release
from trident_export.publishing import history, staging, user_rows
from trident_export.publishing.server import Server


def kept(repository: Path) -> set[int]:
    """The serving release and the one to which a rollback goes; one of another format is nothing to go back to."""
    serving = serving_release(repository)
    if serving is None:
        return set()
    there = {n for n in numbers_in_use(repository) - {serving} if user_rows.schema_of(repository, n)}
    before = history.predecessor(repository, serving, there)
    return {serving} if before is None else {serving, before}


def prune(repository: Path, kept: set[int]) -> set[int]:
    """Move every other release out of the repository, into the staging folder; returns their numbers."""
    gone = numbers_in_use(repository) - kept
    staging.move_out(repository, gone, staging.REMOVED)
    return gone


def let_go(server: Server | None) -> None:
    """Have the server look again, so that it unloads what is not there any more."""
    if server:
        server.control.restore([leaf.name for leaf in LEAVES])
