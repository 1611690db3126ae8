"""`trident serve` and `trident doctor`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from trident.live import commands as live
from trident.locations import DEFAULT_REPOSITORY

if TYPE_CHECKING:
    from trident.serving.serve import Serving


def register(app: typer.Typer) -> None:
    """Add the commands of this package."""
    app.command()(serve)
    app.command()(doctor)
    live.register(app)


def serve(
    repository: Annotated[Path, typer.Option(help="The model repository, filled by `trident publish`.")] = (
        DEFAULT_REPOSITORY
    ),
    http_port: Annotated[int, typer.Option(min=0, max=65535, help="HTTP on 127.0.0.1; 0 picks a free port.")] = 8000,
    grpc_port: Annotated[int, typer.Option(min=0, max=65535, help="gRPC on 127.0.0.1; 0 picks a free port.")] = 8001,
    metrics_port: Annotated[int, typer.Option(min=0, max=65535, help="Prometheus; 0 picks a free port.")] = 8002,
    redis_url: Annotated[
        str | None, typer.Option(envvar="REDIS_URL", help="A running Redis; without it an embedded one is started.")
    ] = None,
    feature_source: Annotated[
        str, typer.Option(envvar="FEATURE_SOURCE", help="Where user rows come from: redis, or feast://host:port.")
    ] = "redis",
    log_file: Annotated[Path | None, typer.Option(help="Keep Triton's log here.")] = None,
    patience: Annotated[float, typer.Option(min=1, help="Seconds to wait until the models are ready.")] = 120.0,
) -> None:
    """Serve recommendations from a real Triton and a real Redis on this machine until Ctrl-C."""
    from trident.serving.ports import Ports
    from trident.serving.serve import serve_until_stopped, serving

    typer.echo(f"starting Redis and Triton with {repository} ...", err=True)
    ports = Ports(http_port, grpc_port, metrics_port)
    running = serving(repository, redis_url, ports, feature_source=feature_source, log=log_file, patience=patience)
    serve_until_stopped(running, _announce)
    typer.echo("stopped", err=True)


def _announce(running: Serving) -> None:
    """Print what a user wants to know once it runs."""
    typer.echo(
        f"HTTP     http://{running.http}/v2/models/recommend/infer\n"
        f"gRPC     {running.grpc}\n"
        f"metrics  http://{running.metrics}/metrics\n"
        "ready; Ctrl-C stops it"
    )
    if running.triton.key_visible:
        typer.echo(
            "warning: the control key could not be taken off the command line of tritonserver: every user of this "
            "machine can read it there (SECURITY.md says what helps)",
            err=True,
        )


def doctor(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Check this machine: Python, libraries, wheels, ports, Redis, memory, disk."""
    from trident.serving import checks

    rows = checks.run()
    healthy = checks.healthy(rows)
    if as_json:
        typer.echo(json.dumps({"healthy": healthy, "checks": [row.as_dict() for row in rows]}, indent=1))
    else:
        checks.print_table(rows)
    raise typer.Exit(0 if healthy else 1)
