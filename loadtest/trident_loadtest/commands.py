"""The commands `trident bench profile|latency|capacity|overload|soak`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from trident_loadtest.bench.arrivals import Arrivals

if TYPE_CHECKING:
    from trident_loadtest.bench.opening import Settings
    from trident_loadtest.bench.report import Report

bench = typer.Typer(no_args_is_help=True, help="Measure a running server with an open load; write one report.")


def register(app: typer.Typer) -> None:
    """Add `bench` to the command line."""
    app.add_typer(bench, name="bench")


Capacity = Annotated[float | None, typer.Option(min=0.1, help="Requests per second. Default: looked for first.")]
Url = Annotated[str | None, typer.Option(help="gRPC host:port. Default: the server of this machine.")]
Repository = Annotated[Path | None, typer.Option(help="Start a server for this model repository, and stop it after.")]
Profile = Annotated[Path | None, typer.Option(help="File of requests. Default: made for the serving release.")]
Out = Annotated[Path, typer.Option(help="Folder for report.html, report.json and row.md.")]
Spread = Annotated[Arrivals, typer.Option(help="Independent of each other, one every 1/rate seconds, or as recorded.")]
GiveUp = Annotated[float, typer.Option(min=0.01, help="Seconds after which the client gives a request up.")]
Processes = Annotated[int, typer.Option(min=1, help="Processes that send.")]
MaxLag = Annotated[float, typer.Option(min=0.1, help="Largest p99 in ms of the generator's own lag for a report.")]
Seed = Annotated[int, typer.Option(help="Of arrivals and of a profile that is made.")]


@bench.command()
def profile(
    out: Annotated[Path, typer.Argument(help="The file to write, JSON lines.")] = Path("build/profile.jsonl"),
    release: Annotated[Path, typer.Option(help="The release whose users ask.")] = Path("build/release"),
    requests: Annotated[int, typer.Option(min=1, help="How many requests.")] = 20_000,
    zipf: Annotated[float, typer.Option(min=0, help="The k-th most active user asks in proportion to k^-ZIPF.")] = 0.8,
    cold: Annotated[float, typer.Option(min=0, max=1, help="Share that finds no cached embedding.")] = 0.01,
    returning: Annotated[float, typer.Option(min=0, max=1, help="Share by a user of the 50 requests before.")] = 0.1,
    seed: Annotated[int, typer.Option(help="The same seed makes the same file.")] = 1,
    recorded: Annotated[str | None, typer.Option(help="Redis URL: take the newest requests it has recorded.")] = None,
    perf_analyzer: Annotated[Path | None, typer.Option(help="Write the same for perf_analyzer's --input-data.")] = None,
) -> None:
    """Make the file of requests that all load tools share."""
    from trident_loadtest.mix import Mix, profile_of
    from trident_loadtest.perf_analyzer import write_input
    from trident_loadtest.recorded import recorded as newest
    from trident_loadtest.request_profile import write_profile

    if recorded is not None:
        made = newest(recorded, requests)
    else:
        made = profile_of(release, requests, seed, Mix(zipf=zipf, cold=cold, returning=returning))
    write_profile(out, made)
    if perf_analyzer is not None:
        write_input(perf_analyzer, made, time.time())
    typer.echo(f"{len(made):,} requests of {len({one.user_id for one in made}):,} users in {out}")


@bench.command()
def latency(
    rate: Annotated[float, typer.Option(min=0.1, help="Requests per second.")] = 50.0,
    seconds: Annotated[float, typer.Option(min=1, help="Length of a run.")] = 30.0,
    runs: Annotated[int, typer.Option(min=1, help="Runs; the figures are medians over them.")] = 5,
    url: Url = None,
    repository: Repository = None,
    profile: Profile = None,
    out: Out = Path("build/bench/latency"),
    arrivals: Spread = Arrivals.POISSON,
    give_up: GiveUp = 1.0,
    processes: Processes = 1,
    max_lag: MaxLag = 5.0,
    seed: Seed = 1,
) -> None:
    """Percentiles of the latency at a rate."""
    from trident_loadtest.bench.latency import measure

    settings = _settings(url, repository, profile, arrivals, give_up, processes, max_lag, seed)
    _write(measure(settings, rate, seconds, runs, _say), out)


@bench.command()
def capacity(
    limit: Annotated[float, typer.Option(min=0.1, help="A rate holds when p99 stays below this many ms.")] = 100.0,
    start: Annotated[float, typer.Option(min=0.1, help="The first rate that is tried.")] = 50.0,
    step_seconds: Annotated[float, typer.Option(min=1, help="Length of a step.")] = 15.0,
    seconds: Annotated[float, typer.Option(min=1, help="Length of a run at the rate that was found.")] = 30.0,
    runs: Annotated[int, typer.Option(min=1, help="Runs at that rate; the figures are medians over them.")] = 5,
    url: Url = None,
    repository: Repository = None,
    profile: Profile = None,
    out: Out = Path("build/bench/capacity"),
    arrivals: Spread = Arrivals.POISSON,
    give_up: GiveUp = 1.0,
    processes: Processes = 1,
    max_lag: MaxLag = 5.0,
    seed: Seed = 1,
) -> None:
    """The highest rate with p99 below a limit and no errors."""
    from trident_loadtest.bench.capacity import Search, measure

    settings = _settings(url, repository, profile, arrivals, give_up, processes, max_lag, seed)
    plan = Search(limit_ms=limit, start=start, step_seconds=step_seconds, seconds=seconds, runs=runs)
    _write(measure(settings, plan, _say), out)


@bench.command()
def overload(
    capacity: Capacity = None,
    factor: Annotated[float, typer.Option(min=1, help="Times the capacity.")] = 3.0,
    seconds: Annotated[float, typer.Option(min=1, help="Length of the overload.")] = 60.0,
    deadline: Annotated[float, typer.Option(min=1, help="An answer is good within this many ms.")] = 100.0,
    url: Url = None,
    repository: Repository = None,
    profile: Profile = None,
    out: Out = Path("build/bench/overload"),
    arrivals: Spread = Arrivals.POISSON,
    give_up: GiveUp = 1.0,
    processes: Processes = 1,
    max_lag: MaxLag = 5.0,
    seed: Seed = 1,
) -> None:
    """Goodput, rejections and recovery at several times the capacity."""
    from trident_loadtest.bench.overload import Plan, measure

    settings = _settings(url, repository, profile, arrivals, give_up, processes, max_lag, seed)
    plan = Plan(capacity=capacity, factor=factor, seconds=seconds, deadline_ms=deadline)
    _write(measure(settings, plan, _say), out)


@bench.command()
def soak(
    minutes: Annotated[float, typer.Option(min=0.1, help="How long.")] = 30.0,
    rate: Annotated[
        float | None, typer.Option(min=0.1, help="Requests per second. Default: half the capacity.")
    ] = None,
    capacity: Capacity = None,
    url: Url = None,
    repository: Repository = None,
    profile: Profile = None,
    out: Out = Path("build/bench/soak"),
    arrivals: Spread = Arrivals.POISSON,
    give_up: GiveUp = 1.0,
    processes: Processes = 1,
    max_lag: MaxLag = 5.0,
    seed: Seed = 1,
) -> None:
    """Errors and growth of memory over a long time at half the capacity."""
    from trident_loadtest.bench.soak import Plan, measure

    settings = _settings(url, repository, profile, arrivals, give_up, processes, max_lag, seed)
    _write(measure(settings, Plan(minutes, rate, capacity), _say), out)


def _settings(
    url: str | None, repository: Path | None, profile: Path | None, arrivals: Arrivals, give_up: float, processes: int,
    max_lag: float, seed: int,
) -> Settings:  # fmt: skip
    from trident_loadtest.bench.opening import Settings

    return Settings(url, repository, profile, arrivals, give_up, processes, max_lag, seed)


def _say(text: str) -> None:
    typer.echo(text, err=True)


def _write(report: Report, out: Path) -> None:
    shown = report.write(out)
    typer.echo(report.row(), nl=False)
    typer.echo(f"report: {shown}", err=True)
