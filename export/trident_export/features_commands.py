"""`trident features build`, `trident features check` and `trident features push`."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from trident.locations import DEFAULT_REPOSITORY
from trident.running import serving_repository

if TYPE_CHECKING:
    from trident_export.features_check import FeaturesReport


class Engine(str, Enum):
    """The engines by the names of `trident_export.features.engines`."""

    duckdb = "duckdb"
    spark = "spark"


Data = Annotated[Path, typer.Argument(help="Folder with validated events, users and items as Parquet.")]
Out = Annotated[Path, typer.Option(help="Folder to write to; made when it is not there.")]
AsOf = Annotated[datetime | None, typer.Option(help="Count events before this, UTC. [default: all events]")]
EngineName = Annotated[Engine, typer.Option("--engine", help="What computes; spark needs pyspark and Java 17.")]
Repository = Annotated[Path, typer.Option(help="Model repository that is served.")]
Requests = Annotated[int, typer.Option(min=1, help="How many requests to replay.")]
Seed = Annotated[int, typer.Option(help="Same seed and release: same requests.")]
Log = Annotated[
    Path | None,
    typer.Option(help="Clean events of the build, WORK/clean of `trident build --work WORK`: compute rows from them."),
]
Tolerance = Annotated[float, typer.Option(min=0, help="Difference that is allowed, for servers that compute on a GPU.")]
Url = Annotated[str, typer.Option(help="gRPC address of a server elsewhere; one of this machine is found by itself.")]
CheckRedis = Annotated[str, typer.Option("--redis-url", help="With --url: the Redis that this server asks.")]
PushRedis = Annotated[str, typer.Option("--redis-url", help="Redis to fill. [default: the running server's]")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def register(app: typer.Typer) -> None:
    """Add `features` with its commands to the command line."""
    features = typer.Typer(help="Compute, check and store features.", no_args_is_help=True)
    features.command("build")(build_command)
    features.command("check")(check_command)
    features.command("push")(push_command)
    app.add_typer(features, name="features")


def build_command(
    data: Data, out: Out, as_of: AsOf = None, engine: EngineName = Engine.duckdb, as_json: AsJson = False
) -> None:
    """Compute the 40 features of every user and the 40 of every item as of one moment and write them as Parquet."""
    from trident_export.data.dataset import Dataset
    from trident_export.features_export import export_features

    moment = None if as_of is None else int(as_of.replace(tzinfo=timezone.utc).timestamp())
    made = export_features(Dataset.open(data), out, as_of=moment, engine=engine.value)
    if as_json:
        typer.echo(json.dumps({"folder": str(out), "as_of": made.as_of, "users": made.users, "items": made.items}))
        return
    time = datetime.fromtimestamp(made.as_of, timezone.utc)
    typer.echo(f"{made.users:,} users and {made.items:,} items as of {time:%Y-%m-%d %H:%M:%S} UTC in {out}")


def check_command(
    repository: Repository = DEFAULT_REPOSITORY,
    requests: Requests = 1000,
    seed: Seed = 0,
    log: Log = None,
    tolerance: Tolerance = 0.0,
    url: Url = "",
    redis_url: CheckRedis = "",
    as_json: AsJson = False,
) -> None:
    """Compare the 120 features that a running server computes with those of training; exit code 1 when any differs."""
    from trident.errors import Unavailable
    from trident_export.features_check import check_features

    if bool(url) != bool(redis_url):
        raise typer.BadParameter("--url and --redis-url go together: the check drops cached embeddings of its users")
    if not url:
        here = serving_repository(repository)
        if here is None:
            raise Unavailable(f"no server of this machine serves '{repository}': start `trident serve`, or give --url")
        url, redis_url = here.grpc, here.redis_url
    report = check_features(repository, url, redis_url, requests=requests, seed=seed, tolerance=tolerance, log=log)
    if as_json:
        typer.echo(json.dumps(report.as_dict()))
    else:
        _print(report)
    if report.wrong:
        raise typer.Exit(1)


def _print(report: FeaturesReport) -> None:
    told = report.as_dict()
    for name, found in told["features"].items():
        rows = f"  in {found['rows']:,} rows" if found["rows"] else ""
        missing = f", {found['missing']:,} of them NaN on one side alone" if found["missing"] else ""
        typer.echo(f"{name:28}{found['difference']:<12.6g}{rows}{missing}".rstrip())
    verdict = f"{len(report.wrong)} of {len(told['features'])} features differ" if report.wrong else "no difference"
    typer.echo(f"release {report.release}, {report.requests:,} requests, {told['rows']:,} rows: {verdict}")
    if report.moved_on:
        typer.echo(f"{report.moved_on:,} requests by users who have liked something since the release: with that taste")


def push_command(
    repository: Repository = DEFAULT_REPOSITORY, redis_url: PushRedis = "", as_json: AsJson = False
) -> None:
    """Write the user rows of the serving release to Redis; what an earlier push has written is not written again."""
    from trident.errors import InvalidInput
    from trident.state.load import load_users
    from trident_export.data.progress import progress_bar

    here = serving_repository(repository)
    redis_url = redis_url or (here.redis_url if here else "")
    if not redis_url:
        raise InvalidInput(f"features push: expected --redis-url, as no server of this machine serves '{repository}'")
    with progress_bar("user rows", 0) as progress:
        task = progress.task_ids[0]
        written = load_users(
            repository, redis_url, on_progress=lambda row, rows: progress.update(task, completed=row, total=rows)
        )
    if as_json:
        typer.echo(json.dumps({"repository": str(repository), "written": written}))
    else:
        typer.echo(f"{written:,} user rows written" if written else "Redis already holds the user rows of this release")
