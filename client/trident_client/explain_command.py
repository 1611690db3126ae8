"""The command `trident explain`."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from trident.errors import SetupError

if TYPE_CHECKING:
    from trident.explain.journey import Journey
    from trident.settings import Settings
    from trident_client.results import Recommendation

GRPC_URL = "127.0.0.1:8001"


def register(app: typer.Typer) -> None:
    """Add `explain` to the command line."""
    app.command()(explain)


def explain(
    user: Annotated[str, typer.Argument(help="The user id.")],
    item: Annotated[str | None, typer.Option(help="Say why this item is not in the answer.")] = None,
    url: Annotated[str, typer.Option(help="host:port of the server's gRPC endpoint.")] = GRPC_URL,
    device: Annotated[str | None, typer.Option(help="mobile, desktop, tablet or tv.")] = None,
    region: Annotated[str | None, typer.Option(help="Two-letter country code. [default: the user's home]")] = None,
    timestamp: Annotated[int | None, typer.Option(help="Unix seconds. [default: now]")] = None,
    limit: Annotated[int | None, typer.Option(help="Items wanted, 1 to 50. [default: 20]")] = None,
    html: Annotated[Path | None, typer.Option(help="Draw it as a page in this file.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
    repository: Annotated[Path | None, typer.Option(help="Of the server. [default: found on this machine]")] = None,
    redis: Annotated[str | None, typer.Option(help="URL of its Redis. [default: found on this machine]")] = None,
) -> None:
    """Take one request apart: what each step kept, why each item is there, and why another is not.

    The server is asked as well, with nothing recorded, and the two answers are compared.
    """
    from rich.console import Console

    from trident.explain import journey as journeys
    from trident.explain import page, text
    from trident.explain.contributions import open_booster
    from trident.explain.served import request, served_pipeline
    from trident.explain.why_not import why_not
    from trident_client import Recommender

    now, (place, settings) = timestamp or int(time.time()), where(url, repository, redis)
    with served_pipeline(place, settings) as pipeline:  # before the server, which caches what it computes
        trip = journeys.travel(pipeline, request(user, device=device, region=region, timestamp=now, limit=limit))
        if item is not None:
            found = why_not(trip, item)
            typer.echo(json.dumps(found.as_dict())) if as_json else text.print_why_not(found, Console())
            return
        journey = journeys.journey(trip, open_booster(place, pipeline.release.manifest.release))
    with Recommender(url, deadline=5.0, canary_refresh=None) as client:
        answer = client.recommend(user, device=device, region=region, timestamp=now, limit=limit, record=False)
    agreed = agreement(journey, answer)
    if html is not None:
        html.write_text(page.journey_page(journey, agreed), "utf-8")
        typer.echo(f"wrote {html}")
    elif as_json:
        typer.echo(json.dumps({**journey.as_dict(), "agreement": agreed}, ensure_ascii=False))
    else:
        text.print_journey(journey, agreed, Console())


def where(url: str, repository: Path | None, redis: str | None) -> tuple[Path, Settings]:
    """Repository and settings of the server at `url`; raises SetupError where they are neither given nor found."""
    from trident.running import at_address
    from trident.settings import Settings

    server = at_address(url)
    if server is None and (repository is None or redis is None):
        raise SetupError(
            f"explain: no server of this machine answers at {url}: name its model repository with --repository and "
            "its Redis with --redis, or start one with `trident serve`"
        )
    settings = Settings.from_environment()
    if server:
        settings = replace(settings, redis_url=server.redis_url, feature_source=server.feature_source)
        repository = repository or Path(server.repository)
    return cast(Path, repository), replace(settings, redis_url=redis) if redis else settings


def agreement(journey: Journey, answer: Recommendation) -> str:
    """Whether the journey ends in what the server answered, in words."""
    if answer.release != journey.release:
        return f"The server answers with release {answer.release} by now."
    served = [(item.item_id, round(item.score, 6)) for item in answer.items]
    own = [(item.item_id, round(item.score, 6)) for item in journey.items]
    if own == served:
        return f"The server answers the same {len(own)} items with the same scores."
    differ = next((i for i, (a, b) in enumerate(zip(own, served, strict=False)) if a != b), min(len(own), len(served)))
    return f"The server's answer differs from position {differ + 1} on: something has changed between the two requests."
