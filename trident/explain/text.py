"""A journey as tables for the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from trident.explain.contributions import Contribution
from trident.explain.journey import ExplainedItem, Journey
from trident.explain.why_not import WhyNot


def print_journey(journey: Journey, agreement: str, console: Console) -> None:
    """Print the request, the funnel, the times and the items."""
    console.print(f"[bold]{journey.user}[/bold] at {moment(journey.timestamp)}, release {journey.release}")
    console.print(f"region {journey.region or 'unknown'}, age {journey.age if journey.age >= 0 else 'unknown'}")
    console.print(f"state: {state_text(journey.state)}")
    console.print(f"short of: {', '.join(journey.degraded) or 'nothing'}")
    console.print(agreement)
    console.print(_funnel(journey), _times(journey))
    for item in journey.items:
        _item(item, console)


def print_why_not(answer: WhyNot, console: Console) -> None:
    """Print why an item is not there."""
    lost = f"lost at {answer.step}: " if answer.step else ""
    by = f" (short by {answer.by:.4f})" if answer.by is not None else ""
    console.print(f"[bold]{answer.item_id}[/bold] {lost}{answer.reason}{by}")


def moment(timestamp: int) -> str:
    """A time in UTC."""
    return datetime.fromtimestamp(timestamp, timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")


def state_text(state: Mapping[str, object]) -> str:
    """What Redis held, in words."""
    as_of = state["row_as_of"]
    row = f"row as of {moment(as_of)}" if isinstance(as_of, int) else "no row"
    counts = ", ".join(f"{state[name]} {name}" for name in ("history", "consumed", "shown"))
    return f"embedding {state['embedding']}, {row}, items: {counts}"


def dropped_text(dropped: Mapping[str, int]) -> str:
    """Reasons with their counts."""
    return ", ".join(f"{count:,} {reason}" for reason, count in dropped.items())


def contribution_text(one: Contribution) -> str:
    """One feature, its value and what it adds."""
    value = "missing" if one.value is None else f"{one.value:.4g}"
    return f"{one.feature} = {value}: {one.log_odds:+.3f}"


def _funnel(journey: Journey) -> Table:
    table = Table("step", "left", "dropped", box=SIMPLE)
    table.columns[1].justify = "right"
    for step in journey.steps:
        table.add_row(step.name, f"{step.left:,}", dropped_text(step.dropped))
    return table


def _times(journey: Journey) -> Table:
    table = Table("model", "ms in this process", box=SIMPLE)
    table.columns[1].justify = "right"
    for model, spent in journey.milliseconds.items():
        table.add_row(model, f"{spent:.2f}")
    return table


def _item(item: ExplainedItem, console: Console) -> None:
    moved = f", moved {item.moved:+d} by the rules" if item.moved else ""
    boosts = f"fresh × {item.freshness:.3f}" + (f", boosted × {item.boost:.2f}" if item.boost != 1 else "")
    console.print(
        f"[bold]{item.position}. {item.item_id}[/bold] {item.title} ({item.category}) {item.score:.4f}{moved}"
    )
    console.print(
        f"   similarity {item.similarity:.3f} (number {item.retrieved}), "
        f"click probability {item.probability:.4f} (number {item.ranked}), {boosts}"
    )
    console.print(f"   [dim]{'; '.join(map(contribution_text, item.contributions))}[/dim]")
