"""Forests that the kernel cannot take, and files that are none."""

import logging

import lightgbm as lgb
import numpy as np
import pytest
import treelite
from treelite.model_builder import Metadata, ModelBuilder, PostProcessorFunc, TreeAnnotation

from trident.errors import InvalidInput, ReleaseError
from trident.forest import Forest, UnsupportedForest, forest, predictor
from trident.forest.checkpoint import _require_trees
from trident_export.ranker import export_ranker

LEFT, RIGHT, COLUMN = np.array([1]), np.array([2]), np.array([0])


def less_than(threshold: float) -> treelite.Model:
    builder = ModelBuilder(
        threshold_type="float64",
        leaf_output_type="float64",
        metadata=Metadata(1, "kRegressor", False, 1, [1], (1, 1)),
        tree_annotation=TreeAnnotation(1, [0], [0]),
        postprocessor=PostProcessorFunc("identity"),
        base_scores=[0.0],
    )
    builder.start_tree()
    builder.start_node(0)
    builder.numerical_test(0, threshold, True, "<", 1, 2)
    builder.end_node()
    for node in (1, 2):
        builder.start_node(node)
        builder.leaf(float(node))
        builder.end_node()
    builder.end_tree()
    return builder.commit()


def three_classes() -> treelite.Model:
    x = np.random.default_rng(0).normal(size=(500, 2))
    data = lgb.Dataset(x, np.arange(500) % 3)
    settings = {"objective": "multiclass", "num_class": 3, "verbose": -1, "num_threads": 1}
    return treelite.frontend.from_lightgbm(lgb.train(settings, data, 3))


def test_another_operator_is_scored_by_treelite_and_said_once(checkpoint, caplog):
    path = checkpoint(less_than(1.0))
    with pytest.raises(UnsupportedForest, match="another operator"):
        Forest.read(path)
    with caplog.at_level(logging.WARNING):
        predict = predictor(path)
        assert predict(np.array([[0.9], [1.0]], np.float32)).tolist() == [[1.0], [2.0]]
        predict(np.array([[0.9]], np.float32))
    [line] = caplog.messages
    assert line == (
        "ranker: the forest compares with another operator than <=; Treelite's reference evaluation scores it, "
        "which is slower"
    )


def test_a_forest_of_several_outputs_is_refused():
    with pytest.raises(UnsupportedForest, match="several outputs"):
        Forest.from_treelite(three_classes())


def test_a_forest_of_too_many_tests_is_refused(trained, monkeypatch):
    monkeypatch.setattr(forest, "MOST_TESTS", 10)
    with pytest.raises(UnsupportedForest, match="tests, more than 10"):
        Forest.from_treelite(treelite.frontend.from_lightgbm(trained(trees=2)))


def test_a_file_that_is_no_checkpoint_is_refused(tmp_path):
    (tmp_path / "checkpoint.tl").write_bytes(b"not a forest")
    with pytest.raises(ReleaseError, match="cannot be read"):
        predictor(tmp_path / "checkpoint.tl")


@pytest.mark.parametrize(
    ("left", "right", "column"),
    [(0, 2, 0), (1, 1, 0), (1, 3, 0), (-5, 2, 0), (1, 2, 7), (1, 2, -1)],
    ids=["cycle", "twice", "outside", "negative", "column", "negative column"],
)
def test_damaged_trees_are_refused(left, right, column):
    _require_trees(np.array([0, 3]), LEFT, RIGHT, COLUMN, 1)
    with pytest.raises(ReleaseError, match="damaged"):
        _require_trees(np.array([0, 3]), np.array([left]), np.array([right]), np.array([column]), 1)


def test_rows_of_another_width_are_refused(trained, forest_of):
    with pytest.raises(InvalidInput, match=r"expected rows of 12 columns, got shape \[5, 11\]"):
        forest_of(trained(trees=1)).predict(np.zeros((5, 11), np.float32))


def test_zeros_as_missing_values_never_leave_the_export(tmp_path):
    rng = np.random.default_rng(0)
    x = np.round(rng.normal(size=(3000, 120))).astype(np.float32)
    y = ((x[:, 0] == 0) ^ (x[:, 1] > 0)).astype(float)
    settings = {"objective": "binary", "zero_as_missing": True, "verbose": -1, "num_threads": 1}
    booster = lgb.train(settings, lgb.Dataset(x, y), 5)
    with pytest.raises(ReleaseError, match="differ by"):  # a Treelite checkpoint cannot say it
        export_ranker(booster, tmp_path, x[:500])
