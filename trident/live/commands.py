"""`trident items set`, `trident items show` and `trident items clear`."""

from __future__ import annotations

import json
import sys
import time
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from trident.errors import InvalidInput, SetupError
from trident.locations import DEFAULT_REPOSITORY

if TYPE_CHECKING:
    from trident.live.catalogue import Shown
    from trident.live.state import LiveState
    from trident.live.updates import ItemUpdates


class Switch(str, Enum):
    """On or off on a command line."""

    true = "true"
    false = "false"


Items = Annotated[list[str] | None, typer.Argument(help="Item ids.", show_default=False)]
Repository = Annotated[Path, typer.Option(help="The model repository that serves.")]
RedisUrl = Annotated[
    str | None,
    typer.Option(envvar="REDIS_URL", help="Its Redis. [default: of the server of this machine that serves it]"),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Value = Annotated[Switch | None, typer.Option(show_default=False)]


def register(app: typer.Typer) -> None:
    """Add the group `items` to the command line."""
    items = typer.Typer(help="Change single items while a release serves: stock, flag, regions.", no_args_is_help=True)
    items.command("set")(set_items)
    items.command("show")(show_items)
    items.command("clear")(clear_items)
    app.add_typer(items, name="items")


def set_items(
    items: Items = None,
    in_stock: Value = None,
    flagged: Value = None,
    block: Annotated[list[str] | None, typer.Option(help="Hide it in this region; may be repeated.")] = None,
    unblock: Annotated[list[str] | None, typer.Option(help="Show it in this region; may be repeated.")] = None,
    file: Annotated[
        Path | None,
        typer.Option(help='JSON lines like {"item_id": "i7", "in_stock": false, "block": ["FR"]}; - is the input.'),
    ] = None,
    allow_unknown: Annotated[bool, typer.Option(help="Also items that the serving release does not have.")] = False,
    repository: Repository = DEFAULT_REPOSITORY,
    redis_url: RedisUrl = None,
    as_json: AsJson = False,
) -> None:
    """Change items; every serving process applies it within a second, and again whenever it starts."""
    from trident.live.catalogue import Catalogue
    from trident.live.lines import change

    single = bool(in_stock or flagged or block or unblock)
    if bool(file) == bool(items) or (file and single):
        raise typer.BadParameter("name items and what to set, or a --file that says both")
    if file:
        changes = _read(file)
    else:
        state = change(_bool(in_stock), _bool(flagged), block or [], unblock or [], int(time.time()))
        changes = dict.fromkeys(items or [], state)
    _check_ids(changes)
    if not allow_unknown:
        Catalogue(repository).require(list(changes))
    _updates(repository, redis_url).change(changes)
    _done("set", len(changes), as_json)


def show_items(
    items: Annotated[list[str], typer.Argument(help="Item ids.")],
    repository: Repository = DEFAULT_REPOSITORY,
    redis_url: RedisUrl = None,
    as_json: AsJson = False,
) -> None:
    """Print what the release says of items and what serves now."""
    from trident.live.catalogue import Catalogue

    catalogue = Catalogue(repository)
    states = _updates(repository, redis_url).of(items)
    rows = [_row(*row) for row in zip(items, catalogue.shown(items), states, strict=True)]
    if as_json:
        typer.echo(json.dumps({"release": catalogue.number, "items": rows}))
        return
    for row in rows:
        _print(row, catalogue.number)


def clear_items(
    items: Items = None,
    agreed: Annotated[
        bool, typer.Option(help="What the serving release says by itself, from data newer than it.")
    ] = False,
    repository: Repository = DEFAULT_REPOSITORY,
    redis_url: RedisUrl = None,
    as_json: AsJson = False,
) -> None:
    """Forget what is set for items: they are again as their release says."""
    if bool(items) == agreed:
        raise typer.BadParameter("name items, or --agreed")
    updates = _updates(repository, redis_url)
    if agreed:
        items = _agreed(updates, repository)
    names = list(dict.fromkeys(items or []))
    updates.clear(names)
    _done("cleared", len(names), as_json)


def _agreed(updates: ItemUpdates, repository: Path) -> list[str]:
    """Items for which nothing is set but what the release says by itself, and has from data newer than that."""
    from trident.live.catalogue import Catalogue

    catalogue, states = Catalogue(repository), updates.all()
    found = catalogue.shown([item.decode() for item in states])
    return [
        item.decode()
        for (item, state), shown in zip(states.items(), found, strict=True)
        if state and shown and state.at < catalogue.as_of and shown.after(state) == shown
    ]


def _read(file: Path) -> dict[str, LiveState]:
    from trident.live.lines import read_lines

    now = int(time.time())
    if str(file) == "-":
        return read_lines(sys.stdin, now)
    try:
        with file.open(encoding="utf-8") as lines:
            return read_lines(lines, now)
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{file}: {getattr(error, 'strerror', None) or 'expected UTF-8'}") from None


def _check_ids(items: dict[str, LiveState]) -> None:
    from trident.strings import check_ids

    check_ids("item", [item.encode("utf-8", "surrogateescape") for item in items])


def _updates(repository: Path, redis_url: str | None) -> ItemUpdates:
    from trident.live.updates import ItemUpdates
    from trident.running import serving_repository
    from trident.state.connection import connect

    if redis_url is None:
        server = serving_repository(repository)
        if server is None:
            raise SetupError(
                f"no server of this machine serves '{repository}': start one with `trident serve`, "
                "or name its Redis with --redis-url or REDIS_URL"
            )
        redis_url = server.redis_url
    return ItemUpdates(connect(redis_url, timeout=5.0))


def _bool(value: Switch | None) -> bool | None:
    return None if value is None else value is Switch.true


def _done(what: str, count: int, as_json: bool) -> None:
    typer.echo(json.dumps({what: count}) if as_json else f"{what} {count} item{'s' * (count != 1)}")


def _row(item: str, shown: Shown | None, state: LiveState | None) -> dict[str, Any]:
    from dataclasses import asdict

    live = shown.after(state) if shown and state else shown
    return {
        "item_id": item,
        "changed": state.at if state else None,
        "in_release": asdict(shown) if shown else None,
        "live": asdict(live) if live else None,
    }


def _print(row: dict[str, Any], release: int) -> None:
    """Print one item as a small table."""
    from datetime import datetime, timezone

    said, live = row["in_release"], row["live"]
    when = row["changed"]
    changed = f"changed {datetime.fromtimestamp(when, timezone.utc):%Y-%m-%d %H:%M:%S} UTC" if when else "not changed"
    typer.echo(f"{row['item_id']}: {changed}")
    if said is None:
        typer.echo(f"  release {release} does not have it")
        return
    typer.echo(f"  {'':12}{f'release {release}':16}now")
    for name in ("in_stock", "flagged", "blocked"):
        typer.echo(f"  {name:12}{_text(said[name]):16}{_text(live[name])}")


def _text(value: bool | tuple[str, ...]) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return " ".join(value) or "nowhere"
