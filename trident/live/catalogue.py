"""What the serving release says of an item, and what serves now with the changes over it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from trident.contract import BUSINESS_RULES
from trident.errors import InvalidInput, ReleaseError
from trident.items import REGIONS_PER_WORD
from trident.live.state import LiveState
from trident.release import Release
from trident.repository import serving_release


@dataclass(frozen=True)
class Shown:
    """Who may see an item, in words."""

    in_stock: bool
    flagged: bool
    blocked: tuple[str, ...]

    def after(self, state: LiveState) -> Shown:
        """The same with what is set for the item."""
        named = {region for region, blocked in state.blocked.items() if blocked}
        return Shown(
            self.in_stock if state.in_stock is None else state.in_stock,
            self.flagged if state.flagged is None else state.flagged,
            tuple(sorted(set(self.blocked) - set(state.blocked) | named)),
        )


class Catalogue:
    """The items of the release that a repository serves."""

    def __init__(self, repository: Path) -> None:
        """Map the items; raise ReleaseError when the repository has no release."""
        number = serving_release(repository)
        if number is None:
            raise ReleaseError(f"no release in '{repository}': `trident publish` puts one there")
        self.number = number
        self._release = Release.open(repository / BUSINESS_RULES.name / str(number))

    @property
    def as_of(self) -> int:
        """Unix seconds: the release knows what was before."""
        return self._release.manifest.as_of

    def require(self, items: list[str]) -> None:
        """Raise InvalidInput that names the items which the release does not have."""
        rows = self._release.items.rows(items)
        if unknown := [item for item, row in zip(items, rows.tolist(), strict=True) if row < 0]:
            more = f" and {len(unknown) - 3} more" if len(unknown) > 3 else ""
            raise InvalidInput(
                f"expected items of release {self.number}, got {', '.join(map(repr, unknown[:3]))}{more}; "
                "nothing was set: check the ids, or add --allow-unknown for items of a later release"
            )

    def shown(self, items: list[str]) -> list[Shown | None]:
        """What the release says of `items`, in their order; None of an item that it does not have."""
        columns, regions = self._release.items, self._release.vocabulary.regions
        found: list[Shown | None] = []
        for row in columns.rows(items).tolist():
            if row < 0:
                found.append(None)
                continue
            words = columns.blocked[row].tolist()
            blocked = (
                r for code, r in enumerate(regions) if words[code // REGIONS_PER_WORD] >> code % REGIONS_PER_WORD & 1
            )
            found.append(Shown(bool(columns.in_stock[row]), bool(columns.flagged[row]), tuple(sorted(blocked))))
        return found
