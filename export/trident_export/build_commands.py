"""`trident build`."""

from __future__ import annotations

import json
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from trident_export import compare_commands
from trident_export.data.commands import Engine, EngineName
from trident_export.data.sizes import DEFAULT
from trident_export.index_kinds import RECALL

if TYPE_CHECKING:
    from trident_export.build_config import BuildConfig
    from trident_export.build_source import Source as BuildSource
    from trident_export.scale import ScaleConfig


class Source(str, Enum):
    """What a release is built from: a source of events, or "scale", which needs none."""

    synthetic = "synthetic"
    files = "files"
    movielens = "movielens"
    scale = "scale"


SourceName = Annotated[
    Source, typer.Option("--source", help="Where the events come from; scale: a release of any size, nothing learned.")
]
Data = Annotated[Path | None, typer.Option("--path", help="Folder with the data; without it synthetic data are made.")]
Out = Annotated[Path, typer.Option(help="Release folder; an older release in it is replaced when all has succeeded.")]
Users = Annotated[
    int | None, typer.Option(min=1, help="Synthetic, scale: how many users.", show_default="2,000 or 20,000")
]
Items = Annotated[
    int | None, typer.Option(min=1, help="Synthetic, scale: how many items.", show_default="10,000 or 1,000,000")
]
Events = Annotated[int, typer.Option(help="Synthetic: how many events.")]
Days = Annotated[int, typer.Option(help="Synthetic: how many days they cover.")]
End = Annotated[datetime | None, typer.Option(help="Synthetic: when the events end, UTC; default: today's start.")]
Seed = Annotated[int, typer.Option(help="Of the synthetic data and of the training.")]
Forest = Annotated[str, typer.Option(help="Scale: trees x leaves of the ranker.")]
Index = Annotated[
    list[str] | None,
    typer.Option(help="A kind of index by FAISS's factory; of several the fastest is taken.", show_default="by size"),
]
Recall = Annotated[
    float, typer.Option("--recall-target", help="Share of the exact 500 nearest items that the search must find.")
]
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
    users: Users = None,
    items: Items = None,
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
    forest: Forest = "300x63",
    index: Index = None,
    recall: Recall = RECALL,
    as_json: AsJson = False,
) -> None:
    """Learn a release from events: validate, train towers and ranker, evaluate, write the folder that is published."""
    kinds = tuple(index or ())
    if source is Source.scale:
        _require_none(path=path, validation=validation, work=work, epochs=epochs, trees=trees)
        _build_scale(out, _scale_config(items, users, forest, seed, end, kinds, recall), rules, as_json)
        return
    from trident_export.build import build
    from trident_export.build_source import folder_source, synthetic_source

    made: BuildSource = (
        synthetic_source(users or DEFAULT.users, items or DEFAULT.items, events, days, seed, end, validation)
        if source is Source.synthetic and path is None
        else folder_source(source.value, path, validation)
    )
    config = _config(seed, epochs, trees, kinds, recall)
    report = build(made, out, config, rules=rules, work=work, engine=engine.value)
    if as_json:
        typer.echo(json.dumps(report.as_dict()))
    else:
        from rich.console import Console

        from trident_export.build_report import print_report

        print_report(report, Console())


def _require_none(**options: object) -> None:
    """Refuse what a scale release has no use for."""
    from trident.errors import InvalidInput

    for name, value in options.items():
        if value is not None:
            raise InvalidInput(f"--source scale learns from nothing: expected no --{name}, got {value}")


def _build_scale(out: Path, config: ScaleConfig, rules: Path | None, as_json: bool) -> None:
    from trident_export.scale import build_scale

    report = build_scale(out, config, rules)
    if as_json:
        typer.echo(json.dumps(report.as_dict()))
        return
    for line in report.lines():
        typer.echo(line)


def _scale_config(
    items: int | None,
    users: int | None,
    forest: str,
    seed: int,
    end: datetime | None,
    kinds: tuple[str, ...],
    recall: float,
) -> ScaleConfig:
    from datetime import timezone

    from trident_export.scale import ScaleConfig, forest_shape

    trees, leaves = forest_shape(forest)
    as_of = None if end is None else int(end.replace(tzinfo=timezone.utc).timestamp())
    return ScaleConfig(
        items or ScaleConfig.items, users or ScaleConfig.users, trees, leaves, kinds, recall, seed, as_of
    )


def _config(seed: int, epochs: int | None, trees: int | None, kinds: tuple[str, ...], recall: float) -> BuildConfig:
    from dataclasses import replace

    from trident_export.build_config import BuildConfig

    config = BuildConfig(seed=seed, kinds=kinds, recall=recall)
    towers = replace(config.towers, seed=seed, **({} if epochs is None else {"epochs": epochs}))
    ranker = replace(config.ranker, **({} if trees is None else {"trees": trees}))
    return replace(config, towers=towers, ranker=ranker)
