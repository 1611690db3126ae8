"""What the commands of publishing share: the options that say which repository and which server, and how they end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from trident_export.publishing.server import Server

Repository = Annotated[Path, typer.Option(help="The model repository; publish makes it when it is not there.")]
Url = Annotated[str, typer.Option(help="gRPC address of a server elsewhere; one of this machine is found by itself.")]
Redis = Annotated[str, typer.Option(help="With --url: the Redis that this server asks.")]
FeatureSource = Annotated[
    str, typer.Option(envvar="FEATURE_SOURCE", help="With --url: where that server's user rows come from.")
]
KeyFile = Annotated[
    Path | None, typer.Option(help="Control key of the server; without it the one beside the repository.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def server_of(repository: Path, url: str, redis_url: str, feature_source: str, key_file: Path | None) -> Server | None:
    """The server that is named, or the one of this machine that serves the repository, or None."""
    from trident.running import serving_repository
    from trident.serving.control_key import read_key
    from trident_export.publishing.control import Control
    from trident_export.publishing.server import Server

    if bool(url) != bool(redis_url):
        raise typer.BadParameter("--url and --redis-url go together: releases bring user rows")
    here = serving_repository(repository)
    if here and not url:
        url, redis_url, feature_source = here.grpc, here.redis_url, here.feature_source
    return Server(Control(url, read_key(key_file or repository)), redis_url, feature_source) if url else None


@contextmanager
def in_good_order() -> Iterator[None]:
    """Ctrl-C, SIGTERM and SIGHUP end what is under way in good order."""
    from trident.serving.signals import Interrupted, interruptible

    try:
        with interruptible():
            yield
    except Interrupted:
        typer.echo("trident: interrupted; `trident releases` says what serves", err=True)
        raise typer.Exit(130) from None
