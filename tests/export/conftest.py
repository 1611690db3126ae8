from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from ibis.backends import BaseBackend

from trident_export.data.java import java_problem
from trident_export.data.spark import spark_engine


@pytest.fixture(scope="session")
def spark() -> Iterator[BaseBackend]:
    """A real Spark in a process of its own, or the one that SPARK_REMOTE names."""
    pytest.importorskip("pyspark", reason="Spark is not installed: make spark")
    if "SPARK_REMOTE" not in os.environ and (problem := java_problem()):
        pytest.skip(problem)
    with spark_engine() as engine:
        yield engine
