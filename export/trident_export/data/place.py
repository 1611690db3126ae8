"""The folder that validation writes: it appears whole, or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from trident.errors import InvalidInput
from trident_export.data.dataset import TRUTH
from trident_export.data.report import PAGE, QUARANTINE, REPORT
from trident_export.data.schema import TABLES

OURS = {*(f"{t.name}.parquet" for t in TABLES), QUARANTINE, REPORT, PAGE, TRUTH}
SPILL = ".spill-"  # what a killed engine leaves behind


@contextmanager
def appearing(out: Path) -> Iterator[Path]:
    """Yield a new folder beside `out` that takes its place at the end; after an error or Ctrl-C `out` is as it was.

    Raises InvalidInput when `out` is something else than a free name, an empty folder or the result of a validation.
    """
    out = out.resolve()
    check_place(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent) as work:
        draft, old = Path(work, "new"), Path(work, "old")
        draft.mkdir()
        yield draft
        try:
            if out.exists():
                out.rename(old)
            draft.rename(out)
        except BaseException:
            if old.exists() and not out.exists():
                old.rename(out)
            raise


def check_place(out: Path) -> None:
    """Raise InvalidInput unless validation may write to `out`; files that it did not make are never removed."""
    if out.exists() and not out.is_dir():
        raise InvalidInput(f"{out}: expected a folder or a free name, got a file")
    names = {p.name for p in out.iterdir() if not p.name.startswith(SPILL)} if out.is_dir() else set()
    others = sorted(names - OURS if REPORT in names else names)
    if others:
        raise InvalidInput(
            f"{out}: expected an empty folder or one that validation wrote, got one with {', '.join(others[:5])}"
        )
