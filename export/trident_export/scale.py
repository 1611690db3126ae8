"""A release of any size without events and without training, so that anyone can measure millions of items.

Everything comes from a seed: item embeddings from a mixture, plausible columns, users whose taste lies among the items,
a user tower that passes the taste through, a forest grown on an invented target. Nothing is held in memory at once
that grows with items × dimensions: columns are written block by block, and vectors are read from the file.
"""

from __future__ import annotations

import re
import resource
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np

from trident.errors import InvalidInput
from trident.features.registry import schema_hash
from trident.release import Manifest
from trident_export.build import StepClock
from trident_export.index import SearchSettings, build_index, one_thread, write_index
from trident_export.index_kinds import RECALL, checked
from trident_export.publishing.golden import write_golden
from trident_export.scale_items import write_scale_items
from trident_export.scale_models import user_embeddings, write_forest, write_tower
from trident_export.scale_users import ScaleUsers, scale_users
from trident_export.scale_vectors import HalfVectors, Mixture
from trident_export.scale_words import CATEGORIES, vocabulary
from trident_export.writer import replacing, write_manifest, write_rules

LEAST_ITEMS = 1_000


@dataclass(frozen=True)
class ScaleConfig:
    """Sizes of a scale release."""

    items: int = 1_000_000
    users: int = 20_000
    trees: int = 300
    leaves: int = 63
    kinds: tuple[str, ...] = ()  # of index, by FAISS's factory; all are tried. None: what suits the number of items
    recall: float = RECALL  # that the search must reach
    seed: int = 0
    as_of: int | None = None  # unix seconds; None: the start of today, UTC

    def __post_init__(self) -> None:
        for name, least in {"items": LEAST_ITEMS, "users": 1, "trees": 1, "leaves": 2}.items():
            if getattr(self, name) < least:
                raise InvalidInput(f"scale: expected '{name}' of at least {least}, got {getattr(self, name)}")
        if not 0 < self.recall <= 1:
            raise InvalidInput(f"scale: expected 'recall' in (0, 1], got {self.recall}")
        checked(self.kinds)

    @property
    def about(self) -> str:
        """What the manifest says of the source."""
        forest = f"forest {self.trees}x{self.leaves}"
        return f"scale: {self.items} items, {self.users} users, {forest}, seed {self.seed}, nothing learned"

    @property
    def moment(self) -> int:
        """What rows are as of, unix seconds."""
        today = datetime.now(timezone.utc).replace(hour=0, minute=0, second=0, microsecond=0)
        return int(today.timestamp()) if self.as_of is None else self.as_of


@dataclass(frozen=True)
class ScaleReport:
    """What was made, and what it cost."""

    folder: Path
    manifest: Manifest
    seconds: Mapping[str, float]  # by step
    memory: int  # most bytes resident so far, mapped files included

    @property
    def size(self) -> int:
        """Bytes of the release."""
        return sum(int(file["bytes"]) for file in self.manifest.files.values())

    def lines(self) -> list[str]:
        """What a person wants to know."""
        search = self.manifest.search
        spent = ", ".join(f"{name} {seconds:.0f} s" for name, seconds in self.seconds.items())
        return [
            f"{self.folder}: {self.manifest.items:,} items, {self.manifest.users:,} users, {self.size / 1e9:.2f} GB",
            f"search: {search['factory']}, nprobe {search['nprobe']}, recall@{search['k']} {search['recall']:.3f}, "
            f"p50 {search['p50_ms']:.2f} ms",
            f"took {spent}; {self.memory / 2**30:.1f} GiB resident at most",
        ]

    def as_dict(self) -> dict[str, Any]:
        """The report as JSON can hold it."""
        shown = ("as_of", "items", "users", "embedding_space", "feature_schema", "data", "search", "metrics")
        facts = {name: getattr(self.manifest, name) for name in shown}
        seconds = {name: round(spent, 2) for name, spent in self.seconds.items()}
        return {"release": str(self.folder), **facts, "seconds": seconds, "bytes": self.size, "memory": self.memory}


def forest_shape(text: str) -> tuple[int, int]:
    """Trees and leaves of a text such as 300x63; raise InvalidInput for another."""
    found = re.fullmatch(r"(\d{1,5})x(\d{1,5})", text)
    if not found:
        raise InvalidInput(f"forest: expected trees x leaves such as 300x63, got '{text}'")
    return int(found[1]), int(found[2])


def build_scale(out: Path, config: ScaleConfig, rules: Path | None = None) -> ScaleReport:
    """Make the release folder `out`; it appears, or is replaced, only when everything has succeeded."""
    clock, mixture = StepClock(), Mixture.of(config.items, CATEGORIES, config.seed)
    with replacing(Path(out)) as draft:
        write_rules(draft, rules)
        with clock.step("items"):
            topics = write_scale_items(draft / "items", mixture, config.items, config.moment)
        with clock.step("users"):
            users = scale_users(mixture, topics, config.users, config.moment)
            users.write(draft / "users")
        with clock.step("models"):
            space, parity, embeddings = _write_models(draft, mixture, users, config)
        with clock.step("index") as progress:
            search = _write_index(
                draft, embeddings, config, lambda line: progress.console.print(line, highlight=False, soft_wrap=True)
            )
        with clock.step("fingerprints"):
            write_manifest(draft, _manifest(config, space, search, parity))
        with clock.step("golden requests"), one_thread():
            manifest = write_golden(draft)
    return ScaleReport(Path(out), manifest, clock.seconds, 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


def _write_models(
    draft: Path, mixture: Mixture, users: ScaleUsers, config: ScaleConfig
) -> tuple[str, dict[str, float], np.ndarray]:
    """Write both models; returns the embedding space, how far they differ from their oracles, the users' embeddings."""
    tower = draft / "user_tower" / "model.onnx"
    tower.parent.mkdir()
    features, vectors = (np.load(draft / "items" / f"{name}.npy", mmap_mode="r") for name in ("features", "vectors"))
    space, difference = write_tower(tower, mixture, users, vectors)
    embeddings = user_embeddings(tower, users, vectors)
    shape = (config.trees, config.leaves)
    forest = write_forest(draft / "ranker", users, embeddings, (features, vectors), shape, config.seed, config.moment)
    return space, {"user_tower": difference, "ranker": forest}, embeddings


def _write_index(
    draft: Path, embeddings: np.ndarray, config: ScaleConfig, say: Callable[[str], None]
) -> SearchSettings:
    vectors = HalfVectors.open(draft / "items" / "vectors.npy")
    index, search = build_index(
        vectors, embeddings, recall=config.recall, kinds=config.kinds, seed=config.seed, say=say
    )
    write_index(index, draft / "index.faiss")
    return search


def _manifest(config: ScaleConfig, space: str, search: SearchSettings, parity: Mapping[str, float]) -> Manifest:
    words = vocabulary()
    return Manifest(
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        embedding_space=space,
        feature_schema=schema_hash(words),
        as_of=config.moment,
        items=config.items,
        users=config.users,
        vocabulary=words.to_dict(),
        search=asdict(search),
        data={"source": config.about},
        metrics={"parity": dict(parity)},
    )
