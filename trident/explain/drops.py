"""Why items left the funnel, counted step by step."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from trident.contract import NO_ITEM
from trident.rules.never import NOBODY

if TYPE_CHECKING:
    from trident.explain.journey import Trip


def drops(trip: Trip) -> list[dict[str, int]]:
    """For each step of FUNNEL how many items it dropped, by reason."""
    left = trip.tensors["funnel"][0].tolist()
    fewer = [max(before - after, 0) for before, after in pairwise(left)]
    single = {
        4: "farther from the user than the candidates",
        5: "without a score from the forest",
        6: "behind the best candidates",
        7: "no longer allowed",
        8: "over the cap of their category",
        9: "behind the items of the answer",
    }
    counted = [{}, *_visibility(trip), _seen(trip)]
    return counted + [{reason: fewer[i]} if fewer[i] else {} for i, reason in single.items()]


def _visibility(trip: Trip) -> list[dict[str, int]]:
    safety, (region, age) = trip.safety, trip.viewer
    every = np.arange(len(safety.items))
    in_stock, here, safe = safety.steps(every, region, age)
    hidden = np.flatnonzero(here & ~safe)
    flagged = safety.look(hidden).flagged
    limits = safety.age_limit[hidden[~flagged]]
    return [
        named({"out of stock": int((~in_stock).sum())}),
        named({"blocked in the viewer's region": int((in_stock & ~here).sum())}),
        named(
            {
                "flagged": int(flagged.sum()),
                "on the rules' list of what is never shown": int((limits == NOBODY).sum()),
                "for older viewers": int((limits != NOBODY).sum()),
            }
        ),
    ]


def _seen(trip: Trip) -> dict[str, int]:
    """Of the items that the viewer may see, which are hidden as seen; the first reason counts."""
    safety, counted, before = trip.safety, {}, np.empty(0, np.int64)
    hidden = trip.tensors["seen_rows"][0]
    for reason, rows in seen_reasons(trip).items():
        rows = np.setdiff1d(np.intersect1d(rows, hidden[hidden != NO_ITEM]), before)
        before = np.union1d(before, rows)
        counted[reason] = int(safety.passes(rows, *trip.viewer).sum())
    return named(counted)


def seen_reasons(trip: Trip) -> dict[str, np.ndarray]:
    """Rows of the items that the user has met, by how."""
    items, state = trip.pipeline.release.items, trip.state
    return {
        "shown lately": items.rows(state.shown),
        "consumed": items.rows(state.consumed),
        "clicked or bought lately": items.rows(state.history),
    }


def named(counted: dict[str, int]) -> dict[str, int]:
    """The reasons that dropped something."""
    return {reason: count for reason, count in counted.items() if count}
