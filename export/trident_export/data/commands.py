"""`trident data synth` and `trident data validate`."""

from __future__ import annotations

import json
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from trident_export.data.sizes import DEFAULT


class Source(str, Enum):
    """The sources by the names of `trident_export.data.sources`."""

    synthetic = "synthetic"
    files = "files"
    movielens = "movielens"


class Engine(str, Enum):
    """The engines by the names of `trident_export.data.engine`."""

    duckdb = "duckdb"
    spark = "spark"


EngineName = Annotated[Engine, typer.Option("--engine", help="What computes; spark needs pyspark and Java 17.")]
Out = Annotated[Path, typer.Option(help="Folder to write to; made when it is not there.")]
Users = Annotated[int, typer.Option(help="How many users.")]
Items = Annotated[int, typer.Option(help="How many items.")]
Events = Annotated[int, typer.Option(help="How many events, planted defects included.")]
Days = Annotated[int, typer.Option(help="How many days before --end they cover.")]
Seed = Annotated[int, typer.Option(help="Same seed, sizes and end: same files.")]
End = Annotated[datetime | None, typer.Option(help="When the events end, UTC; the start of today when not given.")]
Defects = Annotated[bool, typer.Option(help="Plant events that validation must reject.")]
Folder = Annotated[Path, typer.Argument(help="Folder with the data.")]
SourceName = Annotated[Source, typer.Option("--source", help="What kind of data the folder holds.")]
Rules = Annotated[Path | None, typer.Option(help="A TOML file with rules of validation that differ from the default.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def register(app: typer.Typer) -> None:
    """Add `data` with its commands to the command line."""
    data = typer.Typer(help="Make and check data.", no_args_is_help=True)
    data.command("synth")(synth_command)
    data.command("validate")(validate_command)
    app.add_typer(data, name="data")


def synth_command(
    out: Out,
    users: Users = DEFAULT.users,
    items: Items = DEFAULT.items,
    events: Events = DEFAULT.events,
    days: Days = DEFAULT.days,
    seed: Seed = DEFAULT.seed,
    end: End = None,
    defects: Defects = True,
    as_json: AsJson = False,
) -> None:
    """Make a synthetic marketplace that knows what its users like and which defects it holds."""
    from trident_export.data.synthetic import Truth, generate

    dataset = generate(out, users=users, items=items, events=events, days=days, seed=seed, end=end, defects=defects)
    truth = Truth.read(dataset.folder / "truth.npz")
    if as_json:
        typer.echo(
            json.dumps({"folder": str(out), "events": events, "users": users, "items": items, "planted": truth.planted})
        )
        return
    planted = sum(truth.planted.values())
    typer.echo(
        f"{events:,} events of {users:,} users and {items:,} items in {out}; {planted:,} of them are planted defects"
    )


def validate_command(
    path: Folder,
    out: Out,
    source: SourceName = Source.files,
    rules: Rules = None,
    engine: EngineName = Engine.duckdb,
    as_json: AsJson = False,
) -> None:
    """Check events: --out gets the clean ones, the rejected ones with their reasons, and a report as JSON and HTML."""
    from tempfile import TemporaryDirectory

    from trident_export.data import loading
    from trident_export.data.place import check_place
    from trident_export.data.validate import validate

    applied = loading.rules_for(source.value, rules)
    check_place(out)
    beside = out.resolve().parent
    beside.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=".read-", dir=beside) as read:
        report = validate(loading.load(source.value, path, Path(read), applied), out, applied, engine.value)
    if as_json:
        typer.echo(json.dumps(report.as_dict()))
        return
    typer.echo(report.summary())
    typer.echo(f"clean events: {report.dataset.events}; rejected ones with their reasons: {report.quarantine}")
    typer.echo(f"report: {report.page}")
