"""`trident publish`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from trident.locations import DEFAULT_REPOSITORY

Release = Annotated[Path, typer.Argument(help="Release folder, as `trident build` leaves it.")]
Repository = Annotated[Path, typer.Option(help="Model repository to publish into; made when it is not there.")]
Url = Annotated[str, typer.Option(help="gRPC address of a running server that is to serve the new release at once.")]
Redis = Annotated[str, typer.Option(envvar="REDIS_URL", help="With --url: the Redis that this server asks.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def register(app: typer.Typer) -> None:
    """Add `publish` to the command line."""
    app.command("publish")(publish_command)


def publish_command(
    release: Release = Path("build/release"),
    repository: Repository = DEFAULT_REPOSITORY,
    url: Url = "",
    redis_url: Redis = "",
    as_json: AsJson = False,
) -> None:
    """Check a release and put it into a model repository, and into a running server when --url is given."""
    from trident_export.control import Control
    from trident_export.publish import Server, publish

    if url and not redis_url:
        raise typer.BadParameter("--url needs --redis-url as well: the new release brings user rows")
    number = publish(release, repository, Server(Control(url), redis_url) if url else None)
    if as_json:
        typer.echo(json.dumps({"release": number, "repository": str(repository)}))
    else:
        typer.echo(f"published {release} as release {number} in {repository}")
