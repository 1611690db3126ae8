"""`trident data pull`."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from trident.locations import DEFAULT_REPOSITORY
from trident.running import serving_repository

if TYPE_CHECKING:
    from trident_export.impressions_pull import ShownSource
    from trident_export.stream_pull import Pulled

Out = Annotated[
    Path, typer.Option(help="Folder whose events, impressions and feature rows get what is new as further parts.")
]
Redis = Annotated[str, typer.Option("--redis-url", help="Redis with the feedback. [default: the running server's]")]
Repository = Annotated[Path, typer.Option(help="Model repository of the running server.")]
Views = Annotated[
    bool, typer.Option("--views", help="Write what was shown as view events too, for services that report no views.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]

BOUNDS = {"events": "FEEDBACK_EVENTS", "impressions": "IMPRESSIONS", "feature_rows": "FEATURE_ROWS"}


def register(app: typer.Typer) -> None:
    """Add `pull` to the group `data` of the command line."""
    data = next(group.typer_instance for group in app.registered_groups if group.name == "data")
    if data is not None:
        data.command("pull")(pull_command)


def pull_command(
    out: Out,
    redis_url: Redis = "",
    repository: Repository = DEFAULT_REPOSITORY,
    views: Views = False,
    as_json: AsJson = False,
) -> None:
    """Write new feedback, and what was shown, as files; `trident build --source files` reads the events."""
    from trident.errors import InvalidInput
    from trident_export.data.progress import progress_bar
    from trident_export.feedback_pull import pull
    from trident_export.impressions_pull import pull_shown

    here = serving_repository(repository)
    redis_url = redis_url or (here.redis_url if here else "")
    if not redis_url:
        raise InvalidInput(f"data pull: expected --redis-url, as no server of this machine serves '{repository}'")
    with progress_bar("rows", 0) as progress:
        task = progress.task_ids[0]
        watch = lambda rows: progress.update(task, completed=rows)  # noqa: E731
        told = {"events": _told(pull(redis_url, out, watch))}
        shown = pull_shown(redis_url, out, views, watch)
        told |= {name: _told(pulled, source) for name, (pulled, source) in shown.items()}
    if as_json:
        typer.echo(json.dumps(told))
        return
    for name, found in told.items():
        _print(name, found)


def _told(pulled: Pulled, source: ShownSource | None = None) -> dict[str, Any]:
    counts = {"unreadable": source.unreadable, "repeated": source.repeated} if source else {}
    return {**asdict(pulled), "folder": str(pulled.folder), **counts}


def _print(name: str, found: dict[str, Any]) -> None:
    typer.echo(f"{found['rows']:,} new {name.replace('_', ' ')} in {found['folder']}, up to entry {found['last']}")
    if found.get("repeated"):
        typer.echo(f"{found['repeated']:,} answers were repetitions of a request and are left out")
    if found.get("unreadable"):
        typer.echo(f"{found['unreadable']:,} entries are damaged or of another version and are left out", err=True)
    if found["gap"] and name in BOUNDS:
        typer.echo(
            "the stream has dropped the entry that was pulled last, and perhaps newer ones before they were pulled: "
            f"pull more often, or let the server keep more ({BOUNDS[name]})",
            err=True,
        )
