"""`trident features build`, `trident features check`, `trident features push` and `trident features export`."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from trident.locations import DEFAULT_REPOSITORY
from trident.running import serving_repository
from trident_export.data.commands import Engine, EngineName

if TYPE_CHECKING:
    from trident_export.features_check import FeaturesReport
    from trident_export.features_logged import LoggedReport

Report = TypeVar("Report", "FeaturesReport", "LoggedReport")

Data = Annotated[Path, typer.Argument(help="Folder with validated events, users and items as Parquet.")]
Out = Annotated[Path, typer.Option(help="Folder to write to; made when it is not there.")]
AsOf = Annotated[datetime | None, typer.Option(help="Count events before this, UTC. [default: all events]")]
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
Logged = Annotated[
    Path | None,
    typer.Option(help="Folder of `trident data pull`: compare the rows that were logged there, and ask no server."),
]
PushRedis = Annotated[str, typer.Option("--redis-url", help="Redis to fill. [default: the running server's]")]
Release = Annotated[Path, typer.Argument(help="Release folder, as `trident build` leaves it.")]
FeastData = Annotated[Path, typer.Option("--out", help="The folder `data` of a Feast repository; made when missing.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def register(app: typer.Typer) -> None:
    """Add `features` with its commands to the command line."""
    features = typer.Typer(help="Compute, check and store features.", no_args_is_help=True)
    features.command("build")(build_command)
    features.command("check")(check_command)
    features.command("push")(push_command)
    features.command("export")(export_command)
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
    logged: Logged = None,
    as_json: AsJson = False,
) -> None:
    """Compare the 120 features that a running server computes with those of training; exit code 1 when any differs."""
    from trident.errors import Unavailable
    from trident_export.features_check import check_features
    from trident_export.features_logged import check_logged

    if logged is not None:
        if url or redis_url:
            raise typer.BadParameter("--logged compares files and asks no server: expected no --url and no --redis-url")
        _finish(check_logged(repository, logged, tolerance=tolerance, log=log), _print_logged, as_json)
        return
    if bool(url) != bool(redis_url):
        raise typer.BadParameter("--url and --redis-url go together: the check drops cached embeddings of its users")
    if not url:
        here = serving_repository(repository)
        if here is None:
            raise Unavailable(f"no server of this machine serves '{repository}': start `trident serve`, or give --url")
        url, redis_url = here.grpc, here.redis_url
    report = check_features(repository, url, redis_url, requests=requests, seed=seed, tolerance=tolerance, log=log)
    _finish(report, _print, as_json)


def _finish(report: Report, print_report: Callable[[Report], None], as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(report.as_dict()))
    else:
        print_report(report)
    if report.wrong:
        raise typer.Exit(1)


def _print_logged(report: LoggedReport) -> None:
    told = report.as_dict()
    verdict = _print_features(told)
    releases = ", ".join(map(str, told["releases"])) or "none"
    typer.echo(f"releases {releases}, {report.answers:,} answers, {told['rows']:,} logged rows: {verdict}")
    for reason, answers in report.left_out.items():
        typer.echo(f"{answers:,} answers left out: {reason}")


def _print(report: FeaturesReport) -> None:
    told = report.as_dict()
    verdict = _print_features(told)
    typer.echo(f"release {report.release}, {report.requests:,} requests, {told['rows']:,} rows: {verdict}")
    if report.moved_on:
        typer.echo(f"{report.moved_on:,} requests by users who have liked something since the release: with that taste")


def _print_features(told: dict[str, Any]) -> str:
    for name, found in told["features"].items():
        rows = f"  in {found['rows']:,} rows" if found["rows"] else ""
        missing = f", {found['missing']:,} of them NaN on one side alone" if found["missing"] else ""
        typer.echo(f"{name:28}{found['difference']:<12.6g}{rows}{missing}".rstrip())
    return f"{len(told['wrong'])} of {len(told['features'])} features differ" if told["wrong"] else "no difference"


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


def export_command(
    release: Release = Path("build/release"), out: FeastData = Path("deploy/feast/data"), as_json: AsJson = False
) -> None:
    """Write the user rows of a release as the Parquet file from which Feast fills its online store."""
    from trident.release import Release as ReleaseFolder
    from trident_export.data.progress import progress_bar
    from trident_export.feast_rows import export_user_rows

    with progress_bar("user rows", 0) as progress:
        task = progress.task_ids[0]
        made = export_user_rows(
            ReleaseFolder.open(release), out, lambda row, rows: progress.update(task, completed=row, total=rows)
        )
    if as_json:
        typer.echo(json.dumps({"file": str(made.path), "users": made.users, "feature_schema": made.feature_schema}))
    else:
        typer.echo(f"{made.users:,} user rows of feature schema {made.feature_schema} in {made.path}")
