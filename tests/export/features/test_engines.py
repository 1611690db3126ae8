"""The same expressions on DuckDB and on Spark, and what is said where Spark is missing."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from trident.errors import InvalidInput, SetupError
from trident.features.registry import ITEM, USER
from trident_export.data.spark import spark_engine
from trident_export.features import build_vocabulary, item_rows, user_rows

CASES = {"user": (user_rows, USER, 9), "item": (item_rows, ITEM, 15)}


@pytest.mark.parametrize("group", CASES)
def test_spark_gives_every_column_as_duckdb_does(group, spark, write, random_log, noon):
    log, people, catalogue = random_log(2)
    dataset = write(log, people, catalogue)
    vocabulary = build_vocabulary(dataset)
    rows_of, features, entities = CASES[group]
    rng = np.random.default_rng(2)
    ids = [f"{group[0]}{n}" for n in rng.integers(entities, size=120)]
    times = np.concatenate([[int(log[n]["timestamp"]) for n in range(60)], noon + rng.integers(2_000_000, size=60)])
    ours, theirs = (rows_of(dataset, ids, times, vocabulary, engine) for engine in ("duckdb", spark))
    for n, feature in enumerate(features):
        np.testing.assert_array_equal(theirs[:, n], ours[:, n], err_msg=feature.name)


def test_spark_finds_the_same_vocabulary(spark, write, random_log):
    log, people, catalogue = random_log(4)
    catalogue = [{**item, "blocked_regions": ["DK", "NO"]} for item in catalogue]
    dataset = write(log, people, catalogue)
    assert build_vocabulary(dataset, spark) == build_vocabulary(dataset)


def test_an_unknown_engine_is_refused(write, noon):
    dataset = write([{"user_id": "u", "item_id": "a", "timestamp": noon, "event_type": "view"}])
    with pytest.raises(InvalidInput, match="expected one of duckdb, spark, got 'pandas'"):
        build_vocabulary(dataset, "pandas")


def test_a_missing_pyspark_is_named_with_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyspark.errors", None)
    advice = r"is not installed: pip install 'trident-recommender\[spark\]'"
    with pytest.raises(SetupError, match=advice), spark_engine():
        pass
