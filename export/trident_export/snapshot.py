"""What a release holds: models, which know no moment, and item columns, index and user rows as of one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path

import numpy as np

from trident.features.registry import schema_hash
from trident.release import Manifest
from trident.rules import Rules
from trident_export.baselines import popular_by_region
from trident_export.catalogue import Catalogue, Users
from trident_export.event_log import UNKNOWN, Requests
from trident_export.features import default_user_row
from trident_export.features.consumed import consumed
from trident_export.ground import Ground
from trident_export.index import SearchSettings, build_index, write_index
from trident_export.index_kinds import RECALL
from trident_export.learning import Ranker
from trident_export.moments import Scene
from trident_export.ranker import export_ranker
from trident_export.retrieval import embed
from trident_export.towers import Towers
from trident_export.writer import ServedRows, write_rows

POPULAR = 1_000  # rows in each list of popular items, at most
PARITY_ROWS = 2_000


def write_models(folder: Path, towers: Towers, ranker: Ranker, seed: int = 0) -> dict[str, float]:
    """Write `user_tower/` and `ranker/`; returns how far each differs at most from what was trained."""
    (folder / "user_tower").mkdir()
    sample = ranker.validation.features[:PARITY_ROWS]
    return {
        "user_tower": towers.export_onnx(folder / "user_tower" / "model.onnx"),  # ONNX against torch
        "ranker": export_ranker(ranker.booster, folder / "ranker", sample, seed),  # Treelite against LightGBM
    }


def users_at(ground: Ground, users: np.ndarray, time: int) -> Scene:
    """The users at `users` (q,), rows of their list, as of one moment."""
    nowhere = np.full(len(users), UNKNOWN)
    return ground.moments.scene(Requests(users, np.full(len(users), time), nowhere, nowhere))


def write_snapshot(
    folder: Path,
    ground: Ground,
    catalogue: Catalogue,
    towers: Towers,
    users: Scene,
    moment: int,
    seed: int = 0,
    recall: float = RECALL,
    kinds: Sequence[str] = (),
) -> SearchSettings:
    """Write `index.faiss`, `items/` as of `moment`, and `users/` with the rows of `users`; returns how to search.

    `recall` and `kinds` are for `build_index`.
    """
    items = ground.items.all_at(moment)
    index, search = build_index(towers.items(items), embed(towers, users), recall=recall, kinds=kinds, seed=seed)
    write_index(index, folder / "index.faiss")
    who = _taken(ground.moments.known_users, users.requests.user)
    bought = Rules.read(folder / "rules.toml").consumed_events
    regions = len(ground.moments.vocabulary.regions)
    served = ServedRows(
        users=users.users,
        histories=users.histories,
        history_times=users.history_times,
        default_user=default_user_row(ground.moments.vocabulary),
        items=items,
        vectors=towers.item_vectors,
        popular=popular_by_region(ground.log, moment, len(items), ground.moments.known_users.region, regions, POPULAR),
        consumed=consumed(ground.moments.dataset, who.ids, moment, ground.moments.catalogue.rows, bought),
    )
    write_rows(folder, who, catalogue, ground.moments.vocabulary, served)
    return search


def _taken(users: Users, rows: np.ndarray) -> Users:
    return Users([users.ids[row] for row in rows.tolist()], users.age[rows], users.region[rows])


def manifest_of(ground: Ground, towers: Towers, search: SearchSettings, moment: int, users: int) -> Manifest:
    """The manifest of a snapshot, without source, metrics and fingerprints."""
    vocabulary = ground.moments.vocabulary
    return Manifest(
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        embedding_space=towers.space,
        feature_schema=schema_hash(vocabulary),
        as_of=moment,
        items=len(ground.moments.catalogue),
        users=users,
        vocabulary=vocabulary.to_dict(),
        search=asdict(search),
    )
