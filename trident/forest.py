"""A gradient-boosted forest from a Treelite checkpoint, evaluated row by row without branches.

Nodes lie in breadth-first order with the two children side by side, so that a step down a tree is
`node = left[node] + (goes right)`. A leaf leads to itself; every row takes as many steps as the tree is deep. Eight
rows go through a tree at the same time, and all rows of a block before the next tree, so that its nodes stay in the
cache. Each row is laid out twice, with its missing values as −∞ and as +∞: a node that sends them right reads from the
second half, so one comparison serves all.

Treelite compares float32 inputs with thresholds in double precision. A float32 x is ≤ t exactly when it is ≤ the
largest float32 that is ≤ t, so the thresholds are rounded down once and all comparisons are made in float32.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numba
import numpy as np
import treelite

from trident.errors import ReleaseError

log = logging.getLogger(__name__)

BLOCK, LANES = 128, 8
LARGEST = np.finfo(np.float32).max
CATEGORICAL, LESS_OR_EQUAL = 2, 3  # Treelite's numbers of the node type and the operator


class UnsupportedForest(ReleaseError):
    """A forest that the kernel cannot evaluate exactly."""


@dataclass(frozen=True)
class Forest:
    """The nodes of all trees; see `Forest.predict`."""

    feature: np.ndarray  # (nodes,) int32, 0 in a leaf, plus `features` where a missing value goes right
    threshold: np.ndarray  # (nodes,) float32, +inf in a leaf
    left: np.ndarray  # (nodes,) int32 index of the left child, itself in a leaf
    value: np.ndarray  # (nodes,) float64 leaf values, 0 elsewhere
    root: np.ndarray  # (trees,) int32
    depth: np.ndarray  # (trees,) int32
    features: int
    base: float
    sigmoid: float  # factor inside the logistic function, 0 for none

    @classmethod
    def read(cls, path: Path) -> Forest:
        """Build the forest of a Treelite checkpoint; raise UnsupportedForest for one that the kernel cannot take."""
        return cls.from_treelite(open_checkpoint(path))

    @classmethod
    def from_treelite(cls, model: treelite.Model) -> Forest:
        """Build the forest of a Treelite model with one output and numerical splits."""
        header = model.get_header_accessor()
        sigmoid = _sigmoid(header)
        base = float(np.asarray(header.get_field("base_scores"), np.float64).sum())
        trees = [_Tree.read(model.get_tree_accessor(i), model.num_feature) for i in range(model.num_tree)]
        starts = np.cumsum([0, *(len(t.feature) for t in trees)]).astype(np.int32)
        joined = {name: np.concatenate([getattr(t, name) for t in trees]) for name in ("feature", "threshold", "value")}
        left = np.concatenate([t.left + s for t, s in zip(trees, starts[:-1], strict=True)]).astype(np.int32)
        depth = np.array([t.depth for t in trees], np.int32)
        return cls(
            **joined, left=left, root=starts[:-1], depth=depth, features=model.num_feature, base=base, sigmoid=sigmoid
        )

    def predict(self, rows: np.ndarray) -> np.ndarray:
        """The forest's answer for `rows` (n, features) float32, NaN = missing: (n, 1) float32."""
        total = np.full(len(rows), self.base)
        _walk(_twice(rows), self.feature, self.threshold, self.left, self.value, self.root, self.depth, total)
        if self.sigmoid:
            total = 1 / (1 + np.exp(-self.sigmoid * total))
        return total.astype(np.float32)[:, None]


def predictor(path: Path) -> Callable[[np.ndarray], np.ndarray]:
    """What scores rows (n, features) float32 as (n, 1): our kernel, or Treelite for a forest that it cannot take."""
    try:
        return Forest.read(path).predict
    except UnsupportedForest as reason:
        log.warning("ranker: %s; Treelite's reference evaluation scores it, which is slower", reason)
        model = open_checkpoint(path)
        return lambda rows: treelite.gtil.predict(model, rows, nthread=1).reshape(len(rows), 1).astype(np.float32)


def open_checkpoint(path: Path) -> treelite.Model:
    """Read a Treelite checkpoint; raise ReleaseError when it is none."""
    try:
        return treelite.Model.deserialize(path)
    except (treelite.TreeliteError, OSError) as error:
        raise ReleaseError(f"{path.name} cannot be read: {str(error).splitlines()[-1][:200]}") from None


def _sigmoid(header: treelite.model.HeaderAccessor) -> float:
    if int(np.asarray(header.get_field("num_target"))[0]) != 1 or np.asarray(header.get_field("num_class")).max() != 1:
        raise UnsupportedForest("the forest has several outputs")
    if bool(np.asarray(header.get_field("average_tree_output"))[0]):
        raise UnsupportedForest("the forest averages its trees")
    name = header.get_field("postprocessor")
    name = name if isinstance(name, str) else bytes(np.asarray(name)).decode()
    if name == "identity":
        return 0.0
    if name != "sigmoid":
        raise UnsupportedForest(f"the forest ends in '{name}', not in a sigmoid")
    return float(np.asarray(header.get_field("sigmoid_alpha"))[0])


@dataclass(frozen=True)
class _Tree:
    """One tree in breadth-first order, children side by side; indices count from its root."""

    feature: np.ndarray
    threshold: np.ndarray
    left: np.ndarray
    value: np.ndarray
    depth: int

    @classmethod
    def read(cls, tree: treelite.model.TreeAccessor, features: int) -> _Tree:
        names = ("cleft", "cright", "split_index", "threshold", "default_left", "leaf_value", "node_type", "cmp")
        cleft, cright, split, threshold, default_left, leaf, kind, cmp = (
            np.asarray(tree.get_field(name)) for name in names
        )
        if (kind == CATEGORICAL).any() or len(np.asarray(tree.get_field("leaf_vector"))):
            raise UnsupportedForest("the forest has categorical splits or vector leaves")
        order, left, depth = _breadth_first(cleft, cright)
        inner = cleft[order] >= 0
        if (inner & (cmp[order] != LESS_OR_EQUAL)).any():
            raise UnsupportedForest("the forest compares with another operator than <=")
        return cls(
            feature=np.where(inner, split[order] + features * (default_left[order] == 0), 0).astype(np.int32),
            threshold=np.where(inner, _round_down(threshold[order]), np.float32(np.inf)).astype(np.float32),
            left=left,
            value=np.where(inner, 0.0, leaf[order]).astype(np.float64),
            depth=depth,
        )


def _breadth_first(cleft: np.ndarray, cright: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
    """Order of the nodes, new index of each left child (itself in a leaf), and steps to the deepest leaf."""
    order, left, level, depth = [0], [], [0], 0
    for new, old in enumerate(order):  # grows while it is walked
        if cleft[old] < 0:
            left.append(new)
            continue
        left.append(len(order))
        order += [int(cleft[old]), int(cright[old])]
        level += [level[new] + 1] * 2
        depth = level[new] + 1
    return np.array(order), np.array(left, np.int32), depth


def _round_down(threshold: np.ndarray) -> np.ndarray:
    """The largest finite float32 that is not above each double; beyond it only missing values go right."""
    with np.errstate(over="ignore"):
        single = threshold.astype(np.float32)
    return np.minimum(np.where(single > threshold, np.nextafter(single, np.float32(-np.inf)), single), LARGEST)


def _twice(rows: np.ndarray) -> np.ndarray:
    """Rows (n, f) with missing values as -inf, and beside them as +inf: (n, 2·f) float32."""
    twice = np.empty((len(rows), 2, rows.shape[1]), np.float32)
    np.minimum(rows[:, None, :], LARGEST, out=twice)  # leaves +∞ to missing values
    missing = np.isnan(rows)
    twice[:, 0][missing] = -np.inf
    twice[:, 1][missing] = np.inf
    return twice.reshape(len(rows), 2 * rows.shape[1])


@numba.njit(cache=True, nogil=True, boundscheck=False)
def _walk(rows, feature, threshold, left, value, root, depth, total):
    node = np.empty(LANES, np.int32)
    row = np.empty(LANES, np.int64)
    for start in range(0, len(rows), BLOCK):
        end = min(start + BLOCK, len(rows))
        for tree in range(len(root)):
            for first in range(start, end, LANES):
                for lane in range(LANES):  # always all lanes, the last row again where there are fewer
                    node[lane] = root[tree]
                    row[lane] = min(first + lane, end - 1)
                for _ in range(depth[tree]):
                    for lane in range(LANES):
                        at = node[lane]
                        node[lane] = left[at] + (rows[row[lane], feature[at]] > threshold[at])
                for lane in range(min(LANES, end - first)):
                    total[first + lane] += value[node[lane]]
