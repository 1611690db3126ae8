"""Down the trees, one row after the other: cheaper than tests for LANES rows where there are very few."""

from __future__ import annotations

import numba
import numpy as np


@numba.njit(cache=True, nogil=True, boundscheck=False)
def add_walked(nodes, value, root, keys, total):
    """Add to each row's `total` (n,) float64 the leaves that it ends in, tree by tree; nodes as in Trees."""
    for row in range(len(keys)):
        for tree in range(len(root)):
            node = root[tree]
            column = nodes[node, 0]
            while column >= 0:
                goes_right = np.int32(keys[row, column] + nodes[node, 2]) > nodes[node, 1]
                node = nodes[node, 3] if goes_right else node + 1
                column = nodes[node, 0]
            total[row] += value[nodes[node, 3]]
