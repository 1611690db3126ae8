"""The forest that scores: which of the ways to evaluate it suits which rows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import treelite

from trident.errors import InvalidInput
from trident.forest.checkpoint import Trees, UnsupportedForest, open_checkpoint, read_trees
from trident.forest.leaf_bits import add_leaves
from trident.forest.pruning import Tests, prune, room
from trident.forest.runs import fixed_columns, segments, shared_columns
from trident.forest.sortable import keys
from trident.forest.walking import add_walked

FEW = 3
"""Rows up to which walking down the trees is faster than testing LANES rows at once."""
PAYS = 96
"""From so many rows, times the share of the splits that end alike in all of them, pruning saves more than it costs."""
MOST_TESTS = 20_000_000
"""Of 16 bytes each; only trees with thousands of leaves on a string need more."""


@dataclass(frozen=True)
class Forest:
    """Trees, the same as tests, and what both need to know of them."""

    trees: Trees
    whole: Tests  # for rows that have too little in common
    use: np.ndarray  # (columns + categorical splits,) share of the splits on each
    shared: np.ndarray  # columns that are the same within a request, as a hint
    most_tests: int
    most_leaves: int

    @classmethod
    def read(cls, path: Path) -> Forest:
        """Build the forest of a Treelite checkpoint; raise UnsupportedForest for one that the kernel cannot take."""
        return cls.from_treelite(open_checkpoint(path))

    @classmethod
    def from_treelite(cls, model: treelite.Model) -> Forest:
        """Build the forest of a Treelite model with one output and splits `x <= threshold` or by category."""
        trees = read_trees(model)
        most_tests = room(trees)
        if most_tests > MOST_TESTS:
            raise UnsupportedForest(f"the forest needs {most_tests:,} tests, more than {MOST_TESTS:,}")
        asked = trees.nodes[trees.nodes[:, 0] >= 0, 0]
        columns = trees.columns + len(trees.categories.column)
        use = np.bincount(asked, minlength=columns) / max(len(asked), 1)
        nodes_of_trees = np.diff(trees.root, append=len(trees.nodes))
        most_leaves = int(nodes_of_trees.max() + 1) // 2
        nothing = np.zeros(columns, np.int32)
        whole = Tests(*prune(*trees[:3], nothing, use == 0, most_tests, most_leaves))
        return cls(trees, whole, use, shared_columns(trees.columns), most_tests, most_leaves)

    def predict(self, rows: np.ndarray) -> np.ndarray:
        """The forest's answer for `rows` (n, columns) float32, NaN = missing: (n, 1) float32.

        The leaves of a row are added in the order of the trees, in double precision, whichever way it takes.
        """
        if rows.ndim != 2 or rows.shape[1] != self.trees.columns:
            raise InvalidInput(f"ranker: expected rows of {self.trees.columns} columns, got shape {list(rows.shape)}")
        known = keys(rows, self.trees.categories)
        total = np.full(len(rows), self.trees.base)
        for begin, end, is_run in segments(known, self.shared, PAYS):
            self._add(known[begin:end], total[begin:end], is_run)
        if self.trees.sigmoid:
            total = 1 / (1 + np.exp(-self.trees.sigmoid * total))
        return total.astype(np.float32)[:, None]

    def _add(self, known: np.ndarray, total: np.ndarray, is_run: bool) -> None:
        if len(known) <= FEW:
            add_walked(*self.trees[:3], known, total)
            return
        tests = self._pruned(known) if is_run else None
        add_leaves(known, *(self.whole if tests is None else tests), total)

    def _pruned(self, known: np.ndarray) -> Tests | None:
        """The forest for rows that are equal in some columns; None where these decide too little."""
        fixed = fixed_columns(known)
        if len(known) * (self.use @ fixed) < PAYS:
            return None
        fixed |= self.use == 0
        return Tests(*prune(*self.trees[:3], known[0], fixed, self.most_tests, self.most_leaves))
