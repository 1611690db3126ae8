"""Spark through Ibis: in a process of this machine, or where the environment says."""

from __future__ import annotations

import os
import socket
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from trident.errors import SetupError
from trident.extras import install
from trident_export.data.java import NEEDED, java_problem

if TYPE_CHECKING:
    from ibis.backends import BaseBackend
    from pyspark.sql import SparkSession

CONFIGURED = ("SPARK_REMOTE", "PYSPARK_SUBMIT_ARGS", "SPARK_HOME", "SPARK_CONF_DIR")
"""Any of these says where Spark runs; without one it runs in a process of this machine, on loopback alone."""

CONNECT_PORT = 15_002
LOCAL = {
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.memory": "4g",
    "spark.ui.enabled": "false",
    "spark.log.level": "ERROR",
}


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
        advice = f"{install('spark')}; it also needs Java {NEEDED} or newer"
        raise SetupError(f"engine spark: {error.name} is not installed: {advice}") from None
    active = SparkSession.getActiveSession()
    if active is None:
        _check_place(os.environ.get("SPARK_REMOTE", ""))
    try:
        session = active or _configured(SparkSession.builder.appName("trident")).getOrCreate()
    except (PySparkException, OSError) as error:
        raise SetupError(f"engine spark does not start: {error}") from None
    try:
        yield session
    finally:
        if active is None:
            session.stop()


def _check_place(remote: str) -> None:
    """Raise SetupError when no one listens there, for Spark's own client would try for minutes without a word.

    What is not remote needs Java here.
    """
    if not remote.startswith("sc://"):
        if problem := java_problem():
            raise SetupError(f"engine spark: {problem}")
        return
    try:
        address = urlsplit(remote)
        socket.create_connection((address.hostname or "", address.port or CONNECT_PORT), timeout=5).close()
    except (OSError, ValueError) as error:
        raise SetupError(
            f"engine spark: SPARK_REMOTE={remote}: expected a Spark Connect server, got: {error}"
        ) from None


def _configured(builder: Any) -> Any:
    builder = builder.config("spark.sql.session.timeZone", "UTC")
    if os.environ.get("SPARK_REMOTE"):
        return builder  # the rest is the server's
    builder = builder.config("spark.ui.showConsoleProgress", "false")
    if any(os.environ.get(name) for name in CONFIGURED):
        return builder
    for key, value in LOCAL.items():
        builder = builder.config(key, value)
    return builder.config("spark.sql.shuffle.partitions", os.cpu_count() or 1).master("local[*]")
