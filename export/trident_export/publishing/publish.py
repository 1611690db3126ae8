"""Publishing: a release folder becomes version N of every model, and the ensemble points to it last.

Everything is prepared beside the repository on the same file system and checked before a loader of the server sees it;
then folders are renamed into place, the leaves are loaded, and replacing the ensemble's config is the flip, after which
the server itself has to answer. Whatever fails is undone, and the release that served goes on serving.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from trident.contract import LEAVES, RECOMMEND
from trident.errors import ReleaseError
from trident.release import Release
from trident.repository import numbers_in_use, serving_release
from trident.users import UserRows
from trident_export.publishing import canary, history, places, pointer, probe, retention, staging, user_rows
from trident_export.publishing.journal import DRY_RUN, PUBLISH, Journal
from trident_export.publishing.lock import locked
from trident_export.publishing.recovery import finish, recover, undo
from trident_export.publishing.server import Server
from trident_export.publishing.trial import Check, Limits, examine

__all__ = ["Options", "Server", "publish"]


@dataclass(frozen=True)
class Options:
    """How far a publish goes, and what is asked of the release.

    `override` is the reason for publishing although a quality gate fails, "" for none.
    """

    act: str = PUBLISH  # or HOLD: all but the flip, or DRY_RUN: all but the flip, and everything is undone
    override: str = ""
    gates: Mapping[str, Any] = field(default_factory=dict)
    limits: Limits = field(default_factory=Limits)


def publish(
    release_folder: Path,
    repository: Path,
    server: Server | None = None,
    options: Options | None = None,
    on_checks: Callable[[list[Check]], object] | None = None,
) -> int:
    """Put a release into `repository` and return its number; `server` is flipped as well when one is running.

    The release that served before is kept, to go back to. `on_checks` is told how the quality gates went. Raises
    ReleaseError that says which check failed, or Unavailable when the server does not answer; then nothing has changed.
    """
    options = options or Options()
    release = Release.open(release_folder)
    with locked(repository), staging.disk_errors(repository):
        places.require_one_file_system(repository)
        recover(repository, server)
        canary.require_none(repository, server)
        before = serving_release(repository)
        if server and before is not None:
            server.control.require(RECOMMEND.name, before)
        number = history.next_number(repository)
        journal = Journal.begin(repository, options.act, number, before, source=release.folder.resolve().name)
        try:
            staging.empty(repository)
            _prepare(release, journal, server, options, on_checks)
            _bring(journal, server)
            if options.act == PUBLISH:
                _flip(journal, server)
            if options.act != DRY_RUN:
                journal.step("record")
                history.record(repository, journal.intent)
        except BaseException:
            undo(journal, server)
            raise
        if options.act == DRY_RUN:
            undo(journal, server)
        else:
            finish(journal, server)
            canary.install_router(repository, server)
    return number


def _prepare(
    release: Release, journal: Journal, server: Server | None, options: Options, on_checks: Callable | None
) -> None:
    """Copy and check the release, and lay out its version folders, all of it beside the repository."""
    repository, intent = journal.repository, journal.intent
    journal.step("copy")
    copied = staging.copy(release.folder, repository)
    journal.step("digests")
    copied.verify()
    journal.step("examine")
    if server and not server.rows_in_redis:
        user_rows.require_in_feast(copied.folder, copied.manifest.feature_schema, server)
    against = None if intent.before is None else (repository.resolve(), intent.before)
    checks = examine(copied.folder, against, options.gates, options.limits)
    if on_checks:
        on_checks(checks)
    _require_passed(checks, options.override)
    journal.note(schema=copied.manifest.feature_schema, checks=checks, override=options.override)
    journal.step("arrange")
    staging.arrange(copied, repository, intent.release)
    journal.step("sync")
    staging.sync(repository)


def _require_passed(checks: list[Check], override: str) -> None:
    failed = [check for check in checks if not check["passed"]]
    if failed and not override:
        raise ReleaseError(
            "; ".join(_words(check) for check in failed)
            + ': not published; with `--force --reason "..."` it is, and the reason is recorded'
        )


def _words(check: Check) -> str:
    running = "" if check["running"] is None else f" (the serving release: {check['running']})"
    return f"quality gate {check['name']}: expected {check['limit']}, got {check['got']}{running}"


def _bring(journal: Journal, server: Server | None) -> None:
    """Put the version folders into place and have the server load the leaves."""
    repository, number = journal.repository, journal.intent.release
    journal.step("put away")
    staging.move_out(repository, numbers_in_use(repository) - _kept_loaded(journal), staging.AWAY)
    journal.step("place")
    pointer.place(repository, number)
    staging.drop_copy(repository)
    if not server:
        return
    journal.step("load leaves")
    server.control.load([leaf.name for leaf in LEAVES], number)
    journal.step("load users")
    if server.rows_in_redis and journal.intent.act != DRY_RUN:
        journal.note(rows=user_rows.held(server))
        user_rows.bring(repository, number, server)


def _kept_loaded(journal: Journal) -> set[int]:
    """What stays in the repository beside the new release from the start.

    What the flip would make superfluous goes before the leaves are loaded: one load lets go of it and takes the new
    one, while a second load would have Triton start the new one's processes again.
    """
    before = journal.intent.before
    if journal.intent.act == PUBLISH and before is not None:
        return {before}
    return retention.kept(journal.repository)


def _flip(journal: Journal, server: Server | None) -> None:
    """Move the pointer, and see that the server answers with what it points to."""
    repository, number = journal.repository, journal.intent.release
    journal.step("flip")
    pointer.point(repository, number)
    if server:
        journal.step("load ensemble")
        server.control.load([RECOMMEND.name], number)
        journal.step("verify")
        probe.verify(server.control.url, number, known_users(repository, number))


def known_users(repository: Path, number: int) -> list[str]:
    """A user whom the release knows, when it knows any."""
    ids = UserRows.open(repository / "user_encoder" / str(number) / "users").ids
    return [ids[len(ids) - 1].decode()] if len(ids) else []
