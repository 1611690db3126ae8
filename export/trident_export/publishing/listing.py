"""What releases a repository holds: `trident releases`."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from trident.contract import USER_ENCODER
from trident.errors import ReleaseError
from trident.release import MANIFEST, Manifest
from trident.repository import canary_of, numbers_in_use, serving_release
from trident_export.publishing import history
from trident_export.publishing.history import Line
from trident_export.publishing.journal import HOLD, PUBLISH

SERVING, PREVIOUS, CANARY, HELD, WITHDRAWN, OTHER = "serving", "previous", "canary", "held", "withdrawn", "left"
METRICS = {
    "recall@500": ("test", "methods", "retrieval", "recall@500"),
    "NDCG@20": ("test", "methods", "end to end, rules on", "ndcg@20"),
    "AUC": ("test", "ranker", "impressions", "auc"),
}
"""Where a manifest holds what is listed."""
BRINGS = (PUBLISH, HOLD)
WIDE = 160  # characters, where nobody looks at a terminal


@dataclass(frozen=True)
class Listed:
    """One release: `differs` names what is not as in the serving one, `problem` is why its manifest cannot be read."""

    release: int
    state: str
    created: str = ""
    published: str = ""
    who: str = ""
    source: str = ""
    override: str = ""
    items: int = 0
    metrics: dict[str, float] | None = None
    differs: tuple[str, ...] = ()
    problem: str = ""

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def releases(repository: Path) -> list[Listed]:
    """Every release of `repository`, newest first; raise ReleaseError when there is no repository."""
    if not repository.is_dir():
        raise ReleaseError(f"there is no model repository at '{repository}'")
    lines, numbers = history.read(repository), sorted(numbers_in_use(repository), reverse=True)
    serving = _manifest(repository, serving_release(repository))
    return [_listed(repository, number, lines, serving) for number in numbers]


def _listed(repository: Path, number: int, lines: list[Line], serving: Manifest | str) -> Listed:
    state, brought = _state(repository, number, lines), _brought(lines, number)
    told = {"published": brought.get("when", ""), "who": brought.get("who", ""), "source": brought.get("source", "")}
    told["override"] = brought.get("override", "")
    manifest = _manifest(repository, number)
    if isinstance(manifest, str):
        return Listed(number, state, problem=manifest, **told)
    return Listed(
        number, state, manifest.created, items=manifest.items, metrics=_metrics(manifest),
        differs=_differences(manifest, serving), **told,
    )  # fmt: skip


def _state(repository: Path, number: int, lines: list[Line]) -> str:
    serving, canary = serving_release(repository), canary_of(repository)
    if number == serving:
        return SERVING
    if canary and number == canary.release:
        return CANARY
    if serving is not None and number == history.predecessor(repository, serving, numbers_in_use(repository)):
        return PREVIOUS
    if number in history.held(lines):
        return HELD
    return WITHDRAWN if number in history.withdrawn(lines) else OTHER


def _brought(lines: list[Line], number: int) -> Line:
    """The line by which a release came."""
    return next((line for line in lines if line["release"] == number and line["act"] in BRINGS), {})


def _manifest(repository: Path, number: int | None) -> Manifest | str:
    try:
        return Manifest.read(repository / USER_ENCODER.name / str(number) / MANIFEST)
    except ReleaseError as error:
        return str(error)


def _metrics(manifest: Manifest) -> dict[str, float]:
    """What evaluation measured on the test window, as far as the release says."""
    found: dict[str, Any] = dict.fromkeys(METRICS, manifest.metrics)
    for name, path in METRICS.items():
        for part in path:
            found[name] = found[name].get(part) if isinstance(found[name], dict) else None
    return {name: value for name, value in found.items() if isinstance(value, float)}


def _differences(manifest: Manifest, serving: Manifest | str) -> tuple[str, ...]:
    if isinstance(serving, str):
        return ()
    pairs = {
        "embedding space": (manifest.embedding_space, serving.embedding_space),
        "feature schema": (manifest.feature_schema, serving.feature_schema),
        "rules": (_rules(manifest), _rules(serving)),
        "items": (manifest.items, serving.items),
    }
    return tuple(name for name, (here, there) in pairs.items() if here != there)


def _rules(manifest: Manifest) -> Any:
    return manifest.files.get("rules.toml", {}).get("sha256")


def print_releases(listed: list[Listed]) -> None:
    """Print the releases for people."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    for header in ("release", "state", "published", "by", "items", *METRICS):
        table.add_column(header, no_wrap=True)
    table.add_column("unlike the serving one", overflow="fold")
    for row in listed:
        table.add_row(*(Text(cell) for cell in _cells(row)))
    Console(width=None if Console().is_terminal else WIDE).print(table)


def _cells(row: Listed) -> list[str]:
    metrics = [f"{row.metrics[name]:.4f}" if row.metrics and name in row.metrics else "" for name in METRICS]
    override = f"override: {row.override}" if row.override else ""
    remarks = "; ".join(filter(None, (row.problem, ", ".join(row.differs), override)))
    return [str(row.release), row.state, row.published[:16], row.who, f"{row.items:,}", *metrics, remarks]
