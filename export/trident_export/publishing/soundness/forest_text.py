"""LightGBM's text of a forest, read before LightGBM reads it: from a text that is cut off LightGBM crashes."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from trident.contract import FEATURES
from trident.errors import ReleaseError, reason
from trident_export.ranker import LOGISTIC

NAME = "ranker/model.txt"
HEAD = {"num_class": "1", "max_feature_idx": str(FEATURES - 1), "objective": LOGISTIC}
END = "end of trees"


def require_text(path: Path) -> None:
    """Raise ReleaseError unless the text has a head for 120 features and whole trees of finite numbers."""
    try:
        text = path.read_text("utf-8")
    except (OSError, ValueError) as error:
        raise ReleaseError(f"{NAME} cannot be read: {reason(error)}") from None
    head, *trees = text.partition(f"\n{END}\n")[0].split("\nTree=")
    if f"\n{END}\n" not in text or "\nend of parameters\n" not in text:
        raise ReleaseError(f"{NAME}: expected '{END}' and 'end of parameters', got a text without them: it is cut off")
    stated = _fields(head)
    for name, expected in HEAD.items():
        if stated.get(name) != expected:
            raise ReleaseError(f"{NAME}: {name}: expected {expected}, got {str(stated.get(name))[:80]!r}")
    _require_sizes(stated.get("tree_sizes", ""), text)
    for number, tree in enumerate(trees):
        _require_tree(number, _fields(f"number={tree}"))


def _fields(lines: str) -> dict[str, str]:
    return {name: value for name, mark, value in (line.partition("=") for line in lines.splitlines()) if mark}


def _require_sizes(stated: str, text: str) -> None:
    """The trees lie where the head says."""
    sizes = _numbers("tree_sizes", stated, int)
    begin, end = text.find("\nTree=0\n") + 1, text.find(f"\n{END}\n") + 1
    if not len(sizes) or int(sizes.sum()) != len(text[begin:end].encode()):
        raise ReleaseError(f"{NAME}: trees: expected {int(sizes.sum())} bytes as tree_sizes says, got {end - begin}")


def _require_tree(number: int, fields: dict[str, str]) -> None:
    where = f"tree {number}: "
    leaves = int(_numbers(f"{where}num_leaves", fields.get("num_leaves", ""), int, 1)[0])
    _numbers(f"{where}leaf_value", fields.get("leaf_value", ""), float, leaves)
    if leaves < 2:
        return
    features = _numbers(f"{where}split_feature", fields.get("split_feature", ""), int, leaves - 1)
    _numbers(f"{where}threshold", fields.get("threshold", ""), float, leaves - 1, infinite=True)
    _numbers(f"{where}decision_type", fields.get("decision_type", ""), int, leaves - 1)
    children = [_numbers(f"{where}{n}", fields.get(n, ""), int, leaves - 1) for n in ("left_child", "right_child")]
    if features.min() < 0 or features.max() >= FEATURES:
        raise ReleaseError(f"{NAME}: {where}expected splits by features below {FEATURES}, got {features.max()}")
    if sorted(np.concatenate(children).tolist()) != [*range(-leaves, 0), *range(1, leaves - 1)]:
        raise ReleaseError(f"{NAME}: {where}expected each node and leaf below one other, got others")


def _numbers(name: str, text: str, kind: type, count: int | None = None, infinite: bool = False) -> np.ndarray:
    """The numbers of a field; `infinite` ones are thresholds that part missing values from all others."""
    try:
        values = np.array([kind(word) for word in text.split()])
    except (ValueError, OverflowError):
        raise ReleaseError(f"{NAME}: {name}: expected numbers, got {text[:80]!r}") from None
    if count is not None and len(values) != count:
        raise ReleaseError(f"{NAME}: {name}: expected {count} numbers, got {len(values)}")
    if np.isnan(values.astype(float)).any() or not (infinite or np.isfinite(values.astype(float)).all()):
        raise ReleaseError(f"{NAME}: {name}: a number is NaN{'' if infinite else ' or infinite'}")
    return values
