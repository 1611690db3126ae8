"""What runs the feature expressions: DuckDB on this machine, or Spark on this machine or a cluster."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ibis.backends import BaseBackend

from trident.errors import InvalidInput, SetupError
from trident_export.data.engine import local_engine

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

ENGINES = ("duckdb", "spark")
INSTALL = "pip install pyspark"
CONFIGURED = ("SPARK_REMOTE", "PYSPARK_SUBMIT_ARGS", "SPARK_HOME", "SPARK_CONF_DIR")
"""Any of these says where Spark runs; without one it runs in a process of this machine, on loopback alone."""


def opened(engine: str | BaseBackend, work: Path) -> AbstractContextManager[BaseBackend]:
    """Open an engine of ENGINES by name, DuckDB with `work` to spill to; one that is open already stays open.

    Raises InvalidInput for another name, SetupError when Spark or its Java is missing.
    """
    if not isinstance(engine, str):
        return nullcontext(engine)
    if engine not in ENGINES:
        raise InvalidInput(f"engine: expected one of {', '.join(ENGINES)}, got {engine!r}")
    return local_engine(work) if engine == "duckdb" else spark_engine()


@contextmanager
def spark_engine() -> Iterator[BaseBackend]:
    """Open Spark with times in UTC: the session that is active, else one as the environment configures it.

    Where SPARK_REMOTE or a configuration names a cluster, its workers must see the files under the same paths.
    """
    import ibis

    with warnings.catch_warnings():
        # of pandas 3: what passes through pandas here are texts, whole numbers and floats
        warnings.filterwarnings("ignore", "PySpark does not yet fully support pandas", FutureWarning)
        with _session() as session:
            yield ibis.pyspark.connect(session)


@contextmanager
def _session() -> Iterator[SparkSession]:
    try:
        from pyspark.errors import PySparkException
        from pyspark.sql import SparkSession
    except ModuleNotFoundError as error:
        raise SetupError(
            f"engine spark: {error.name} is not installed: {INSTALL}; it also needs Java 17 or newer"
        ) from None
    active = SparkSession.getActiveSession()
    try:
        session = active or _configured(SparkSession.builder.appName("trident")).getOrCreate()
    except (PySparkException, OSError) as error:
        raise SetupError(f"engine spark does not start: {error}; it needs Java 17 or newer (JAVA_HOME)") from None
    try:
        yield session
    finally:
        if active is None:
            session.stop()


def _configured(builder: Any) -> Any:
    builder = builder.config("spark.sql.session.timeZone", "UTC").config("spark.ui.showConsoleProgress", "false")
    if any(os.environ.get(name) for name in CONFIGURED):
        return builder
    for key in ("spark.driver.host", "spark.driver.bindAddress"):
        builder = builder.config(key, "127.0.0.1")
    builder = builder.config("spark.ui.enabled", "false").config("spark.sql.shuffle.partitions", os.cpu_count() or 1)
    return builder.master("local[*]")
