"""A journey as one self-contained HTML page."""

from __future__ import annotations

from html import escape

from trident.explain.journey import ExplainedItem, Journey, Step
from trident.explain.text import contribution_text, dropped_text, moment, state_text

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; color: #222 }
table { border-collapse: collapse; width: 100%; margin: .5rem 0 2rem }
th, td { text-align: left; vertical-align: top; padding: .3rem .6rem; border-bottom: 1px solid #ddd }
td.n { text-align: right; font-variant-numeric: tabular-nums }
.bar { background: #4477aa; height: .8rem; min-width: 1px }
.up { background: #228833 } .down { background: #cc6677 }
small { color: #666 }
"""


def journey_page(journey: Journey, agreement: str) -> str:
    """The page: request, funnel, times and items with bars."""
    title = f"{escape(journey.user)}: {len(journey.items)} items of release {journey.release}"
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title><style>{STYLE}</style>'
        f"<h1>{title}</h1><p>{moment(journey.timestamp)}, region {escape(journey.region) or 'unknown'}, "
        f"age {journey.age if journey.age >= 0 else 'unknown'}<br>{escape(state_text(journey.state))}<br>"
        f"short of: {', '.join(journey.degraded) or 'nothing'}<br>{escape(agreement)}</p>"
        f"<h2>Funnel</h2>{_funnel(journey.steps)}<h2>Time per step, in this process</h2>{_times(journey)}"
        f"<h2>Items</h2>{_items(journey.items)}</html>\n"
    )


def _funnel(steps: tuple[Step, ...]) -> str:
    most = max((step.left for step in steps), default=0) or 1
    rows = "".join(
        f'<tr><td>{step.name}<td class="n">{step.left:,}<td style="width:30%">{bar(step.left / most)}'
        f"<td>{escape(dropped_text(step.dropped))}"
        for step in steps
    )
    return f"<table><tr><th>step<th>left<th><th>dropped{rows}</table>"


def _times(journey: Journey) -> str:
    most = max(journey.milliseconds.values(), default=0) or 1
    rows = "".join(
        f'<tr><td>{model}<td class="n">{spent:.2f} ms<td style="width:60%">{bar(spent / most)}'
        for model, spent in journey.milliseconds.items()
    )
    return f"<table>{rows}</table>"


def _items(items: tuple[ExplainedItem, ...]) -> str:
    most = max((abs(c.log_odds) for item in items for c in item.contributions), default=0) or 1
    head = "<tr><th><th>item<th>similarity<th>probability<th>boosts<th>score<th>because of (log-odds)<th>"
    return f"<table>{head}{''.join(_item(item, most) for item in items)}</table>"


def _item(item: ExplainedItem, most: float) -> str:
    reasons = "<br>".join(escape(contribution_text(c)) for c in item.contributions)
    bars = "".join(
        f'<div style="height:1.5em">{bar(abs(c.log_odds) / most, "up" if c.log_odds > 0 else "down")}</div>'
        for c in item.contributions
    )
    moved = f"<br><small>moved {item.moved:+d}</small>" if item.moved else ""
    return (
        f'<tr><td class="n">{item.position}<td>{escape(item.item_id)}<br>{escape(item.title)}'
        f"<br><small>{escape(item.category)}</small>"
        f'<td class="n">{item.similarity:.3f}<br><small>{item.retrieved}.</small>'
        f'<td class="n">{item.probability:.4f}<br><small>{item.ranked}.</small>'
        f'<td class="n">× {item.freshness:.3f}<br>× {item.boost:.2f}'
        f'<td class="n">{item.score:.4f}{moved}<td>{reasons}<td style="width:12%">{bars}'
    )


def bar(share: float, kind: str = "") -> str:
    """A bar over `share` of the width."""
    return f'<div class="bar {kind}" style="width:{100 * share:.1f}%"></div>'
