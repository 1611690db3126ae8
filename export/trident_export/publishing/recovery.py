"""Completing or undoing an act: after an error in this process, and after another one was killed.

The pointer decides. An act that has moved the pointer on disk is completed, when the server answers with what it
points to; every other act is undone. Both can be begun again at any point, so that being killed in the middle of them
does no harm either.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from pathlib import Path

from trident.contract import LEAVES, MODELS, RECOMMEND
from trident.errors import ReleaseError, Unavailable, reason
from trident.repository import numbers_in_use, serving_release
from trident_export.publishing import history, places, pointer, probe, retention, staging, user_rows
from trident_export.publishing.journal import DRY_RUN, HOLD, PUBLISH, Journal, unfinished
from trident_export.publishing.server import Server

log = logging.getLogger("trident.publishing")

BRINGS_FOLDERS = (PUBLISH, HOLD, DRY_RUN)


def recover(repository: Path, server: Server | None) -> None:
    """Complete or undo what a killed process left; the log says which."""
    journal = unfinished(repository)
    if journal is None:
        staging.remove(repository)  # of one that was killed before it began
        return
    if server:
        _require_ours(journal, server)
    killed = journal.intent.text()
    if _moved(repository, journal) and _completed(journal, server):
        log.warning("completed a killed %s", killed)
    else:
        undo(journal, server)
        log.warning("undid a killed %s", killed)


def _completed(journal: Journal, server: Server | None) -> bool:
    """Complete an act; False when the server does not answer as it should, and there is something to go back to."""
    try:
        complete(journal, server)
    except Unavailable:
        if journal.intent.before in numbers_in_use(journal.repository):
            return False
        raise
    return True


def _require_ours(journal: Journal, server: Server) -> None:
    """Raise Unavailable unless the server serves one of the two releases that the act is about."""
    intent = journal.intent
    possible = [number for number in (intent.before, intent.release) if number is not None]
    if not any(server.control.serves(RECOMMEND.name, number) for number in possible):
        raise Unavailable(
            f"{server.control.url}: expected a server with release {' or '.join(map(str, possible))} of "
            f"'{RECOMMEND.name}', which the {intent.text()} was about; it serves neither: restart the server, or name "
            "the server of this repository"
        )


def _moved(repository: Path, journal: Journal) -> bool:
    intent = journal.intent
    if intent.act == HOLD:
        return any(line.get("id") == intent.id for line in history.read(repository))
    return serving_release(repository) == intent.release


def complete(journal: Journal, server: Server | None) -> None:
    """Have the server load what the pointer says, and do what is left of the act from there."""
    repository, intent = journal.repository, journal.intent
    if server and intent.act != HOLD:
        server.control.load([leaf.name for leaf in LEAVES], intent.release)
        bring = user_rows.bring if intent.act in BRINGS_FOLDERS else user_rows.bring_back
        bring(repository, intent.release, server)
        server.control.load([RECOMMEND.name], intent.release)
        journal.step("verify")
        probe.verify(server.control.url, intent.release)
    journal.step("record")
    history.record(repository, intent)
    finish(journal, server)


def finish(journal: Journal, server: Server | None) -> None:
    """After the record: remove what nothing goes back to, from the disk, from the server and from Redis.

    What the disk refuses now the next act does.
    """
    repository, intent = journal.repository, journal.intent
    try:
        if intent.act in BRINGS_FOLDERS:
            journal.step("prune")
            gone = retention.prune(repository, retention.kept(repository) | {intent.release})
            journal.step("let go")
            if gone:
                retention.let_go(server)
            _forget_users(repository, server)
        journal.step("end")
        staging.remove(repository)
        journal.end()
    except OSError as error:
        raise ReleaseError(
            f"release {intent.release} is in '{repository.name}', but what is old could not be removed: "
            f"{reason(error)}; the next publish or rollback does it"
        ) from None


def _forget_users(repository: Path, server: Server | None) -> None:
    for folder in (staging.AWAY, staging.REMOVED):
        user_rows.forget(repository, places.staging(repository) / folder, server)


def undo(journal: Journal, server: Server | None) -> None:
    """Everything as it was before the act: configs, folders, the server, user rows."""
    repository, intent = journal.repository, journal.intent
    moved = _moved(repository, journal) and intent.act != HOLD
    if intent.before is None:
        pointer.config_file(RECOMMEND, repository).unlink(missing_ok=True)
    pointer.restore_configs(repository)
    if server and moved:
        server.control.restore([RECOMMEND.name])
        with suppress(OSError):  # a full disk may be why
            history.record(repository, intent, history.TAKEN_BACK)
    if intent.act in BRINGS_FOLDERS:
        staging.move_back(repository)  # first, since what comes back reads user rows too
        if server and intent.rows is not None:
            user_rows.take_back(repository, intent.release, intent.schema, intent.rows, server)
        staging.move_out(repository, {intent.release}, staging.REMOVED)
        pointer.remove_new_models(repository)
    if server:
        server.control.restore([model.name for model in MODELS if (repository / model.name).is_dir()])
    staging.remove(repository)
    journal.end()
