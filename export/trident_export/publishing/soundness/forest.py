"""The forest: a Treelite checkpoint of 120 features that ends in a sigmoid, and LightGBM's text of the same trees."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import treelite

from trident.contract import FEATURES
from trident.errors import ReleaseError
from trident.forest import open_checkpoint
from trident_export.publishing.soundness.forest_text import require_text
from trident_export.ranker import PARITY, forest_difference

CHECKPOINT, TEXT = "ranker/checkpoint.tl", "ranker/model.txt"
ROWS = 500
NUMERICAL = 1  # Treelite's number of the node type
LARGEST = 1e30
MISSING = 0.1
"""Share of the values that are missing in the rows on which the two are compared."""


def require_forest(folder: Path) -> None:
    """Raise ReleaseError unless both files of a release folder are whole and give the same probabilities."""
    require_text(folder / TEXT)
    model = open_checkpoint(folder / CHECKPOINT)
    if model.num_feature != FEATURES:
        raise ReleaseError(f"{CHECKPOINT}: expected {FEATURES} features, got {model.num_feature}")
    _require_header(model)
    thresholds = [_require_tree(number, model.get_tree_accessor(number)) for number in range(model.num_tree)]
    difference = forest_difference(folder / "ranker", _rows(thresholds))
    if not difference <= PARITY:
        raise ReleaseError(
            f"{CHECKPOINT} and {TEXT} are of different forests: expected a difference of at most {PARITY:.0e}, "
            f"got {difference:.2e}"
        )


def _require_header(model: treelite.Model) -> None:
    header = model.get_header_accessor()
    outputs = [int(np.asarray(header.get_field("num_target"))[0]), int(np.asarray(header.get_field("num_class")).max())]
    end = header.get_field("postprocessor")
    end = end if isinstance(end, str) else bytes(np.asarray(end)).decode("utf-8", "replace")
    alpha = float(np.asarray(header.get_field("sigmoid_alpha"))[0])
    if outputs != [1, 1] or end != "sigmoid" or alpha != 1:
        raise ReleaseError(f"{CHECKPOINT}: expected one output by sigmoid of 1, got {outputs} by {end!r} of {alpha}")
    if not np.isfinite(np.asarray(header.get_field("base_scores"), np.float64)).all():
        raise ReleaseError(f"{CHECKPOINT}: the base score is not finite")


def _require_tree(number: int, tree: treelite.model.TreeAccessor) -> tuple[np.ndarray, np.ndarray]:
    """Check one tree; returns the features and thresholds of its splits."""
    names = ("cleft", "cright", "split_index", "threshold", "leaf_value", "node_type")
    left, right, split, threshold, leaf, kind = (np.asarray(tree.get_field(name)) for name in names)
    inner, nodes = left >= 0, len(left)
    children = np.concatenate([left[inner], right[inner]])
    if (
        not nodes
        or len(np.unique(children)) != nodes - 1
        or (len(children) and not 1 <= children.min() <= children.max() < nodes)
    ):
        raise ReleaseError(f"{CHECKPOINT}, tree {number}: expected a tree of {nodes} nodes, got children of others")
    if inner.any() and ((split[inner] < 0) | (split[inner] >= FEATURES)).any():
        raise ReleaseError(f"{CHECKPOINT}, tree {number}: expected splits by features below {FEATURES}, got others")
    if np.isnan(threshold[kind == NUMERICAL]).any():  # an infinite one parts missing values from all others
        raise ReleaseError(f"{CHECKPOINT}, tree {number}: a threshold is NaN")
    if not np.isfinite(leaf[~inner]).all():
        raise ReleaseError(f"{CHECKPOINT}, tree {number}: a leaf value is NaN or infinite")
    return split[kind == NUMERICAL], threshold[kind == NUMERICAL]


def _rows(splits: list[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """Rows whose values lie about the thresholds of their feature, some of them missing: (ROWS, 120) float32."""
    rng = np.random.default_rng(0)
    features, thresholds = (np.concatenate(column) for column in zip(*splits, strict=True))
    rows = np.zeros((ROWS, FEATURES), np.float32)
    for feature in np.unique(features):
        own = thresholds[features == feature].astype(float)
        own = np.append(own[np.abs(own) < LARGEST], 0.0)  # the others only part what is missing
        values = rng.choice(own, ROWS) + rng.normal(scale=np.abs(own).mean() / 10 + 1e-3, size=ROWS)
        rows[:, feature] = np.clip(values, -LARGEST, LARGEST)
    rows[rng.random(rows.shape) < MISSING] = np.nan
    return rows
