"""`trident canary`: what runs, and start, promote, stop."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from trident.locations import DEFAULT_REPOSITORY

if TYPE_CHECKING:
    from trident.canary import Canary
    from trident_export.publishing.server import Server

Repository = Annotated[Path, typer.Option(help="The model repository.")]
Url = Annotated[str, typer.Option(help="gRPC address of a server elsewhere; one of this machine is found by itself.")]
Redis = Annotated[str, typer.Option(help="With --url: the Redis that this server asks.")]
FeatureSource = Annotated[
    str, typer.Option(envvar="FEATURE_SOURCE", help="With --url: where that server's user rows come from.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


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
    as_json: AsJson = False,
) -> None:
    """Start a canary, or change the share of the one that runs."""
    from trident_export.publishing.canary import start

    server = _server(repository, url, redis_url, feature_source)
    canary = start(repository, release, parse_share(share), experiment, server)
    said = f"release {release} answers {_percent(canary.share)} of the users, in the experiment '{canary.experiment}'"
    _tell(canary, said, as_json)


def promote_command(
    repository: Repository = DEFAULT_REPOSITORY,
    url: Url = "",
    redis_url: Redis = "",
    feature_source: FeatureSource = "redis",
    as_json: AsJson = False,
) -> None:
    """Let the canary's release serve everybody."""
    from trident_export.publishing.canary import promote

    canary = promote(repository, _server(repository, url, redis_url, feature_source))
    _tell(canary, f"release {canary.release} serves everybody; the experiment '{canary.experiment}' has ended", as_json)


def stop_command(
    repository: Repository = DEFAULT_REPOSITORY,
    url: Url = "",
    redis_url: Redis = "",
    feature_source: FeatureSource = "redis",
    as_json: AsJson = False,
) -> None:
    """End the canary; the release that serves answers everybody again."""
    from trident_export.publishing.canary import stop

    canary = stop(repository, _server(repository, url, redis_url, feature_source))
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


def _server(repository: Path, url: str, redis_url: str, feature_source: str) -> Server | None:
    from trident.running import serving_repository
    from trident.serving.control_key import read_key
    from trident_export.publishing.control import Control
    from trident_export.publishing.server import Server

    if bool(url) != bool(redis_url):
        raise typer.BadParameter("--url and --redis-url go together: the release of a canary may bring user rows")
    here = serving_repository(repository)
    if here and not url:
        url, redis_url, feature_source = here.grpc, here.redis_url, here.feature_source
    return Server(Control(url, read_key(repository)), redis_url, feature_source) if url else None


def _tell(canary: Canary, said: str, as_json: bool) -> None:
    typer.echo(json.dumps(asdict(canary)) if as_json else said)


def _percent(share: float) -> str:
    return f"{100 * share:.4g} %"
