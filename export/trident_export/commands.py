"""What the offline half adds to the command line."""

from __future__ import annotations

import typer

from trident_export import build_commands, features_commands, feedback_commands
from trident_export.data import commands as data_commands
from trident_export.publishing import canary_commands
from trident_export.publishing import commands as publishing_commands


def register(app: typer.Typer) -> None:
    """Add the commands of this package to the command line."""
    data_commands.register(app)
    feedback_commands.register(app)
    build_commands.register(app)
    features_commands.register(app)
    publishing_commands.register(app)
    canary_commands.register(app)
