"""What validation found."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from trident_export.data.dataset import Dataset
from trident_export.data.profile import Profile

REPORT = "report.json"
PAGE = "report.html"
QUARANTINE = "quarantine.parquet"


@dataclass(frozen=True)
class ValidationReport:
    """Counts of events, which add up: read = clean + rejected; times are ISO 8601 in UTC, "" when there is no event."""

    folder: Path
    read: int
    clean: int
    rejected: Mapping[str, int]  # every reason of REASONS, 0 included
    users: int  # that have clean events
    items: int
    first: str
    newest: str
    bots: int  # users rejected as machines
    rules: Mapping[str, Any] = field(repr=False)  # `now` is the moment that was used
    profile: Profile = field(repr=False)

    @property
    def dataset(self) -> Dataset:
        """The clean events, sorted by time, with the users and items."""
        return Dataset(self.folder)

    @property
    def quarantine(self) -> Path:
        """The rejected events, each with its `reason`."""
        return self.folder / QUARANTINE

    @property
    def page(self) -> Path:
        """The report as one HTML page with plots."""
        return self.folder / PAGE

    @property
    def quarantined(self) -> int:
        """How many events were rejected."""
        return sum(self.rejected.values())

    def summary(self) -> str:
        """The data quality line."""
        reasons = ", ".join(f"{reason} {count:,}" for reason, count in self.rejected.items() if count)
        share = f" ({self.clean / self.read:.2%})" if self.read else ""
        window = f" from {self.first[:10]} to {self.newest[:10]}" if self.clean else ""
        found = (
            f"{self.clean:,} of {self.read:,} events clean{share}, {self.users:,} users, {self.items:,} items{window}"
        )
        return f"data quality: {found}; {self.quarantined:,} in quarantine{': ' + reasons if reasons else ''}"

    def as_dict(self) -> dict[str, Any]:
        """The report as JSON can hold it, without the folder."""
        content = asdict(self) | {"quarantined": self.quarantined}
        del content["folder"]
        return content

    def write(self) -> None:
        """Write `report.json` and `report.html` into the folder."""
        from trident_export.data.report_page import report_page

        (self.folder / REPORT).write_text(json.dumps(self.as_dict(), indent=1) + "\n", "utf-8")
        self.page.write_text(report_page(self), "utf-8")

    @classmethod
    def read_from(cls, folder: Path) -> ValidationReport:
        """Read the report of a validated folder."""
        content = json.loads((folder / REPORT).read_text("utf-8"))
        del content["quarantined"]
        content["profile"] = Profile.from_dict(content["profile"])
        return cls(folder=folder, **content)
