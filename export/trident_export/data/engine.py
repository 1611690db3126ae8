"""What runs the expressions of validation and features: DuckDB on this machine, or Spark here or on a cluster."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory

from ibis.backends import BaseBackend
from ibis.backends.duckdb import Backend

from trident.errors import InvalidInput
from trident_export.data.spark import spark_engine

ENGINES = ("duckdb", "spark")

MEMORY = "4GB"
"""What DuckDB may hold before it spills; its threads and Arrow buffers come on top."""


def opened(engine: str | BaseBackend, work: Path, memory: str = MEMORY) -> AbstractContextManager[BaseBackend]:
    """Open an engine of ENGINES by name, DuckDB with `memory` and `work` to spill to; an open one stays open.

    Raises InvalidInput for another name, SetupError when Spark or its Java is missing.
    """
    if not isinstance(engine, str):
        return nullcontext(engine)
    _check(engine)
    return local_engine(work, memory) if engine == "duckdb" else spark_engine()


def kept(engine: str | BaseBackend) -> AbstractContextManager[str | BaseBackend]:
    """Start Spark once for several steps; DuckDB stays a name, for each step opens its own with its own memory."""
    if not isinstance(engine, str):
        return nullcontext(engine)
    _check(engine)
    return nullcontext(engine) if engine == "duckdb" else spark_engine()


def _check(engine: str) -> None:
    if engine not in ENGINES:
        raise InvalidInput(f"engine: expected one of {', '.join(ENGINES)}, got {engine!r}")


@contextmanager
def local_engine(work: Path, memory: str = MEMORY) -> Iterator[Backend]:
    """Open DuckDB with times in UTC; what exceeds `memory` spills to a folder in `work`, removed at the end."""
    import ibis

    work.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=".spill-", dir=work) as spill, _stopped_by_ctrl_c():
        engine = ibis.duckdb.connect(memory_limit=memory, temp_directory=spill, preserve_insertion_order=False)
        engine.con.execute("SET TimeZone = 'UTC'")
        engine.con.execute("SET enable_progress_bar = false")
        try:
            yield engine
        finally:
            engine.disconnect()


@contextmanager
def _stopped_by_ctrl_c() -> Iterator[None]:
    """Turn the RuntimeError that DuckDB makes of Ctrl-C in a query back into KeyboardInterrupt."""
    try:
        yield
    except RuntimeError as error:
        if str(error) != "Query interrupted":
            raise
        raise KeyboardInterrupt from None
