"""`trident publish`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from trident.locations import DEFAULT_REPOSITORY
from trident.running import serving_repository

Release = Annotated[Path, typer.Argument(help="Release folder, as `trident build` leaves it.")]
Repository = Annotated[Path, typer.Option(help="Model repository to publish into; made when it is not there.")]
Url = Annotated[str, typer.Option(help="gRPC address of a server elsewhere; one of this machine is found by itself.")]
Redis = Annotated[str, typer.Option(help="With --url: the Redis that this server asks.")]
FeatureSource = Annotated[
    str, typer.Option(envvar="FEATURE_SOURCE", help="With --url: where that server's user rows come from.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def register(app: typer.Typer) -> None:
    """Add `publish` to the command line."""
    app.command("publish")(publish_command)


def publish_command(
    release: Release = Path("build/release"),
    repository: Repository = DEFAULT_REPOSITORY,
    url: Url = "",
    redis_url: Redis = "",
    feature_source: FeatureSource = "redis",
    as_json: AsJson = False,
) -> None:
    """Check a release and put it into a model repository, and into the server that serves that repository."""
    from trident.release import Release as Opened
    from trident.rules import Rules
    from trident.rules.names import unknown_names
    from trident_export.publishing.control import Control
    from trident_export.publishing.publish import Server, publish

    if bool(url) != bool(redis_url):
        raise typer.BadParameter("--url and --redis-url go together: the new release brings user rows")
    here = serving_repository(repository)
    if here and not url:
        url, redis_url, feature_source = here.grpc, here.redis_url, here.feature_source
    number = publish(release, repository, Server(Control(url), redis_url, feature_source) if url else None)
    for warning in unknown_names(Rules.read(release / "rules.toml"), Opened.open(release).items):
        typer.echo(f"warning: {warning}", err=True)
    if as_json:
        typer.echo(json.dumps({"release": number, "repository": str(repository)}))
    else:
        where = f", and {url} serves it" if url else ""
        typer.echo(f"published {release} as release {number} in {repository}{where}")
