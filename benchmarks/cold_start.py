"""How many popular items of the region a stranger should get among his candidates.

    python benchmarks/cold_start.py [--movielens FOLDER]

Without a folder it makes the data of `make demo`. In the validation window, for choosing, the towers have not seen the
clicks of the window; in the test window they are those of a release. Strangers are the users without an event before
("new") and, because those are few, all users of the window, asked as if nothing were known of them but what not to show
again ("all"). It is the whole path in one process, with the rules off.
"""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from trident.contract import CANDIDATES_PER_USER, MAX_USERS
from trident.pipeline import Pipeline
from trident.stages import candidates
from trident.state.store import UserState
from trident_export import baselines
from trident_export.baselines import popular_by_region, without_touched
from trident_export.build_config import BuildConfig
from trident_export.build_source import Source, folder_source, synthetic_source
from trident_export.bystanders import Bystanders
from trident_export.data.validate import validate
from trident_export.end_to_end import NEUTRAL_RULES, inputs, write_release
from trident_export.ground import Ground, lay_ground
from trident_export.index import one_thread
from trident_export.intervals import interval, resampled_means
from trident_export.learning import fit_ranker, fit_towers, refit_towers
from trident_export.metrics import ndcg_at, recall_at
from trident_export.question import Question, question
from trident_export.snapshot import POPULAR, users_at, write_models
from trident_export.towers import Towers

WEIGHTS = (10, 30, 100, 300, 1_000, 3_000, 10_000, 100_000)
GREETINGS = (0, 25, 50, 100, 150, 250, 375, 500)
CONFIG = BuildConfig()
CHOSEN, CHOSEN_WEIGHT = candidates.GREETING, baselines.EVERYBODY


def main() -> None:
    """Print a table per window and kind of strangers."""
    parser = argparse.ArgumentParser(description="Popular items among the candidates of strangers.")
    parser.add_argument("--movielens", type=Path, help="folder with MovieLens 100K")
    folder = parser.parse_args().movielens
    with TemporaryDirectory(prefix="trident-cold-start-") as scratch:
        measure(folder_source("movielens", folder) if folder else synthetic_source(), Path(scratch))


def measure(source: Source, work: Path) -> None:
    """Learn as a build does, then ask at both windows."""
    dataset = validate(source.load(work / "raw"), work / "clean", source.rules).dataset
    ground, models = lay_ground(dataset, CONFIG), work / "models"
    first = fit_towers(ground, CONFIG)
    ranker = fit_ranker(ground, first, CONFIG)
    windows = ground.windows
    weights(ground, ask(ground, windows.validation, windows.test))
    for name, towers, start, end in (
        ("validation", first, windows.validation, windows.test),
        ("test", refit_towers(ground, first, CONFIG), windows.test, windows.end),
    ):
        shutil.rmtree(models, ignore_errors=True)
        models.mkdir()
        shutil.copyfile(NEUTRAL_RULES, models / "rules.toml")
        write_models(models, towers, ranker)
        table(name, ground, towers, models, ask(ground, start, end), start, work / name)


def ask(ground: Ground, start: int, end: int) -> Question:
    """What the users of a window click."""
    return question(ground.log, start, end, CONFIG.test_users, np.random.default_rng(0))


def weights(ground: Ground, asked: Question) -> None:
    """Print how much of what was clicked each region's popular items hold, by the weight of all regions' clicks."""
    users, items, k = ground.moments.known_users, len(ground.moments.catalogue), CANDIDATES_PER_USER
    regions, start = len(ground.moments.vocabulary.regions), ground.windows.validation
    here = np.where(asked.requests.region < 0, users.region[asked.requests.user], asked.requests.region)
    print(f"\nvalidation window, {regions} regions\n\n| weight of all regions | recall@{k}, all |\n|---|---|")
    for weight in WEIGHTS:
        baselines.EVERYBODY = weight
        lists = popular_by_region(ground.log, start, items, users.region, regions, POPULAR)
        found = [without_touched(lists[r + 1], [t], k)[0] for r, t in zip(here.tolist(), asked.touched, strict=True)]
        print(f"| {weight:g} | {recall_at(np.stack(found), asked.relevant, k).mean():.3f} |", flush=True)
    baselines.EVERYBODY = CHOSEN_WEIGHT


def table(name: str, ground: Ground, towers: Towers, models: Path, asked: Question, start: int, folder: Path) -> None:
    """Print the metrics of one window for each number of popular items."""
    users = users_at(ground, asked.requests.user, start)
    new = np.array([len(rows) == 0 for rows in asked.touched])
    write_release(folder, models, ground, towers, users, start)
    print(f"\n{name} window: {len(asked)} users, {new.sum()} of them new\n")
    print("| popular | recall@500, new | NDCG@20, new | recall@500, all | NDCG@20, all |\n|---|---|---|---|---|")
    pipeline = Pipeline.open(folder, strangers(ground, asked))
    regional, everybody = pipeline.candidates.popular, np.zeros_like(pipeline.candidates.popular)
    everybody[:] = regional[0]
    with one_thread():
        for greeting, lists in (*((g, regional) for g in GREETINGS), (CHOSEN, everybody)):
            candidates.GREETING, pipeline.candidates.popular = greeting, lists
            values = np.stack(answers(pipeline, ground, asked), axis=1)
            whose = ", of all regions" if lists is everybody else ""
            print(f"| {greeting}{whose} | {cells(values[new])} | {cells(values)} |", flush=True)


def strangers(ground: Ground, asked: Question) -> Bystanders:
    """The users of a question, of whom nothing is known but what is not to be shown again."""
    users, items = ground.moments.known_users.ids, ground.moments.catalogue.ids
    states = zip(asked.requests.user.tolist(), asked.touched, strict=True)
    return Bystanders({users[u]: UserState(shown=tuple(items[i].encode() for i in rows)) for u, rows in states})


def answers(pipeline: Pipeline, ground: Ground, asked: Question) -> tuple[np.ndarray, np.ndarray]:
    """recall@500 of the candidates and NDCG@20 of the answers, as if nobody were known: (Q,) each."""
    found, answered = [], []
    for part in batches(len(asked)):
        made = pipeline.trace(**inputs(asked.requests.take(part), ground))
        found.append(made["candidate_rows"])
        ids = made["item_id"]
        answered.append(pipeline.release.items.rows(ids.ravel().tolist()).reshape(ids.shape))
    lists = np.concatenate(found), np.concatenate(answered)
    return recall_at(lists[0], asked.relevant, lists[0].shape[1]), ndcg_at(lists[1], asked.relevant, 20)


def batches(n: int) -> Iterator[np.ndarray]:
    """Positions, as many at once as a request may hold users."""
    for start in range(0, n, MAX_USERS):
        yield np.arange(start, min(start + MAX_USERS, n))


def cells(values: np.ndarray) -> str:
    """Means of (q, 2) with their 95 % intervals."""
    drawn = resampled_means(values, 0)
    means = values.mean(axis=0)
    spans = (interval(drawn[:, column]) for column in range(values.shape[1]))
    return " | ".join(f"{mean:.3f} ({low:.3f}–{high:.3f})" for mean, (low, high) in zip(means, spans, strict=True))


if __name__ == "__main__":
    main()
