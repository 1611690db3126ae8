"""An answer for a person: a table of its items, the funnel, and what was missing."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table
from rich.text import Text

from trident.items import ItemColumns
from trident_client.results import Recommendation

DAY_S = 86_400
DAYS_AS_YEARS = 730
"""From this age on an item's age is told in years."""


@dataclass(frozen=True)
class ItemText:
    """What a release says about one item; `age_days` is None when its time of publication is unknown."""

    title: str
    category: str
    age_days: float | None


def item_texts(answer: Recommendation, items: ItemColumns | None, now: float) -> list[ItemText | None]:
    """Title, category and age of each item of an answer, None for items that `items` lacks; `now` in unix seconds."""
    if items is None:
        return [None] * len(answer.items)
    return [_text(items, int(row), now) if row >= 0 else None for row in items.rows(answer.item_ids)]


def _text(items: ItemColumns, row: int, now: float) -> ItemText:
    published = int(items.published_at[row])
    age = max(0.0, (now - published) / DAY_S) if published else None
    return ItemText(items.title(row), items.category_name(row), age)


def item_table(answer: Recommendation, items: ItemColumns | None = None, now: float | None = None) -> Table:
    """The items as a table, best first; with title, category and age when `items` is given."""
    table = Table(title=f"for {printable(answer.user_id)}", title_justify="left")
    texts = item_texts(answer, items, time.time() if now is None else now)
    table.add_column("#", justify="right", no_wrap=True, min_width=2)
    table.add_column("item", no_wrap=True)
    if items is not None:
        table.add_column("title", max_width=48, no_wrap=True)
        table.add_column("category", no_wrap=True)
        table.add_column("age", justify="right", no_wrap=True)
    table.add_column("score", justify="right", no_wrap=True)
    for position, (item, text) in enumerate(zip(answer.items, texts, strict=True), start=1):
        known = [] if items is None else _columns(text)
        score = "" if math.isnan(item.score) else f"{item.score:.4f}"
        table.add_row(*(Text(printable(cell)) for cell in (str(position), item.item_id, *known, score)))
    return table


def print_answer(
    answer: Recommendation, console: Console, items: ItemColumns | None = None, now: float | None = None
) -> None:
    """Print the table, the funnel, the release and the reasons of a degraded answer."""
    console.print(item_table(answer, items, now))
    if answer.funnel:
        console.print(Text(f"funnel    {funnel_text(answer)}"))
    console.print(Text(f"release   {answer.release}"))
    console.print(Text(f"degraded  {', '.join(answer.degraded) or 'no'}"))


def funnel_text(answer: Recommendation) -> str:
    """The funnel in one line: "catalogue 20,000 → in_stock 19,000 → …"."""
    return " → ".join(f"{step} {count:,}" for step, count in answer.funnel.items())


def printable(text: str) -> str:
    """Replace what would steer a terminal."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def _columns(text: ItemText | None) -> Iterable[str]:
    return ("", "", "") if text is None else (text.title, text.category, age_text(text.age_days))


def age_text(days: float | None) -> str:
    """An age for people: "3 d", "4 y", "" when unknown."""
    if days is None:
        return ""
    return f"{days:.0f} d" if days < DAYS_AS_YEARS else f"{days / 365.25:.0f} y"
