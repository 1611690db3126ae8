"""`trident canary`: what runs, and start, promote, stop."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

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
    from trident.canary import Canary


def register(app: typer.Typer) -> None:
    """Add the group `canary` to the command line."""
    canary = typer.Typer(help="Let a share of the users see another release.", invoke_without_command=True)
    canary.callback()(status)
    canary.command("start")(start_command)
    canary.command("promote")(promote_command)
    canary.command("stop")(stop_command)
    app.add_typer(canary, name="canary")


def status(context: typer.Context, repository: Repository = DEFAULT_REPOSITORY, as_json: AsJson = False) -> None:
    """Say which canary runs: the shares of both arms, since when, and who started it."""
    from trident.repository import canary_of, serving_release

    if context.invoked_subcommand:
        return
    canary, serving = canary_of(repository), serving_release(repository)
    if as_json:
        typer.echo(json.dumps({"serving": serving, "canary": asdict(canary) if canary else None}))
    elif canary is None:
        typer.echo(f"no canary runs; release {serving} serves everybody" if serving else "no release serves yet")
    else:
        typer.echo(
            f"experiment  {canary.experiment}, started {canary.since} by {canary.who}\n"
            f"recommend         release {serving}  {_percent(1 - canary.share)} of the users\n"
            f"recommend_canary  release {canary.release}  {_percent(canary.share)} of the users"
        )


def start_command(
    release: Annotated[int, typer.Argument(help="A release that is in the repository and does not serve.")],
    share: Annotated[str, typer.Option(help="Of the users, like 5% or 0.05; for a canary that runs, its new share.")],
    experiment: Annotated[
        str,
        typer.Option(help="Its name, from which users are dealt to the arms. [default: canary]", show_default=False),
    ] = "",
    repository: Repository = DEFAULT_REPOSITORY,
    url: Url = "",
    redis_url: Redis = "",
    feature_source: FeatureSource = "redis",
    key_file: KeyFile = None,
    as_json: AsJson = False,
) -> None:
    """Start a canary, or change the share of the one that runs."""
    from trident_export.publishing.canary import start

    server = server_of(repository, url, redis_url, feature_source, key_file)
    with in_good_order():
        canary = start(repository, release, parse_share(share), experiment, server)
    said = f"release {release} answers {_percent(canary.share)} of the users, in the experiment '{canary.experiment}'"
    _tell(canary, said, as_json)


def promote_command(
    repository: Repository = DEFAULT_REPOSITORY,
    url: Url = "",
    redis_url: Redis = "",
    feature_source: FeatureSource = "redis",
    key_file: KeyFile = None,
    as_json: AsJson = False,
) -> None:
    """Let the canary's release serve everybody."""
    from trident_export.publishing.canary import promote

    server = server_of(repository, url, redis_url, feature_source, key_file)
    with in_good_order():
        canary = promote(repository, server)
    _tell(canary, f"release {canary.release} serves everybody; the experiment '{canary.experiment}' has ended", as_json)


def stop_command(
    repository: Repository = DEFAULT_REPOSITORY,
    url: Url = "",
    redis_url: Redis = "",
    feature_source: FeatureSource = "redis",
    key_file: KeyFile = None,
    as_json: AsJson = False,
) -> None:
    """End the canary; the release that serves answers everybody again."""
    from trident_export.publishing.canary import stop

    server = server_of(repository, url, redis_url, feature_source, key_file)
    with in_good_order():
        canary = stop(repository, server)
    said = f"the experiment '{canary.experiment}' has ended; release {canary.release} stays in the repository"
    _tell(canary, said, as_json)


def parse_share(text: str) -> float:
    """Read "5%" or "0.05"; raises BadParameter for what is no share."""
    number, percent, rest = text.strip().partition("%")
    try:
        share = float(number) / (100 if percent else 1)
    except ValueError:
        share = float("nan")
    if rest or not 0 <= share <= 1:
        raise typer.BadParameter(f"--share: expected a share like 5% or 0.05, got '{text}'")
    return share


def _tell(canary: Canary, said: str, as_json: bool) -> None:
    typer.echo(json.dumps(asdict(canary)) if as_json else said)


def _percent(share: float) -> str:
    return f"{100 * share:.4g} %"
