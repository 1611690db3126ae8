"""`trident build`."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from trident_export import compare_commands
from trident_export.data.commands import Engine, EngineName, Source
from trident_export.data.sizes import DEFAULT

if TYPE_CHECKING:
    from trident_export.build_config import BuildConfig
    from trident_export.build_source import Source as BuildSource

SourceName = Annotated[Source, typer.Option("--source", help="Where the events come from.")]
Data = Annotated[Path | None, typer.Option("--path", help="Folder with the data; without it synthetic data are made.")]
Out = Annotated[Path, typer.Option(help="Release folder; an older release in it is replaced when all has succeeded.")]
Users = Annotated[int, typer.Option(help="Synthetic: how many users.")]
Items = Annotated[int, typer.Option(help="Synthetic: how many items.")]
Events = Annotated[int, typer.Option(help="Synthetic: how many events.")]
Days = Annotated[int, typer.Option(help="Synthetic: how many days they cover.")]
End = Annotated[datetime | None, typer.Option(help="Synthetic: when the events end, UTC; default: today's start.")]
Seed = Annotated[int, typer.Option(help="Of the synthetic data and of the training.")]
Rules = Annotated[Path | None, typer.Option(help="A rules.toml for the release instead of the default rules.")]
Validation = Annotated[Path | None, typer.Option(help="A TOML file with rules of validation that differ.")]
Work = Annotated[Path | None, typer.Option(help="Keep raw and clean data in this folder.")]
Epochs = Annotated[int | None, typer.Option(min=1, help="Most epochs of the two towers.")]
Trees = Annotated[int | None, typer.Option(min=1, help="Most trees of the ranker.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def register(app: typer.Typer) -> None:
    """Add `build` and `compare` to the command line."""
    app.command("build")(build_command)
    compare_commands.register(app)


def build_command(
    source: SourceName = Source.synthetic,
    path: Data = None,
    out: Out = Path("build/release"),
    users: Users = DEFAULT.users,
    items: Items = DEFAULT.items,
    events: Events = DEFAULT.events,
    days: Days = DEFAULT.days,
    end: End = None,
    seed: Seed = DEFAULT.seed,
    rules: Rules = None,
    validation: Validation = None,
    work: Work = None,
    epochs: Epochs = None,
    trees: Trees = None,
    engine: EngineName = Engine.duckdb,
    as_json: AsJson = False,
) -> None:
    """Learn a release from events: validate, train towers and ranker, evaluate, write the folder that is published."""
    from trident_export.build import build
    from trident_export.build_source import folder_source, synthetic_source

    made: BuildSource = (
        synthetic_source(users, items, events, days, seed, end, validation)
        if source is Source.synthetic and path is None
        else folder_source(source.value, path, validation)
    )
    config = _config(seed, epochs, trees)
    report = build(made, out, config, rules=rules, work=work, engine=engine.value)
    if as_json:
        typer.echo(json.dumps(report.as_dict()))
    else:
        from rich.console import Console

        from trident_export.build_report import print_report

        print_report(report, Console())


def _config(seed: int, epochs: int | None, trees: int | None) -> BuildConfig:
    from dataclasses import replace

    from trident_export.build_config import BuildConfig

    config = BuildConfig(seed=seed)
    towers = replace(config.towers, seed=seed, **({} if epochs is None else {"epochs": epochs}))
    ranker = replace(config.ranker, **({} if trees is None else {"trees": trees}))
    return replace(config, towers=towers, ranker=ranker)
