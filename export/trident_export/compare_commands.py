"""`trident compare`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from trident_export.compare import Comparison

Folder = Annotated[Path, typer.Argument(help="A release folder.", show_default=False)]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def register(app: typer.Typer) -> None:
    """Add `compare` to the command line."""
    app.command("compare")(compare_command)


def compare_command(release_a: Folder, release_b: Folder, as_json: AsJson = False) -> None:
    """Show the metrics of two releases side by side, and the second minus the first."""
    from trident_export.compare import compare

    found = compare(release_a, release_b)
    if as_json:
        typer.echo(json.dumps(found.as_dict()))
        return
    from rich.console import Console

    console = Console()
    console.print(comparison_table(found, str(release_a), str(release_b)))
    if not found.same_test:
        console.print("the two were not evaluated on the same data and window: differences are not of the models alone")


def comparison_table(found: Comparison, first: str, second: str) -> Table:
    """Metrics × the two releases."""
    from rich.table import Table

    table = Table("method", "metric")
    for name in (first, second, "difference"):
        table.add_column(name, justify="right")
    for row in found.metrics:
        values = (_shown(row.first, row.first_interval), _shown(row.second, row.second_interval))
        table.add_row(row.method, row.metric, *values, f"{row.difference:+.4f}")
    return table


def _shown(value: float, interval: tuple[float, float] | None) -> str:
    return f"{value:.4f}" + (f" \\[{interval[0]:.3f} {interval[1]:.3f}]" if interval else "")
