"""MovieLens 100K by three protocols: `python benchmarks/movielens.py FOLDER` prints the tables of docs/benchmarks.

- time: the build's own evaluation, the last tenth of the time line;
- last fifth: each user's last fifth is held out, everything else may be learned from; settings of the baselines are
  chosen, and the ranker and the number of epochs learned, on the fifth before it;
- random split: which of the rated items were rated 4 or more, on a fifth of the ratings drawn at random. The forest
  learns on the other ratings alone, each with features and towers that have not seen it.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from trident.contract import CANDIDATES_PER_USER, DEFAULT_LIMIT, FEATURES, NO_ITEM
from trident.rules import DEFAULT_RULES, Rules
from trident.rules.picking import choose, within_cap
from trident_export.baselines import clicks_of
from trident_export.build import build
from trident_export.build_config import BuildConfig
from trident_export.build_source import folder_source
from trident_export.catalogue import Catalogue, Users, read_log
from trident_export.contest import CHOSEN_BY, Stand, baselines
from trident_export.data.dataset import Dataset
from trident_export.data.validate import validate
from trident_export.end_to_end import end_to_end
from trident_export.evaluate import evaluate_probabilities, ranked_lists
from trident_export.event_log import Log, Requests
from trident_export.features import build_vocabulary
from trident_export.ground import Ground
from trident_export.holdout import last_share, requests_at, until, without_pairs
from trident_export.judge import COMPARED, CatalogueFacts, Difference, Verdict, differences, judged
from trident_export.learning import Ranker, rows_behind, taught_pairs, tower_data
from trident_export.moments import Moments, matrices
from trident_export.question import Question, answered
from trident_export.ranker import RankerConfig, RankerRows, predict, train_ranker
from trident_export.retrieval import embed, nearest, similarities
from trident_export.snapshot import write_models
from trident_export.split import time_windows
from trident_export.towers import Towers, train
from trident_export.writer import write_rules

COLUMNS = ("recall@20", "recall@50", "recall@500", "ndcg@20", "mrr", "coverage@20", "novelty@20", "diversity@20")
SNAPSHOTS = 60
TEST_SHARE, FOLDS = 0.2, 4  # in the random split
CHECK_SHARE = 0.1  # of the ratings that are learned from: they say how many trees are enough
# Which of the rated were liked: rows on their own, nothing is sorted.
RANDOM_RANKER = RankerConfig(depth=0, trees=600, learning_rate=0.05, patience=30)
CONFIG = BuildConfig()
EVEN = replace(CONFIG, recency=None, newcomers=0.0)  # held-out events are no newer, and no user is new


def ground_of(dataset: Dataset) -> Ground:
    """Open a dataset for learning, with item rows all along its time line."""
    vocabulary = build_vocabulary(dataset)
    users, catalogue = Users.read(dataset, vocabulary), Catalogue.read(dataset, vocabulary)
    log = read_log(dataset, users, catalogue, vocabulary)
    moments = Moments(dataset, vocabulary, users, catalogue)
    times = np.linspace(log.time.min(), log.time.max() + 1, SNAPSHOTS).astype(np.int64)
    return Ground(moments, log, time_windows(log.time), moments.items(times))


def learned_towers(ground: Ground, at: np.ndarray, judged_at: np.ndarray, epochs: int | None = None) -> Towers:
    """Towers that learn the clicks at positions `at`; the best epoch on those at `judged_at`, or `epochs` of them."""
    settings = CONFIG.towers if epochs is None else replace(CONFIG.towers, epochs=epochs, patience=epochs)
    items, log = ground.items.all_at(ground.windows.end), ground.log
    data = taught_pairs(ground, at, items, EVEN, np.random.default_rng(0))
    return train(data, tower_data(ground, Requests.at(log, judged_at), log.item[judged_at], items), settings)


def last_fifth(dataset: Dataset, work: Path) -> tuple[Verdict, list[Difference], int]:
    """Judge all methods on each user's last fifth."""
    everything = ground_of(dataset)
    users, items, rng = everything.moments.known_users, everything.moments.catalogue, np.random.default_rng(0)
    test, middle = (last_share(everything.log, share, len(users)) for share in (0.2, 0.4))
    ground = ground_of(until(dataset, work / "known", users.ids, test))
    log, end = ground.log, everything.windows.end
    first = log.where(log.time < middle[log.user])
    asked = answered(everything.log, requests_at(everything.log, test), end, len(users), rng)
    choosing = answered(log, requests_at(log, middle), end, len(users), rng)

    def stand(known: Log, about: Question, k: int) -> Stand:
        return Stand(known, end, about, len(users), len(items), k)

    rivals = baselines(stand(first, choosing, CHOSEN_BY), stand(log, asked, CANDIDATES_PER_USER))
    bare = {name: found.lists for name, found in rivals.items()}
    own = _own_lists(ground, middle, asked, work)
    facts = CatalogueFacts(clicks_of(log, end, len(items)), items.category)
    every = judged(bare | _under_cap(bare, items.category) | own, asked, facts)
    return every, differences(bare | own, list(rivals), asked), len(asked)


def _under_cap(lists: Mapping[str, np.ndarray], category: np.ndarray) -> dict[str, np.ndarray]:
    """The first 20 of each baseline under the category cap of the default rules, which "rules on" obeys."""
    caps = np.full(int(category.max()) + 2, Rules.read(DEFAULT_RULES).max_per_category)  # the last is for -1
    capped = {}
    for name, found in lists.items():
        short = capped[f"{name}, rules' cap"] = np.full((len(found), DEFAULT_LIMIT), NO_ITEM, np.int64)
        for row, rows in zip(short, found, strict=True):
            rows = rows[rows != NO_ITEM]
            chosen = np.sort(choose(within_cap(category[rows], caps, 0), DEFAULT_LIMIT))
            row[: len(chosen)] = rows[chosen]
    return capped


def _own_lists(ground: Ground, middle: np.ndarray, asked: Question, work: Path) -> dict[str, np.ndarray]:
    log, end = ground.log, ground.windows.end
    clicks = np.flatnonzero(log.positive)
    late = log.time[clicks] >= middle[log.user[clicks]]
    towers = learned_towers(ground, clicks[~late], clicks[late])
    samples = replace(CONFIG.samples, session_seconds=end)
    requests = requests_at(log, middle)
    held = np.random.default_rng(1).random(len(requests)) < 0.2
    rows = [
        rows_behind(ground, towers, requests.take(np.flatnonzero(part)), (end, end), samples, np.random.default_rng(0))
        for part in (~held, held)
    ]
    ranker = Ranker(train_ranker(rows[0], rows[1], CONFIG.ranker), *rows)
    towers = learned_towers(ground, clicks, clicks[late], towers.best.epoch)
    scene = ground.moments.scene(asked.requests)
    embeddings = towers.item_embeddings(ground.items.all_at(end))
    found = nearest(embed(towers, scene), embeddings, asked.touched, CANDIDATES_PER_USER)
    ranked = ranked_lists(scene, ground.items, found, lambda x: predict(ranker.booster, x))
    models = work / "models"
    models.mkdir()
    write_rules(models, None)
    write_models(models, towers, ranker)
    served = end_to_end(work / "served", models, ground, towers, asked, scene, end)
    return {"retrieval": found.rows, "ranked": ranked, **served.lists}


def random_split(dataset: Dataset, work: Path) -> dict[str, Any]:
    """AUC and log loss of the ranker on ratings drawn at random; no feature and no tower has seen a row's own rating.

    The forest learns on all ratings but those of the test, each with features and towers from the other folds.
    """
    everything = ground_of(dataset)
    log = everything.log
    rated = np.flatnonzero(log.viewed)
    liked = np.isin(_pairs(log, rated), _pairs(log, np.flatnonzero(log.positive))).astype(np.int8)
    rng = np.random.default_rng(0)
    test = rng.random(len(rated)) < TEST_SHARE
    fold, check = np.where(test, -1, rng.integers(FOLDS, size=len(rated))), rng.random(len(rated)) < CHECK_SHARE
    learned: list[RankerRows] = []
    checked: list[RankerRows] = []
    epochs: int | None = None
    for number in range(FOLDS):
        ground = _knowing(everything, rated[test | (fold == number)], work / f"fold-{number}")
        towers = _all_clicks_towers(ground, epochs)
        epochs = towers.best.epoch if epochs is None else epochs
        for parts, mine in ((learned, ~check), (checked, check)):
            part = (fold == number) & mine
            parts.append(_rated_rows(ground, towers, log, rated[part], liked[part]))
    forest = train_ranker(_together(learned), _together(checked), RANDOM_RANKER).booster
    after = _knowing(everything, rated[test], work / "known")
    rows = _rated_rows(after, _all_clicks_towers(after, epochs), log, rated[test], liked[test])
    return evaluate_probabilities(rows, predict(forest, rows.features))


def _together(parts: Sequence[RankerRows]) -> RankerRows:
    columns = ([getattr(part, f.name) for part in parts] for f in fields(RankerRows))
    return RankerRows(*map(np.concatenate, columns))


def _knowing(everything: Ground, hidden: np.ndarray, folder: Path) -> Ground:
    """The ground without the pairs of user and item of the events at positions `hidden`."""
    log, moments = everything.log, everything.moments
    users, items = moments.known_users.ids, moments.catalogue.ids
    pairs = zip(log.user[hidden].tolist(), log.item[hidden].tolist(), strict=True)
    return ground_of(without_pairs(moments.dataset, folder, {(users[u], items[i]) for u, i in pairs}))


def _all_clicks_towers(ground: Ground, epochs: int | None = None) -> Towers:
    clicks = np.flatnonzero(ground.log.positive)
    checked = np.random.default_rng(1).random(len(clicks)) < 0.1
    return learned_towers(ground, clicks[~checked] if epochs is None else clicks, clicks[checked], epochs)


def _pairs(log: Log, at: np.ndarray) -> np.ndarray:
    return log.user[at] * (log.item.max() + 1) + log.item[at]


def _rated_rows(ground: Ground, towers: Towers, log: Log, at: np.ndarray, liked: np.ndarray) -> RankerRows:
    """Rows of the ratings at positions `at`, users and items as of the end of what the features may know."""
    end, asked = ground.windows.end, Requests.at(log, at)
    scene = ground.moments.scene(replace(asked, time=np.full(len(at), end)))
    rows = log.item[at][:, None]
    near = similarities(embed(towers, scene), towers.item_embeddings(ground.items.all_at(end)), rows)
    blocks = [matrix[:, 0] for _, matrix in matrices(scene, ground.items, rows, near)]
    features = np.concatenate([np.empty((0, FEATURES), np.float32), *blocks])
    return RankerRows(features, liked, log.user[at], np.ones(len(at), bool))


def main() -> None:
    """Print the tables of the chosen protocols."""
    options = parse()
    with TemporaryDirectory(prefix="trident-movielens-") as folder:
        work, source = Path(folder), folder_source("movielens", options.path)
        if "time" in options.protocol:
            found = build(source, work / "release", CONFIG).evaluation
            print(f"## Time split, {found.requests} users, {found.of_new_users} of them new\n")
            print(markdown(Verdict(found.methods, found.intervals)) + against(found.differences))
            print("Ranker on views of the test window: " + probabilities(found.ranker["impressions"]))
        dataset = validate(source.load(work / "raw"), work / "clean", source.rules).dataset
        if "last-fifth" in options.protocol:
            verdict, gained, users = last_fifth(dataset, work)
            print(f"## Last fifth of each user, {users} users\n\n{markdown(verdict)}{against(gained)}")
        if "random" in options.protocol:
            print(f"## Random split of rated items\n\nRanker: {probabilities(random_split(dataset, work))}")


def parse() -> argparse.Namespace:
    """The command line."""
    protocols = ("time", "last-fifth", "random")
    parser = argparse.ArgumentParser(description="MovieLens 100K by three protocols.")
    parser.add_argument("path", type=Path, help="folder with MovieLens 100K")
    parser.add_argument("--protocol", nargs="+", choices=protocols, default=protocols)
    return parser.parse_args()


def markdown(verdict: Verdict) -> str:
    """The table of all methods, with intervals where they decide."""
    lines = [f"| method | {' | '.join(COLUMNS)} |", "|---|" + "---|" * len(COLUMNS)]
    for method, metrics in verdict.means.items():
        cells = [_cell(metrics, verdict.intervals[method], column) for column in COLUMNS]
        lines.append(f"| {method} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _cell(metrics: Mapping[str, float], intervals: Mapping[str, tuple[float, float]], name: str) -> str:
    if name not in metrics:
        return ""
    low, high = intervals.get(name, (0.0, 0.0)) if name in COMPARED else (0.0, 0.0)
    return f"{metrics[name]:.3f}" + (f" ({low:.3f}–{high:.3f})" if high else "")


def against(gained: Iterable[Difference]) -> str:
    """Our methods against the best baselines, a line each."""
    lines = [
        f"- {d.method}, {d.metric}: {d.difference:+.3f} ({d.low:+.3f} to {d.high:+.3f}) against {d.baseline}"
        for d in gained
    ]
    return "\n" + "\n".join(lines) + "\n"


def probabilities(found: Mapping[str, Any]) -> str:
    """AUC, log loss and calibration in one line."""
    low, high = found["intervals"]["auc"]
    loss = f"log loss {found['log_loss']:.3f} ({found['log_loss_of_mean']:.3f} for the mean)"
    error = f"calibration error {found['calibration_error']:.3f}"
    return f"AUC {found['auc']:.3f} ({low:.3f}–{high:.3f}), {loss}, {error}, {found['rows']:,} rows"


if __name__ == "__main__":
    main()
