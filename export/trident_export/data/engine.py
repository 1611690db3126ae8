"""The local engine: one DuckDB connection through Ibis with bounded memory, spilling beside the data it works on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from ibis.backends.duckdb import Backend

MEMORY = "4GB"
"""What DuckDB may hold before it spills; its threads and Arrow buffers come on top."""


@contextmanager
def local_engine(work: Path, memory: str = MEMORY) -> Iterator[Backend]:
    """Open DuckDB with times in UTC; what exceeds `memory` spills to a folder in `work`, removed at the end."""
    import ibis

    work.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=".spill-", dir=work) as spill:
        engine = ibis.duckdb.connect(memory_limit=memory, temp_directory=spill, preserve_insertion_order=False)
        engine.con.execute("SET TimeZone = 'UTC'")
        engine.con.execute("SET enable_progress_bar = false")
        try:
            yield engine
        finally:
            engine.disconnect()
