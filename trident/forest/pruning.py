"""What is left of the trees where some columns are known, as tests that clear leaves.

Number the leaves of a tree from left to right, and let a row begin with all of them. Every split that sends the row
right clears the leaves of its left subtree; those that the row never reaches do no harm. The leftmost leaf left
standing is the one that the row ends in (Lucchese and others, QuickScorer, 2015). So a tree is a list of tests in any
order, each with the leaves that it clears as bits of a word of 32; a tree with more leaves has several words, and a
test stands in each one that its left subtree touches.
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np

from trident.forest.checkpoint import Trees

WORD = 32
LEFT = np.iinfo(np.int32).min
"""A key that goes left at every split: no value has it."""


class Tests(NamedTuple):
    """A forest as tests; a row of `tests` is (index in `columns`, limit, shift, bits of the leaves that it keeps)."""

    columns: np.ndarray  # (c,) int32 columns that are looked at
    tests: np.ndarray  # (t, 4) int32, those of a word together
    word_end: np.ndarray  # (words,) int32, where its tests end
    leaf_begin: np.ndarray  # (trees + 1,) int32
    leaf: np.ndarray  # (leaves,) float64


def room(trees: Trees) -> int:
    """How many tests there can be at most, whatever is known."""
    nodes = trees.nodes
    number = np.arange(len(nodes))
    ends = np.append(trees.root[1:], len(nodes))
    inner = nodes[:, 0] >= 0
    leaves_of_tree = np.repeat((ends - trees.root + 1) // 2, ends - trees.root)
    leaves_on_left = (nodes[:, 3] - number) // 2
    words = np.where(leaves_of_tree <= WORD, 1, (leaves_on_left - 1) // WORD + 2)
    return int(words[inner].sum())


@numba.njit(cache=True, nogil=True, boundscheck=False)
def prune(nodes, value, root, row, fixed, most_tests, most_leaves):
    """The trees for rows that equal `row` (columns,) in the fixed columns, as the arrays of Tests.

    `most_tests` is what `room` says, `most_leaves` the largest number of leaves of one tree.
    """
    slot, columns, known = _free(row, fixed)
    tests, leaf = np.empty((most_tests, 4), np.int32), np.empty(len(value), np.float64)
    word_end = np.empty(len(root) + len(value) // WORD, np.int32)
    leaf_begin = np.zeros(len(root) + 1, np.int32)
    stack, splits = np.empty((most_leaves, 2), np.int32), np.empty((most_leaves, 3), np.int32)
    made = words = 0
    for tree in range(len(root)):
        begin = leaf_begin[tree]
        leaves, asked = _descend(nodes, value, root[tree], known, slot, stack, splits, leaf[begin:])
        for word in range((leaves + WORD - 1) // WORD):
            made = _write(nodes, slot, splits[:asked], WORD * word, tests, made)
            word_end[words] = made
            words += 1
        leaf_begin[tree + 1] = begin + leaves
    return columns, tests[:made], word_end[:words], leaf_begin, leaf[: leaf_begin[-1]]


@numba.njit(cache=True, nogil=True, boundscheck=False)
def _free(row, fixed):
    """For each column its place among the free ones, -1 for fixed ones; the free ones; and the row, free ones LEFT."""
    slot, columns, free = np.full(len(fixed), -1, np.int32), np.empty(len(fixed), np.int32), 0
    known = row.copy()
    for column in range(len(fixed)):
        if not fixed[column]:
            slot[column], columns[free], known[column] = free, column, LEFT
            free += 1
    return slot, columns[:free], known


@numba.njit(cache=True, nogil=True, boundscheck=False)
def _descend(nodes, value, node, known, slot, stack, splits, leaf):
    """Visit what can be reached of a tree, left before right; return its leaves and splits, and write their numbers.

    A row of `splits` is (node, first leaf on its left, end of those), of `stack` (right child to visit, split).
    """
    asked = height = leaves = 0
    while True:
        column = nodes[node, 0]
        while column >= 0:  # no branch on what is free: the processor would guess wrong half of the time
            free = slot[column] >= 0
            splits[asked, 0], splits[asked, 1] = node, leaves
            stack[height, 0], stack[height, 1] = nodes[node, 3], asked
            asked += free
            height += free
            goes_right = np.int32(known[column] + nodes[node, 2]) > nodes[node, 1]
            node = nodes[node, 3] if goes_right else node + 1
            column = nodes[node, 0]
        leaf[leaves] = value[nodes[node, 3]]
        leaves += 1
        if height == 0:
            return leaves, asked
        height -= 1
        node = stack[height, 0]
        splits[stack[height, 1], 2] = leaves


@numba.njit(cache=True, nogil=True, boundscheck=False)
def _write(nodes, slot, splits, shift, tests, made):
    """Write the tests of the word that begins with leaf `shift`, from row `made` on; return where they end."""
    for split in range(len(splits)):
        first, end = max(splits[split, 1] - shift, 0), min(splits[split, 2] - shift, WORD)
        if first < end:
            node = splits[split, 0]
            tests[made, 0] = slot[nodes[node, 0]]
            tests[made, 1] = nodes[node, 1]
            tests[made, 2] = nodes[node, 2]
            tests[made, 3] = ~np.int32((np.int64(1) << end) - (np.int64(1) << first))
            made += 1
    return made
