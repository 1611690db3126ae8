"""The commands `trident recommend` and `trident feedback`."""

from __future__ import annotations

import json
import math
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from trident.contract import BUSINESS_RULES, EVENT_TYPES

if TYPE_CHECKING:
    from trident.items import ItemColumns
    from trident_client.results import Recommendation

GRPC_URL, HTTP_URL = "127.0.0.1:8001", "127.0.0.1:8000"


def register(app: typer.Typer) -> None:
    """Add `recommend` and `feedback` to the command line."""
    app.command()(recommend)
    app.command()(feedback)


def recommend(
    user: Annotated[str, typer.Argument(help="The user id.")],
    url: Annotated[str | None, typer.Option(help=f"host:port, or several. [default: {GRPC_URL}, {HTTP_URL}]")] = None,
    http: Annotated[bool, typer.Option("--http", help="Ask over HTTP instead of gRPC.")] = False,
    device: Annotated[str | None, typer.Option(help="mobile, desktop, tablet or tv.")] = None,
    region: Annotated[str | None, typer.Option(help="Two-letter country code. [default: the user's home]")] = None,
    timestamp: Annotated[int | None, typer.Option(help="Unix seconds. [default: now]")] = None,
    limit: Annotated[int | None, typer.Option(help="Items wanted, 1 to 50. [default: 20]")] = None,
    record: Annotated[bool, typer.Option(help="Remember the answer as shown.")] = True,
    deadline: Annotated[float, typer.Option(help="Seconds that the call may take.")] = 1.0,
    items: Annotated[Path | None, typer.Option(help="Item columns of a release, for titles.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")] = False,
) -> None:
    """Ask a running Trident for the items of one user."""
    from trident_client import HttpRecommender, Recommender

    kind, default = (HttpRecommender, HTTP_URL) if http else (Recommender, GRPC_URL)
    address = url or default
    with kind(address, deadline=deadline) as client:
        answer = client.recommend(
            user, device=device, region=region, timestamp=timestamp, limit=limit, record=None if record else False
        )
    columns, now = _columns(items, address, answer.release), timestamp or time.time()
    if as_json:
        typer.echo(json.dumps(_plain(answer, columns, now), ensure_ascii=False))
    else:
        _print(answer, columns, now)


def feedback(
    user: Annotated[str, typer.Argument(help="The user id.")],
    item: Annotated[str, typer.Argument(help="The item id.")],
    event_type: Annotated[str, typer.Argument(help=f"One of {', '.join(EVENT_TYPES)}.")],
    url: Annotated[str | None, typer.Option(help=f"host:port, or several. [default: {GRPC_URL}, {HTTP_URL}]")] = None,
    http: Annotated[bool, typer.Option("--http", help="Tell over HTTP instead of gRPC.")] = False,
    device: Annotated[str | None, typer.Option(help="mobile, desktop, tablet or tv.")] = None,
    region: Annotated[str | None, typer.Option(help="Two-letter code of the country the user was in.")] = None,
    duration: Annotated[float | None, typer.Option(help="Seconds that the item was looked at.")] = None,
    timestamp: Annotated[int | None, typer.Option(help="Unix seconds. [default: now]")] = None,
    deadline: Annotated[float, typer.Option(help="Seconds that the call may take.")] = 1.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the entry as JSON.")] = False,
) -> None:
    """Tell a running Trident what a user did with an item."""
    from trident_client import HttpRecommender, Recommender

    kind, default = (HttpRecommender, HTTP_URL) if http else (Recommender, GRPC_URL)
    with kind(url or default, deadline=deadline) as client:
        entry = client.feedback(
            user, item, event_type, timestamp=timestamp, device=device, region=region, duration_seconds=duration
        )
    typer.echo(json.dumps({"entry_id": entry}) if as_json else f"kept as entry {entry}")


def _print(answer: Recommendation, columns: ItemColumns | None, now: float) -> None:
    from rich.console import Console

    from trident_client.table import print_answer

    print_answer(answer, Console(), columns, now)


def _columns(folder: Path | None, address: str, release: int) -> ItemColumns | None:
    """The columns in `folder`, or of the release that a server of this machine has answered with; else None."""
    from trident.items import ItemColumns
    from trident.running import at_address

    if folder is None and (server := at_address(address)):
        folder = Path(server.repository) / BUSINESS_RULES.name / str(release) / "items"
    return ItemColumns.open(folder) if folder and folder.is_dir() else None


def _plain(answer: Recommendation, columns: ItemColumns | None, now: float) -> dict[str, Any]:
    """The answer as JSON values; `score` is null where there is none, the texts are left out where they are unknown."""
    from trident_client.table import item_texts

    texts = item_texts(answer, columns, now)
    items = [
        {"item_id": item.item_id, "score": None if math.isnan(item.score) else item.score, **(asdict(t) if t else {})}
        for item, t in zip(answer.items, texts, strict=True)
    ]
    return {**asdict(answer), "items": items}
