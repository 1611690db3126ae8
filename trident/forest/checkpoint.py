"""The trees of a Treelite checkpoint as arrays, in the order in which pruning visits them."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numba
import numpy as np
import treelite

from trident.errors import ReleaseError
from trident.forest.sortable import Categories, limits

CATEGORICAL, LESS_OR_EQUAL = 2, 3  # Treelite's numbers of the node type and the operator
FIELDS = ("cleft", "cright", "split_index", "threshold", "default_left", "leaf_value", "node_type", "cmp")
LIST_FIELDS = ("category_list_begin", "category_list_end", "category_list_right_child")
LEAF = -1


class UnsupportedForest(ReleaseError):
    """A forest that the kernel cannot evaluate exactly."""


class Trees(NamedTuple):
    """The nodes of all trees, each followed by its left subtree, then its right one.

    A row of `nodes` is (column, limit, shift, index of the right child), see `sortable`; the left child is the next
    row. In a leaf the column is LEAF, and the last number its index in `value`. Leaves lie from left to right.
    """

    nodes: np.ndarray  # (nodes, 4) int32
    value: np.ndarray  # (leaves,) float64
    root: np.ndarray  # (trees,) int32
    categories: Categories
    columns: int  # of the matrix
    base: float
    sigmoid: float  # factor inside the logistic function, 0 for none


def open_checkpoint(path: Path) -> treelite.Model:
    """Read a Treelite checkpoint; raise ReleaseError when it is none."""
    try:
        return treelite.Model.deserialize(path)
    except (treelite.TreeliteError, OSError) as error:
        raise ReleaseError(f"{path.name} cannot be read: {str(error).splitlines()[-1][:200]}") from None


def read_trees(model: treelite.Model) -> Trees:
    """Take the trees out of a Treelite model; raise UnsupportedForest for what the kernel cannot take."""
    header = model.get_header_accessor()
    sigmoid = _sigmoid(header)
    trees = [model.get_tree_accessor(i) for i in range(model.num_tree)]
    if not trees:
        raise UnsupportedForest("the forest has no trees")
    cleft, cright, column, threshold, default_left, leaf, kind, cmp = (_joined(trees, name) for name in FIELDS)
    sizes = [len(np.asarray(tree.get_field("cleft"))) for tree in trees]
    start = np.cumsum([0, *sizes], dtype=np.int64)
    offset = np.repeat(start[:-1], sizes)
    cleft, cright = (np.where(cleft < 0, LEAF, child + offset) for child in (cleft, cright))
    inner = cleft != LEAF
    categorical = inner & (kind == CATEGORICAL)
    numeric = inner & ~categorical
    _require_trees(start, cleft[inner], cright[inner], column[inner], model.num_feature)
    _check(trees, threshold[numeric], cmp[numeric])
    column = np.where(inner, column, LEAF).astype(np.int32)
    shift = (numeric & (default_left != 0)).astype(np.int32)
    limit = np.where(numeric, limits(np.where(numeric, threshold, 1.0)) + shift, 0).astype(np.int32)
    categories, column[categorical] = _categories(trees, start, categorical, column, default_left, model.num_feature)
    nodes, value, root = _depth_first(start[:-1], column, limit, shift, cleft, cright, leaf)
    base = float(np.asarray(header.get_field("base_scores"), np.float64).sum())
    return Trees(nodes, value, root, categories, model.num_feature, base, sigmoid)


def _joined(trees: list[treelite.model.TreeAccessor], name: str) -> np.ndarray:
    return np.concatenate([np.asarray(tree.get_field(name)) for tree in trees])


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


def _require_trees(start: np.ndarray, left: np.ndarray, right: np.ndarray, column: np.ndarray, columns: int) -> None:
    """Raise ReleaseError unless every node but the roots is the child of one other; the kernel does not look again."""
    children = np.concatenate([left, right])
    inside = len(children) == 0 or 0 <= children.min() <= children.max() < start[-1]
    is_root = np.isin(np.arange(start[-1]), start[:-1])
    if not inside or (np.diff(start) == 0).any() or (np.bincount(children, minlength=start[-1]) != ~is_root).any():
        raise ReleaseError("the checkpoint is damaged: expected every node but the roots to be the child of one other")
    if len(column) and not 0 <= column.min() <= column.max() < columns:
        raise ReleaseError(
            f"the checkpoint is damaged: expected splits by columns 0 to {columns - 1}, "
            f"got {column.min()} to {column.max()}"
        )


def _check(trees: list[treelite.model.TreeAccessor], thresholds: np.ndarray, operators: np.ndarray) -> None:
    if any(len(np.asarray(tree.get_field("leaf_vector"))) for tree in trees):
        raise UnsupportedForest("the forest has vector leaves")
    if (operators != LESS_OR_EQUAL).any():
        raise UnsupportedForest("the forest compares with another operator than <=")
    if np.isnan(thresholds).any():
        raise UnsupportedForest("the forest has a threshold that is not a number")


def _categories(
    trees: list[treelite.model.TreeAccessor],
    start: np.ndarray,
    categorical: np.ndarray,
    column: np.ndarray,
    default_left: np.ndarray,
    columns: int,
) -> tuple[Categories, np.ndarray]:
    """The categorical splits, and for each of them the number of its column behind those of the matrix."""
    flags: list[np.ndarray] = [np.zeros(0, bool)]
    listed_right: list[np.ndarray] = [np.zeros(0, bool)]
    for tree, first, end in zip(trees, start[:-1], start[1:], strict=True):
        if not categorical[first:end].any():
            continue
        lists = np.asarray(tree.get_field("category_list"))
        begins, ends, right = (np.asarray(tree.get_field(name))[categorical[first:end]] for name in LIST_FIELDS)
        flags += [_flags(lists[b:e]) for b, e in zip(begins, ends, strict=True)]
        listed_right.append(right != 0)
    sizes = np.array([len(one) for one in flags[1:]], np.int64)
    made = Categories(
        column[categorical],
        np.cumsum(sizes) - sizes,
        sizes,
        np.concatenate(flags),
        np.concatenate(listed_right),
        default_left[categorical] == 0,
    )
    return made, np.arange(columns, columns + len(sizes), dtype=np.int32)


def _flags(listed: np.ndarray) -> np.ndarray:
    """Which categories are listed, up to the largest: (largest + 1,) bool."""
    flags = np.zeros(int(listed.max()) + 1 if len(listed) else 0, bool)
    flags[listed] = True
    return flags


@numba.njit(cache=True)
def _depth_first(roots, column, limit, shift, cleft, cright, leaf):
    nodes = np.empty((len(column), 4), np.int32)
    value = np.empty(len(column), np.float64)
    root = np.empty(len(roots), np.int32)
    waiting, parent = np.empty(len(column), np.int64), np.empty(len(column), np.int64)
    made = leaves = 0
    for tree in range(len(roots)):
        root[tree] = made
        waiting[0], parent[0], height = roots[tree], -1, 1
        while height:
            height -= 1
            node = waiting[height]
            if parent[height] >= 0:
                nodes[parent[height], 3] = made
            while column[node] != LEAF:
                nodes[made, 0], nodes[made, 1], nodes[made, 2] = column[node], limit[node], shift[node]
                waiting[height], parent[height] = cright[node], made
                height += 1
                made += 1
                node = cleft[node]
            nodes[made, 0], nodes[made, 1], nodes[made, 2], nodes[made, 3] = LEAF, 0, 0, leaves
            value[leaves] = leaf[node]
            leaves += 1
            made += 1
    return nodes[:made], value[:leaves], root
