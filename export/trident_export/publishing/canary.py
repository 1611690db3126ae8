"""The canary: a second ensemble that pins another release, and the router that sends a share of the users to it.

The config of `recommend_canary` is the truth: it names experiment, share and release. Every act changes it in one step
and then has the rest follow (`settle`), which may be begun again at any point: so an act that was killed is completed
by the next one. A canary is loaded and has answered before the router is told, and the router has been told before it
is unloaded; a request that comes too late for it is answered by `recommend`.
"""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from trident import model_config
from trident.canary import Canary
from trident.contract import MODELS, RECOMMEND, RECOMMEND_AB, RECOMMEND_CANARY, ROUTER_VERSION
from trident.errors import ReleaseError, Unavailable
from trident.locations import model_repository
from trident.repository import canary_of, numbers_in_use, serving_release
from trident_export.publishing import history, places, pointer, probe, recovery, staging, user_rows
from trident_export.publishing.journal import Intent, Journal
from trident_export.publishing.lock import locked, now, who
from trident_export.publishing.server import Server

EXPERIMENT = "canary"
START, SHARE, STOP = "canary", "canary share", "canary stop"
"""Acts in the history; `promote` is one more."""


def start(repository: Path, release: int, share: float, experiment: str, server: Server | None = None) -> Canary:
    """Let `share` (0 to 1) of the users see `release`; for the canary that runs already, change its share.

    Without a name of the experiment it is that of the canary that runs, or EXPERIMENT.
    Raises ReleaseError when that release is not there or serves anyway, Unavailable when the server does not take it;
    then everything is as it was.
    """
    with _alone(repository, server) as serving:
        before = canary_of(repository)
        name = experiment or (before.experiment if before else EXPERIMENT)
        canary = Canary(name, share, release, now(), who())
        _require_fit(repository, canary, before, serving)
        if before:
            canary = replace(canary, since=before.since, who=before.who)
        user_rows.bring_back(repository, release, server)
        try:
            _say(repository, canary)
            settle(repository, server)
            _record(repository, SHARE if before else START, canary, serving)
        except BaseException:
            _say(repository, before)
            _settle_if_it_can(repository, server)
            raise
    return canary


def stop(repository: Path, server: Server | None = None) -> Canary:
    """Send everybody to `recommend` again; returns the canary that ended. Its release stays in the repository."""
    with _alone(repository, server) as serving:
        canary = _require(repository)
        _say(repository, None)
        settle(repository, server)
        _record(repository, STOP, canary, serving)
    return canary


def promote(repository: Path, server: Server | None = None) -> Canary:
    """Let the release of the canary serve everybody; returns the canary that ended."""
    with _alone(repository, server) as serving:
        canary = _require(repository)
        staging.empty(repository)
        journal = Journal.begin(repository, history.PROMOTE, canary.release, serving, experiment=canary.experiment)
        try:
            journal.step("flip")
            pointer.point(repository, canary.release)
            recovery.complete(journal, server)
        except BaseException:
            recovery.undo(journal, server)
            raise
        _say(repository, None)
        settle(repository, server)
    return canary


def settle(repository: Path, server: Server | None) -> None:
    """Have router and server follow what the config of `recommend_canary` says; a canary that serves has ended."""
    canary = canary_of(repository)
    if canary and canary.release == serving_release(repository):
        _say(repository, None)
        canary = None
    if canary and server:
        server.control.load([RECOMMEND_CANARY.name], canary.release)
        probe.verify(server.control.url, canary.release, model=RECOMMEND_CANARY.name)
    install_router(repository, server)
    if canary is None and (repository / RECOMMEND_CANARY.name).is_dir():
        if server:
            server.control.unload([RECOMMEND_CANARY.name])
        shutil.rmtree(repository / RECOMMEND_CANARY.name, ignore_errors=True)


def install_router(repository: Path, server: Server | None) -> None:
    """Give the repository its router, and have it say what `recommend_canary` says; what is right is left alone."""
    folder, canary = repository / RECOMMEND_AB.name, canary_of(repository)
    code = model_repository() / RECOMMEND_AB.name / str(ROUTER_VERSION) / "model.py"
    version = folder / str(ROUTER_VERSION)
    version.mkdir(parents=True, exist_ok=True)
    if not (version / "__pycache__").exists():
        (version / "__pycache__").touch()  # where Python would put its cache: a folder that changes is loaded again
    _write(version / "model.py", code.read_text("utf-8"), repository)
    _write(folder / "config.pbtxt", model_config.text_of_experiment(RECOMMEND_AB, canary), repository)
    if server:
        server.control.load([RECOMMEND_AB.name], ROUTER_VERSION)


def require_none(repository: Path, server: Server | None = None) -> None:
    """Raise ReleaseError while a canary runs: one experiment at a time. What is left of one that ended is removed."""
    canary = canary_of(repository)
    if canary and canary.release != serving_release(repository):
        raise ReleaseError(
            f"release {canary.release} is a canary: `trident canary promote` or `trident canary stop` first"
        )
    if (repository / RECOMMEND_CANARY.name).is_dir():
        settle(repository, server)


@contextmanager
def _alone(repository: Path, server: Server | None) -> Iterator[int]:
    """The lock, with what a killed process left completed or undone; gives the number of the serving release."""
    if not repository.is_dir():
        raise ReleaseError(f"there is no model repository at '{repository}': `trident publish` makes one")
    with locked(repository), staging.disk_errors(repository):
        recovery.recover(repository, server)
        serving = serving_release(repository)
        if serving is None:
            raise ReleaseError(f"'{repository.name}' serves no release yet: `trident publish` comes first")
        if server:
            server.control.require(RECOMMEND.name, serving)
        yield serving


def _require(repository: Path) -> Canary:
    canary = canary_of(repository)
    if canary is None:
        raise ReleaseError("no canary runs: `trident canary start` starts one")
    return canary


def _require_fit(repository: Path, canary: Canary, before: Canary | None, serving: int) -> None:
    if before and (before.release, before.experiment) != (canary.release, canary.experiment):
        raise ReleaseError(
            f"the experiment '{before.experiment}' with release {before.release} runs: "
            "`trident canary promote` or `trident canary stop` first"
        )
    if canary.release == serving:
        raise ReleaseError(f"release {serving} serves already: expected another one for a canary")
    if not all((repository / model.name / str(canary.release)).is_dir() for model in MODELS):
        there = ", ".join(str(n) for n in sorted(numbers_in_use(repository) - {serving})) or "none besides"
        raise ReleaseError(
            f"release {canary.release} is not in '{repository.name}', which serves {serving} and has {there}: "
            "`trident publish --hold` puts one there"
        )


def _say(repository: Path, canary: Canary | None) -> None:
    """Change the truth, in one step."""
    path = pointer.config_file(RECOMMEND_CANARY, repository)
    if canary is None:
        path.unlink(missing_ok=True)
        return
    (path.parent / str(canary.release)).mkdir(parents=True, exist_ok=True)
    _write(path, model_config.text_of_experiment(RECOMMEND_CANARY, canary), repository)


def _write(path: Path, text: str, repository: Path) -> None:
    """Write a file only when it differs: Triton loads a model again whose files have changed."""
    if not path.is_file() or path.read_text("utf-8") != text:
        places.replace(path, text, places.beside(repository, "draft"))


def _settle_if_it_can(repository: Path, server: Server | None) -> None:
    """After an error: a server that does not answer now is told by the next act."""
    try:
        settle(repository, server)
    except Unavailable:
        settle(repository, None)


def _record(repository: Path, act: str, canary: Canary, serving: int) -> None:
    told = {"experiment": canary.experiment, "share": round(canary.share, 6)}
    history.record(repository, Intent(uuid.uuid4().hex, act, canary.release, serving, who(), now(), details=told))
