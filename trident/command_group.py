"""The root of the command line: errors as one line, and command groups that are not installed."""

from __future__ import annotations

import sys
from importlib.metadata import EntryPoint, entry_points
from typing import Annotated, Any

import typer
import typer.core

from trident import __version__
from trident.errors import TridentError
from trident.extras import advice

ENTRY_POINTS = "trident.commands"


class TridentGroup(typer.core.TyperGroup):
    """Turns errors into one line on stderr and exit code 1, and says why a known command is not there."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except TridentError as error:
            fail(str(error))
        except ModuleNotFoundError as error:
            told = advice(error.name or "")
            if told is None:
                raise
            fail(told)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the command; an unknown one may belong to a group that is not installed."""
        if args[0] not in self.commands and not args[0].startswith("-") and self.epilog:
            ctx.fail(f"No such command '{args[0]}'. {self.epilog}")
        return super().resolve_command(ctx, args)


def fail(text: str) -> None:
    """Print `text` as one line and end with exit code 1."""
    typer.echo(f"trident: {' '.join(text.split())}", err=True)
    raise typer.Exit(1)


def build() -> typer.Typer:
    """The command line with the commands of every package that is installed."""
    found = sorted(entry_points(group=ENTRY_POINTS), key=lambda point: ORDER.get(point.name, len(ORDER)))
    modules, missing = [], []
    for point in found:
        try:
            modules.append(point.load())
        except ModuleNotFoundError as error:
            missing.append(_unavailable(point, error))
    app = typer.Typer(
        cls=TridentGroup, name="trident", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False,
        epilog=" ".join(missing) or None, callback=_root,
    )  # fmt: skip
    for module in modules:
        module.register(app)
    return app


ORDER = {"export": 0, "serving": 1, "client": 2}
"""The groups in the order of a newcomer's path; others follow."""


def _unavailable(point: EntryPoint, error: ModuleNotFoundError) -> str:
    """Why the commands of one package are not there."""
    return f"Commands of '{point.name}' are not available: {advice(error.name or '') or error}."


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit()


def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Recommendations in one NVIDIA Triton inference call."""


def run() -> None:
    """Run the command line with this process's arguments."""
    build()(prog_name="trident")
    sys.exit(0)
