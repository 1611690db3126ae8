"""Changes of many items as JSON lines.

{"item_id": "i7", "in_stock": false}
{"item_id": "i8", "flagged": true, "block": ["FR", "DE"], "unblock": ["US"]}
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from trident.errors import InvalidInput
from trident.live.state import LiveState

NAMES = ("item_id", "in_stock", "flagged", "block", "unblock")


def change(
    in_stock: bool | None, flagged: bool | None, block: Sequence[str], unblock: Sequence[str], at: int
) -> LiveState:
    """What a command or a line sets at `at` (unix seconds); raise InvalidInput for nothing or for both."""
    if both := sorted(set(block) & set(unblock)):
        raise InvalidInput(f"region {both[0]}: expected to block or to unblock it, got both")
    state = LiveState(in_stock, flagged, {**dict.fromkeys(block, True), **dict.fromkeys(unblock, False)}, at)
    if state.changes_nothing:
        raise InvalidInput("nothing to set: expected at least one of in_stock, flagged, block and unblock")
    return state


def read_lines(lines: Iterable[str], at: int) -> dict[str, LiveState]:
    """Read one change per line, blank ones left out; raise InvalidInput that names the first line that is none."""
    changes: dict[str, LiveState] = {}
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                item, state = _line(line, at)
            except InvalidInput as error:
                raise InvalidInput(f"line {number}: {error}") from None
            changes[item] = changes.get(item, LiveState()).then(state)
    return changes


def _line(line: str, at: int) -> tuple[str, LiveState]:
    try:
        named = json.loads(line)
    except (ValueError, RecursionError):
        raise InvalidInput(f"expected a JSON object, got {line.strip()[:40]!r}") from None
    if not isinstance(named, dict) or not set(named) <= set(NAMES) or not isinstance(named.get("item_id"), str):
        raise InvalidInput(f"expected a JSON object with item_id and some of {', '.join(NAMES[1:])}, got {named!r:.80}")
    return named["item_id"], change(
        named.get("in_stock"), named.get("flagged"), _regions(named, "block"), _regions(named, "unblock"), at
    )


def _regions(named: dict[str, Any], name: str) -> list[str]:
    regions = named.get(name, [])
    if not isinstance(regions, list) or not all(isinstance(region, str) for region in regions):
        raise InvalidInput(f"{name}: expected a list of regions, got {regions!r:.80}")
    return regions
