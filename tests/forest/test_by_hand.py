from typing import Any

import numpy as np
import treelite
from treelite.model_builder import Metadata, ModelBuilder, PostProcessorFunc, TreeAnnotation

from trident.forest import Forest
from trident.forest.pruning import prune
from trident.forest.sortable import keys, limits

NAN, INF = np.nan, np.inf


def built(*trees: list[dict[str, Any]], columns: int = 2, postprocessor: str = "identity") -> treelite.Model:
    """Trees of nodes {"leaf": value} or {"column", "threshold", "missing_left", "children"}, by index."""
    builder = ModelBuilder(
        threshold_type="float64",
        leaf_output_type="float64",
        metadata=Metadata(columns, "kBinaryClf", False, 1, [1], (1, 1)),
        tree_annotation=TreeAnnotation(len(trees), [0] * len(trees), [0] * len(trees)),
        postprocessor=PostProcessorFunc(postprocessor),
        base_scores=[0.5],
    )
    for tree in trees:
        builder.start_tree()
        for number, node in enumerate(tree):
            builder.start_node(number)
            if "leaf" in node:
                builder.leaf(node["leaf"])
            else:
                builder.numerical_test(node["column"], node["threshold"], node["missing_left"], "<=", *node["children"])
            builder.end_node()
        builder.end_tree()
    return builder.commit()


#   x0 <= 1, missing left ── yes ─▶ 1
#        └── no ─▶ x1 <= 2, missing right ── yes ─▶ 10, no ─▶ 100
TREE = [
    {"column": 0, "threshold": 1.0, "missing_left": True, "children": (1, 2)},
    {"leaf": 1.0},
    {"column": 1, "threshold": 2.0, "missing_left": False, "children": (3, 4)},
    {"leaf": 10.0},
    {"leaf": 100.0},
]
LONE = [{"leaf": 1000.0}]


def test_each_row_ends_in_the_leaf_that_its_values_lead_to():
    rows = [[1, 9], [1.0000001, 2], [2, 2.0000002], [NAN, 9], [2, NAN], [-INF, 0], [INF, -INF], [INF, INF], [NAN, NAN]]
    leaves = [1, 10, 100, 1, 100, 1, 10, 100, 1]
    forest = Forest.from_treelite(built(TREE, LONE))
    for times in (1, 20):  # walked, and tested
        found = forest.predict(np.tile(np.array(rows, np.float32), (times, 1)))
        assert found[:, 0].tolist() == [leaf + 1000.5 for leaf in leaves] * times


def test_a_sigmoid_ends_a_forest_that_says_so():
    forest = Forest.from_treelite(built([{"leaf": 0.25}], postprocessor="sigmoid"))
    for n in (1, 200):
        assert forest.predict(np.zeros((n, 2), np.float32)).tolist() == [[np.float32(1 / (1 + np.exp(-0.75)))]] * n


def test_a_tree_is_a_list_of_tests_that_clear_leaves():
    whole = Forest.from_treelite(built(TREE, LONE)).whole
    one, two = limits(np.array([1.0, 2.0]))
    assert whole.tests.tolist() == [[0, one + 1, 1, ~0b001], [1, two, 0, ~0b010]]
    assert whole.leaf.tolist() == [1, 10, 100, 1000]
    assert whole.leaf_begin.tolist() == [0, 3, 4]
    assert whole.word_end.tolist() == [2, 2]


def test_what_is_known_leaves_fewer_tests():
    trees = Forest.from_treelite(built(TREE, LONE)).trees
    for first, tests, leaves in ((5.0, [0b10], [10, 100, 1000]), (0.0, [], [1, 1000]), (NAN, [], [1, 1000])):
        row = keys(np.array([[first, 0]], np.float32), trees.categories)[0]
        columns, left, _, _, leaf = prune(*trees[:3], row, np.array([True, False]), 5, 3)
        assert columns.tolist() == [1]
        assert left[:, 0].tolist() == [0] * len(tests)
        assert left[:, 3].tolist() == [~0b01] * len(tests)
        assert leaf.tolist() == leaves


def test_a_tree_of_several_words_is_found_in_each_of_them():
    chain: list[dict[str, Any]] = []  # leaf k holds rows with k - 1 < x <= k, missing ones go right to the end
    for k in range(100):
        chain += [
            {"column": 0, "threshold": float(k), "missing_left": False, "children": (2 * k + 1, 2 * k + 2)},
            {"leaf": float(k)},
        ]
    right_deep = Forest.from_treelite(built([*chain, {"leaf": 100.0}]))
    x = np.array([[v, 0] for v in (*np.arange(-1, 120, 0.5), NAN)], np.float32)
    expected = np.append(np.clip(np.ceil(x[:-1, 0]), 0, 100), 100) + 0.5
    assert right_deep.predict(x)[:, 0].tolist() == expected.tolist()
    for node in chain[::2]:  # the same leaves from right to left: every left subtree is all that remains
        node["children"] = node["children"][::-1]
        node["missing_left"] = True
        node["threshold"] = -np.nextafter(node["threshold"], INF)
    mirrored = Forest.from_treelite(built([*chain, {"leaf": 100.0}]))
    assert len(right_deep.whole.tests) == 100
    assert len(mirrored.whole.tests) == 32 * 1 + 32 * 2 + 32 * 3 + 4 * 4
    assert mirrored.predict(np.float32(-x))[:, 0].tolist() == expected.tolist()
