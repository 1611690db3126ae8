"""The models of a scale release: a user tower that was never trained, and a forest grown on an invented target."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import lightgbm
import numpy as np
import torch

from trident.contract import DEVICES, FEATURES, USER_TOWER
from trident.features.context import context_rows
from trident.features.matrix import feature_matrix
from trident.features.registry import DAY, USER
from trident.onnx import OnnxModel
from trident.taste import pool
from trident_export.learning import code_counts
from trident_export.ranker import LOGISTIC, export_ranker
from trident_export.scale_users import ScaleUsers
from trident_export.scale_vectors import Mixture
from trident_export.scale_words import REGIONS, vocabulary
from trident_export.towers.encoding import ColumnStatistics
from trident_export.towers.model import Tower
from trident_export.towers.onnx_graph import check_parity, write_user_tower

FEATURE_PART = 0.1  # length of what the features add to the taste of a user, whose own length is 0.5 to 0.9
REQUESTS, ROWS = 600, 50  # that the forest is grown on
CLICKED = 0.2  # share of them, about
CHECKED_ROWS = 1_000
LARGEST = repr(float(np.finfo(np.float64).max))


def write_tower(path: Path, mixture: Mixture, users: ScaleUsers, vectors: np.ndarray) -> tuple[str, float]:
    """Write a tower that passes the taste through, with a little of the features added.

    Somebody without a taste lands near the largest topic. Returns the id of the embedding space and how far ONNX and
    torch differ.
    """
    torch.manual_seed(mixture.seed)
    tower = Tower(ColumnStatistics.fit(users.features, code_counts(USER, vocabulary())), dropout=0.0).eval()
    rows, taste = users.features[:CHECKED_ROWS], pool(users.history[:CHECKED_ROWS], vectors)
    inputs = torch.from_numpy(rows), torch.from_numpy(taste)
    with torch.inference_mode():
        hidden = torch.cat([tower.encoder(inputs[0]), inputs[1]], dim=1)
        out = tower.last(tower.second(tower.first(hidden).relu()).relu())
    with torch.no_grad():
        tower.last.weight *= FEATURE_PART / out.norm(dim=1).mean()
        tower.last.bias[:] = FEATURE_PART * torch.from_numpy(mixture.centres[np.argmax(mixture.share)])
        expected = tower(*inputs).numpy()
    write_user_tower(tower, path)
    parity = check_parity(path, rows, taste, expected)
    return hashlib.sha256(path.read_bytes() + mixture.centres.tobytes()).hexdigest()[:16], parity


def user_embeddings(path: Path, users: ScaleUsers, vectors: np.ndarray) -> np.ndarray:
    """What the tower says of all users: (n, 128) float32."""
    taste = pool(users.history, vectors)
    return OnnxModel.of(USER_TOWER, path)(user_features=users.features, taste=taste)["user_embedding"]


def write_forest(
    folder: Path,
    users: ScaleUsers,
    embeddings: np.ndarray,
    items: tuple[np.ndarray, np.ndarray],
    shape: tuple[int, int],
    seed: int,
    as_of: int,
) -> float:
    """Grow `shape` trees × leaves and write `ranker/`; returns how far Treelite and LightGBM differ.

    `items` are features (N, 40) and vectors (N, 128). The target depends on columns of all four groups, so that trees
    split on all of them.
    """
    rng = np.random.default_rng([seed, 7])
    rows = _rows(users, embeddings, items, rng, as_of)
    booster = lightgbm.train(_parameters(shape, seed), lightgbm.Dataset(rows, _clicks(rows, rng)), shape[0])
    return export_ranker(_with_finite_thresholds(booster), folder, rows[:CHECKED_ROWS], seed)


def _rows(
    users: ScaleUsers,
    embeddings: np.ndarray,
    items: tuple[np.ndarray, np.ndarray],
    rng: np.random.Generator,
    as_of: int,
) -> np.ndarray:
    """Ranking rows of some users, half of them with what they like and half with anything: (R, 120) float32."""
    features, vectors = items
    asking = rng.integers(len(embeddings), size=REQUESTS)
    liked = users.history[asking][:, : ROWS // 2]
    shown = rng.integers(len(features), size=(REQUESTS, ROWS))
    shown[:, : liked.shape[1]] = np.where(liked >= 0, liked, shown[:, : liked.shape[1]])
    near = np.einsum("qd,qkd->qk", embeddings[asking], vectors[shown].astype(np.float32))
    order = np.argsort(-near, axis=1, kind="stable")
    shown, near = (np.take_along_axis(array, order, axis=1) for array in (shown, near))
    times = as_of + rng.integers(0, 7 * DAY, REQUESTS)
    home = users.region[asking]
    here = np.where(rng.random(REQUESTS) < 0.1, rng.integers(REGIONS, size=REQUESTS), home)
    context = context_rows(times, rng.integers(len(DEVICES), size=REQUESTS), here, home)
    return feature_matrix(users.features[asking], features[shown], context, near)


def _clicks(rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Clicks (R,) by a random smooth function of single columns and of pairs of them."""
    ranks = np.argsort(np.argsort(rows, axis=0), axis=0) / len(rows) - 0.5
    single = np.sin(2 * np.pi * ranks * rng.uniform(0.3, 1.5, FEATURES)) @ rng.standard_normal(FEATURES)
    a, b = rng.integers(FEATURES, size=(2, 2 * FEATURES))
    pairs = (ranks[:, a] * ranks[:, b]) @ rng.standard_normal(2 * FEATURES)
    odds = single / single.std() + pairs / pairs.std()
    return rng.random(len(rows)) < 1 / (1 + np.exp(-odds - np.log(CLICKED / (1 - CLICKED))))


def _with_finite_thresholds(booster: lightgbm.Booster) -> lightgbm.Booster:
    """The same forest; where LightGBM parts missing values from all others it writes an infinite threshold."""
    text = re.sub(r"^threshold=.*", lambda line: line[0].replace("inf", LARGEST), booster.model_to_string(), flags=re.M)
    return lightgbm.Booster(model_str=re.sub(r"^tree_sizes=.*\n", "", text, flags=re.M))  # they are other sizes now


def _parameters(shape: tuple[int, int], seed: int) -> dict[str, object]:
    return {
        "objective": LOGISTIC.split()[0],
        "num_leaves": shape[1],
        "learning_rate": 0.03,
        "min_data_in_leaf": 10,
        "feature_fraction": 0.4,
        "seed": seed,
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": 0,  # as many as OpenMP may use here
        "verbosity": -1,
    }
