"""The documentation page of the features, written from the registry."""

from __future__ import annotations

import math

from trident.features.registry import CONTEXT, CROSS, GROUPS, ITEM, USER, Feature, index

_HEAD = f"""# The {len(USER) + len(ITEM) + len(CONTEXT) + len(CROSS)} features

Written by `python -m trident.features` from `trident/features/registry.py`.

Training rows and served rows hold these columns in this order, as float32. A row sees events of strictly earlier
seconds than its own time. Unknown is NaN unless the table says otherwise. Codes are places in the vocabulary of the
release. A clock column grows by one per day of wall time, so a stored row is moved on to the time of a request.
Taste events are click, like, add and purchase; approvals are these and share. Hours and weekdays are UTC.
"""


def page() -> str:
    """The page as Markdown: a table per group."""
    return "\n".join([_HEAD, *(_table(group, features) for group, features in GROUPS.items())])


def _table(group: str, features: tuple[Feature, ...]) -> str:
    head = (
        f"## {group} ({len(features)})\n\n| column | name | formula | window | default | |\n|---|---|---|---|---|---|\n"
    )
    return head + "".join(map(_line, features))


def _line(feature: Feature) -> str:
    default = "NaN" if math.isnan(feature.default) else f"{feature.default:g}"
    formula = feature.formula.replace("|", "\\|")
    notes = [f"codes of {feature.vocabulary}"] * bool(feature.vocabulary) + ["clock"] * feature.clock
    return (
        f"| {index(feature.name)} | {feature.name} | {formula} | {feature.window} | {default} | {', '.join(notes)} |\n"
    )
