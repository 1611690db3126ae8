"""A report in a folder: `report.html` for people, `report.json` for programs, `row.md` for a page of figures."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from trident.errors import SetupError
from trident_loadtest.bench.page import page


@dataclass(frozen=True)
class Report:
    """What came of a measurement: `values` for JSON, `keys` are the figures of the row and of the page's head."""

    title: str
    about: str
    values: Mapping[str, Any]
    keys: Mapping[str, str]
    parts: Sequence[str] = field(default_factory=tuple)  # charts and tables of its own, as HTML

    def row(self) -> str:
        """The figures as a Markdown table of one row."""
        head = ["date", "release", *self.keys, "machine"]
        made, release = self.values["made"], self.values["release"]
        where = f"{release['number']} ({release['items']:,} items)" if release else "–"
        cells = [made["created"][:10], where, *self.keys.values(), made["machine"]]
        return f"| {' | '.join(head)} |\n|{'---|' * len(head)}\n| {' | '.join(cells)} |\n"

    def write(self, folder: Path) -> Path:
        """Write the three files; return the page's path."""
        try:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "report.json").write_text(json.dumps(_plain(self.values), indent=1, allow_nan=False) + "\n")
            (folder / "row.md").write_text(self.row())
            shown = folder / "report.html"
            shown.write_text(page(self.title, self.about, self.keys, self.parts, self.values))
        except OSError as error:
            raise SetupError(f"the report cannot be written to {folder}: {error.strerror or error}") from None
        return shown


def _plain(value: Any) -> Any:
    """What JSON can hold: NaN is null."""
    if isinstance(value, Mapping):
        return {str(name): _plain(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value
