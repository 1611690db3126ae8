"""`trident publish`, `trident rollback`, `trident releases`."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from trident.locations import DEFAULT_REPOSITORY
from trident_export.publishing.addressing import (
    AsJson,
    FeatureSource,
    KeyFile,
    Redis,
    Repository,
    Url,
    in_good_order,
    server_of,
)

if TYPE_CHECKING:
    from trident_export.publishing.publish import Options
    from trident_export.publishing.server import Server

NICENESS = 10  # of a publish: what serves on this machine goes first

Release = Annotated[Path, typer.Argument(help="Release folder, as `trident build` leaves it.")]


def register(app: typer.Typer) -> None:
    """Add the commands of this module to the command line."""
    app.command("publish")(publish_command)
    app.command("rollback")(rollback_command)
    app.command("releases")(releases_command)


def publish_command(
    release: Release = Path("build/release"),
    repository: Repository = DEFAULT_REPOSITORY,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Do everything but the flip, and leave nothing behind.")
    ] = False,
    hold: Annotated[
        bool, typer.Option("--hold", help="Do everything but the flip, and keep the release loaded, for a canary.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Publish although a quality gate fails; needs --reason.")
    ] = False,
    reason: Annotated[str, typer.Option(help="With --force: why; it is recorded.")] = "",
    gates: Annotated[Path | None, typer.Option(help="Quality gates as TOML, over the default ones.")] = None,
    trial_seconds: Annotated[float, typer.Option(min=1, help="The examination may take so long.")] = 900.0,
    trial_memory: Annotated[
        float, typer.Option(min=0.1, help="GiB that it may take; mapped files do not count.")
    ] = 8.0,
    url: Url = "",
    redis_url: Redis = "",
    feature_source: FeatureSource = "redis",
    key_file: KeyFile = None,
    as_json: AsJson = False,
) -> None:
    """Check a release and put it into a model repository, and into the server that serves that repository."""
    os.setpriority(os.PRIO_PROCESS, 0, max(NICENESS, os.getpriority(os.PRIO_PROCESS, 0)))
    from trident_export.publishing.publish import publish

    options = _options(dry_run, hold, force, reason, gates, trial_seconds, trial_memory)
    server = server_of(repository, url, redis_url, feature_source, key_file)
    checks: list[dict[str, Any]] = []
    with in_good_order():
        number = publish(release, repository, server, options, checks.extend)
    for warning in _warnings(release):
        typer.echo(f"warning: {warning}", err=True)
    if as_json:
        done = {"release": number, "repository": str(repository), "act": options.act, "checks": checks}
        typer.echo(json.dumps(done))
        return
    for check in checks:
        typer.echo(_line(check), err=True)
    typer.echo(_done(options.act, release, number, repository, server))


def rollback_command(
    repository: Repository = DEFAULT_REPOSITORY,
    to: Annotated[int | None, typer.Option(help="The release to go to; without it the one that served before.")] = None,
    url: Url = "",
    redis_url: Redis = "",
    feature_source: FeatureSource = "redis",
    key_file: KeyFile = None,
    as_json: AsJson = False,
) -> None:
    """Let the release that served before serve again, within a second or two."""
    from trident.repository import serving_release
    from trident_export.publishing.rollback import rollback

    server = server_of(repository, url, redis_url, feature_source, key_file)
    with in_good_order():
        number = rollback(repository, server, to)
    if as_json:
        typer.echo(json.dumps({"release": number, "repository": str(repository)}))
    else:
        where = f", and {server.control.url} serves it" if server else ""
        typer.echo(f"release {serving_release(repository)} is in front again in {repository}{where}")


def releases_command(repository: Repository = DEFAULT_REPOSITORY, as_json: AsJson = False) -> None:
    """List the releases of a repository: which serves, which came before, who published them, how good they are."""
    from trident_export.publishing.listing import print_releases, releases

    listed = releases(repository)
    if as_json:
        typer.echo(json.dumps([row.as_dict() for row in listed], indent=1))
    else:
        print_releases(listed)


def _options(
    dry_run: bool, hold: bool, force: bool, reason: str, gates: Path | None, seconds: float, memory: float
) -> Options:
    from trident_export.publishing.gates import read_gates
    from trident_export.publishing.journal import DRY_RUN, HOLD, PUBLISH
    from trident_export.publishing.publish import Options
    from trident_export.publishing.trial import Limits

    if dry_run and hold:
        raise typer.BadParameter("--dry-run and --hold exclude each other")
    if force != bool(reason.strip()):
        raise typer.BadParameter("--force and --reason go together: what was passed over, and why, is recorded")
    act = DRY_RUN if dry_run else HOLD if hold else PUBLISH
    return Options(act, reason.strip(), read_gates(gates), Limits(seconds, memory))


def _warnings(release: Path) -> list[str]:
    from trident.release import Release as Opened
    from trident.rules import Rules
    from trident.rules.names import unknown_names

    return list(unknown_names(Rules.read(release / "rules.toml"), Opened.open(release).items))


def _line(check: dict[str, Any]) -> str:
    """A quality gate as a line."""
    running = "" if check["running"] is None else f", the serving release {check['running']}"
    what = check.get("note") or f"expected {check['limit']}, got {check['got']}{running}"
    return f"{'passed' if check['passed'] else 'FAILED'}  {check['name']}: {what}"


def _done(act: str, release: Path, number: int, repository: Path, server: Server | None) -> str:
    from trident_export.publishing.journal import DRY_RUN, HOLD

    if act == DRY_RUN:
        return f"{release} would be release {number} of {repository}; nothing was changed"
    if act == HOLD:
        return (
            f"{release} is release {number} in {repository}, which does not serve yet: `trident canary start {number}`"
        )
    where = f", and {server.control.url} serves it" if server else ""
    return f"published {release} as release {number} in {repository}{where}"
