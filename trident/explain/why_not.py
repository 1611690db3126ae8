"""Why one item is not in an answer: the first step that lost it, and by how much."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from trident.bitmap import without
from trident.contract import NO_ITEM
from trident.explain.drops import seen_reasons
from trident.explain.journey import Trip, ranks
from trident.rules.freshness import freshness
from trident.rules.never import NOBODY
from trident.rules.ranking import best_first


@dataclass(frozen=True)
class WhyNot:
    """`step` of the funnel lost the item, "" when it is in the answer; `by` is how much it was short, where that is a
    number: of similarity, or of score.
    """

    item_id: str
    step: str
    reason: str
    by: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """The answer as JSON can hold it."""
        return asdict(self)


def why_not(trip: Trip, item_id: str) -> WhyNot:
    """Follow one item through the steps."""
    row = int(trip.pipeline.release.items.rows([item_id])[0])
    if row == NO_ITEM:
        return WhyNot(item_id, "catalogue", f"release {int(trip.tensors['release'][0, 0])} does not have it")
    for look in (_hidden, _seen, _far, _behind):
        if (lost := look(trip, row)) is not None:
            return WhyNot(item_id, *lost)
    position = int(np.flatnonzero(trip.answered == row)[0]) + 1
    return WhyNot(item_id, "", f"it is in the answer, at position {position}")


def _hidden(trip: Trip, row: int) -> tuple[str, str] | None:
    safety, (region, age) = trip.safety, trip.viewer
    one = np.array([row])
    in_stock, here, safe = (bool(mask[0]) for mask in safety.steps(one, region, age))
    if not in_stock:
        return "in_stock", "it is out of stock"
    if not here:
        return "region_allowed", "it is blocked in the viewer's region, or somewhere and the region is unknown"
    if safe:
        return None
    if safety.look(one).flagged[0]:
        return "safe", "it is flagged"
    limit = int(safety.age_limit[row])
    if limit == NOBODY:
        return "safe", "the rules never show it or its category"
    return "safe", f"it is for viewers of {limit} years, the viewer's age is {age if age >= 0 else 'unknown'}"


def _seen(trip: Trip, row: int) -> tuple[str, str] | None:
    if row not in trip.tensors["seen_rows"][0]:
        return None
    reasons = [reason for reason, rows in seen_reasons(trip).items() if row in rows]
    return "not_seen_lately", f"it was {' and '.join(reasons)}"


def _far(trip: Trip, row: int) -> tuple[str, str, float] | tuple[str, str] | None:
    rows, near = trip.tensors["candidate_rows"][0], trip.tensors["similarity"][0]
    if row in rows:
        return None
    if "popular_fallback" in trip.tensors["degraded"][0, 0].decode():
        return "candidates", "the user tower did not answer, and it is not popular enough"
    regardless = np.isin(rows, _regardless(trip))
    last = float(np.nanmin(near[~regardless] if np.isfinite(near[~regardless]).any() else near))
    own = float(trip.pipeline.candidates.index.similarity(trip.tensors["user_embedding"][0], np.array([row]))[0])
    if own > last:
        return "candidates", f"with a similarity of {own:.4f} it is near enough, but the search did not read its list"
    return "candidates", f"its similarity is {own:.4f}, that of the last candidate {last:.4f}", last - own


def _regardless(trip: Trip) -> np.ndarray:
    """Rows that were candidates however far they are: pinned, or what is popular for a stranger."""
    region, age = trip.viewer
    bitmap = trip.safety.allowed(region, age).bitmap
    with without(bitmap, trip.tensors["seen_rows"][0]):
        return trip.pipeline.candidates.always(region, int(trip.tensors["state_flags"][0, 0]), bitmap)


def _behind(trip: Trip, row: int) -> tuple[str, str, float] | tuple[str, str] | None:
    """What the ranker and the rules decided about a candidate."""
    if row in trip.answered:
        return None
    rows, probability = trip.tensors["candidate_rows"][0], trip.tensors["click_probability"].reshape(-1)
    place = int(np.flatnonzero(rows == row)[0])
    if not np.isfinite(probability[place]):
        return "scored", "the forest has no score for it"
    rules, items = trip.rules, trip.pipeline.release.items
    factor = freshness(items.published_at[rows], trip.now, rules.rules) * rules.boost(rows, trip.now)
    score = probability * factor
    best = best_first(rows, probability * rules.boost(rows, trip.now))
    considered = int(trip.tensors["funnel"][0, 7])
    rank = int(np.flatnonzero(rows[best] == row)[0]) + 1 if row in rows[best] else int(ranks(probability, rows)[place])
    if rank > considered:
        own, last = float(probability[place]), float(probability[best[considered - 1]])
        reason = f"the ranker puts it on place {rank}, and the rules looked at the best {considered}"
        return (
            "considered",
            f"{reason}; its click probability is {own:.4f}, that of the last of them {last:.4f}",
            last - own,
        )
    return _outdone(trip, row, float(score[place]))


def _outdone(trip: Trip, row: int, score: float) -> tuple[str, str, float] | tuple[str, str]:
    rules, items, answered = trip.rules, trip.pipeline.release.items, trip.answered
    category = int(items.category[row])
    same = int((items.category[answered] == category).sum())
    cap = int(rules.caps[category])
    name = items.category_name(row) or "its unknown category"
    shown = trip.tensors["score"][0]
    last = float(shown[np.isfinite(shown)][-1])
    if same >= cap:
        own = float(shown[np.flatnonzero(items.category[answered] == category)[-1]])
        reason = f"{same} better items of {name} are in the answer, and the cap is {cap}"
        return "diverse", f"{reason}; its score is {score:.4f}, theirs at least {own:.4f}", own - score
    if score > last:
        return "returned", f"its score of {score:.4f} is enough, but pinned, new or more different items came first"
    return "returned", f"its score is {score:.4f}, that of the last item of the answer {last:.4f}", last - score
