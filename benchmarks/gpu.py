"""What an NVIDIA card adds: search, forest, tower and the whole path in one process, in batches of 1 to 256 users.

    pip install -e '.[gpu,export]' onnxruntime-gpu nvforest-cu12
    python benchmarks/gpu.py --release build/release

Beside each time on the card stands that of one CPU core. What cannot be measured, for want of a card or of a package,
says so. Answers of the card are compared with those of the CPU before it is timed.
`docs/benchmarks/gpu.md` has printed results, and estimates.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import onnxruntime

from trident import gpu_search
from trident.contract import CANDIDATES_PER_USER, EMBEDDING_DIM, MAX_USERS, RANKER, USER_FEATURES
from trident.errors import SetupError
from trident.forest import predictor
from trident.gpu_search import CardIndex
from trident.pipeline import Pipeline
from trident.release import Release
from trident.search import ItemIndex
from trident.serving.redis import EmbeddedRedis
from trident.state.load import push_users
from trident.users import UserRows
from trident_loadtest.latency import machine

BATCHES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
TOLERANCE = 1e-5
CUDA = "CUDAExecutionProvider"
Work = Callable[[int], object]
"""Does a batch of so many users."""


@dataclass(frozen=True)
class Part:
    """Something to measure: on a core, and ways of doing it on a card, each of which may say that it cannot."""

    name: str
    core: Work
    on_card: Mapping[str, Callable[[], Work]]


def main() -> None:
    """Print a table per part."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--release", type=Path, default=Path("build/release"))
    parser.add_argument("--seconds", type=float, default=1.0, help="per batch size, or three runs if they take longer")
    parser.add_argument("--batches", default=",".join(map(str, BATCHES)))
    asked = parser.parse_args()
    faiss.omp_set_num_threads(1)
    release, batches = Release.open(asked.release), [int(batch) for batch in asked.batches.split(",")]
    print(f"{machine()}; card: {card_name()}; {release.manifest.items:,} items, {release.manifest.search['factory']}")
    with whole_path(release) as path:
        for part in (search(release), forest(release), tower(release), path):
            print(f"\n{table(part, batches, asked.seconds)}")


def table(part: Part, batches: list[int], seconds: float) -> str:
    """Median milliseconds per batch, in Markdown; below it why a column is empty."""
    ways, notes = {"one core": part.core}, []
    for name, prepare in part.on_card.items():
        try:
            ways[name] = prepare()
        except SetupError as reason:
            notes.append(f"{name}: not measured: {reason}")
    names = ["one core", *part.on_card]
    head = " | ".join([f"{part.name}: users", *(f"{name}, ms" for name in names)])
    lines = [f"| {head} |", "|---" * (1 + len(names)) + "|"]
    for batch in batches:
        cells = [f"{median_ms(ways[name], batch, seconds):.3g}" if name in ways else "not measured" for name in names]
        lines.append(f"| {batch} | " + " | ".join(cells) + " |")
    return "\n".join([*lines, *(["", *notes] if notes else [])])


def median_ms(work: Work, batch: int, seconds: float) -> float:
    """Median time of a batch, after one that is not counted."""
    work(batch)
    spent: list[float] = []
    while len(spent) < 3 or sum(spent) < 1000 * seconds:
        began = time.perf_counter()
        work(batch)
        spent.append(1000 * (time.perf_counter() - began))
    return float(np.median(spent))


def search(release: Release) -> Part:
    """The nearest items of so many users, none hidden."""
    cpu, rng = index_of(release), np.random.default_rng(1)
    queries = cpu.index.reconstruct_batch(rng.integers(0, cpu.index.ntotal, max(BATCHES)))
    everything = np.packbits(np.ones(cpu.index.ntotal, bool), bitorder="little")

    def work(index: ItemIndex) -> Work:
        def searched(batch: int) -> None:
            for ask in index.prepared(queries[:batch]):
                ask(CANDIDATES_PER_USER, everything, cpu.index.ntotal)

        return searched

    def on_card(empty: Callable[[int], Any]) -> Callable[[], Work]:
        return lambda: work(CardIndex.of(cpu, swept(empty, cpu)))

    kinds = {"card, all items in fp16": gpu_search.flat_on, "card, lists in fp16": gpu_search.listed_on}
    return Part("search", work(cpu), {name: on_card(empty) for name, empty in kinds.items()})


def swept(empty: Callable[[int], Any], cpu: ItemIndex) -> gpu_search.Choice:
    """The index of one kind on the card, filled, with as few lists as reach the recall."""
    require_card()
    if empty is gpu_search.listed_on and cpu.index.ntotal < gpu_search.LEAST_LISTED:
        raise SetupError(f"fewer than {gpu_search.LEAST_LISTED:,} items")
    flat = gpu_search.flat_on(0)
    if empty is gpu_search.flat_on:
        return gpu_search.choose([flat], cpu.index)
    _, listed = gpu_search.sweep([flat, empty(0)], cpu.index)
    return listed


def forest(release: Release) -> Part:
    """The scores of 500 candidates of so many users."""
    checkpoint, rng = release.folder / "ranker" / "checkpoint.tl", np.random.default_rng(2)
    predict = predictor(checkpoint)
    rows = rng.normal(size=(max(BATCHES) * CANDIDATES_PER_USER, RANKER.inputs[0].shape[1])).astype(np.float32)

    def prepare() -> Work:
        scores = card_forest(checkpoint)
        require_equal(scores(rows[:CANDIDATES_PER_USER]), predict(rows[:CANDIDATES_PER_USER]))
        return lambda batch: scores(rows[: batch * CANDIDATES_PER_USER])

    def core(batch: int) -> None:
        for user in range(batch):
            predict(rows[user * CANDIDATES_PER_USER : (user + 1) * CANDIDATES_PER_USER])

    return Part("forest", core, {"card, nvForest": prepare})


def card_forest(checkpoint: Path) -> Callable[[np.ndarray], np.ndarray]:
    """nvForest, which is what FIL runs on a card; rows and scores are copied both ways."""
    require_card()
    try:
        import nvforest
    except ImportError:
        raise SetupError("pip install nvforest-cu12") from None
    model = nvforest.load_model(checkpoint, model_type="treelite_checkpoint", device="gpu")

    def scores(rows: np.ndarray) -> np.ndarray:
        made = model.predict_proba(rows)
        return np.asarray(made.get() if hasattr(made, "get") else made)[:, -1:]

    return scores


def tower(release: Release) -> Part:
    """The embeddings of so many users whose rows are at hand."""
    path, rng = release.folder / "user_tower" / "model.onnx", np.random.default_rng(3)
    given = {
        "user_features": rng.normal(size=(max(BATCHES), USER_FEATURES)).astype(np.float32),
        "taste": rng.normal(size=(max(BATCHES), EMBEDDING_DIM)).astype(np.float32),
    }
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1

    def work(provider: str) -> Work:
        session = onnxruntime.InferenceSession(path, options, providers=[provider])
        return lambda batch: session.run(None, {name: array[:batch] for name, array in given.items()})[0]

    def prepare() -> Work:
        require_card()
        if CUDA not in onnxruntime.get_available_providers():
            raise SetupError("pip install onnxruntime-gpu in place of onnxruntime")
        on_card, core = work(CUDA), work("CPUExecutionProvider")
        require_equal(np.asarray(on_card(8)), np.asarray(core(8)))
        return on_card

    return Part("tower", work("CPUExecutionProvider"), {"card, ONNX Runtime": prepare})


@contextmanager
def whole_path(release: Release) -> Iterator[Part]:
    """From user ids to items, with a Redis; more users than a request takes are several requests."""
    with EmbeddedRedis() as redis:
        users = UserRows.open(release.folder / "users")
        push_users(users, release, redis.url)
        os.environ |= {"REDIS_URL": redis.url, "REDIS_TIMEOUT_MS": "2000"}
        names = np.array(users.ids.take(np.arange(max(BATCHES)) % len(users)), object)[:, None]
        pipeline = Pipeline.open(release.folder)

        def answered_for(path: Pipeline) -> Work:
            def answered(batch: int) -> None:
                for start in range(0, batch, MAX_USERS):
                    asked = names[start : min(start + MAX_USERS, batch)]
                    path(user_id=asked, record=np.zeros((len(asked), 1), bool))

            return answered

        def prepare() -> Work:
            require_card()
            scores = card_forest(release.folder / "ranker" / "checkpoint.tl")
            faster = Pipeline.open(release.folder)
            faster.candidates.index = CardIndex.on(index_of(release), 0)
            faster.steps[RANKER.name] = lambda input__0: {"output__0": scores(input__0)}
            return answered_for(faster)

        yield Part("whole path", answered_for(pipeline), {"card for search and forest": prepare})
        pipeline.close()


def index_of(release: Release) -> ItemIndex:
    """The index of the release as it is served."""
    manifest = release.manifest
    return ItemIndex.served(release.folder / "index.faiss", manifest.search, manifest.items)


def require_equal(mine: np.ndarray, expected: np.ndarray) -> None:
    """Raise SetupError unless the card computes what the CPU does."""
    far = float(np.abs(mine - expected).max()) if mine.shape == expected.shape else float("inf")
    if not far <= TOLERANCE:
        raise SetupError(f"the card's answers differ from the CPU's by {far:.2g}")


def require_card() -> None:
    """Raise SetupError where there is no card that FAISS can use."""
    if not cards():
        raise SetupError("no card here, or faiss-cpu in place of faiss-gpu")


def cards() -> int:
    """How many there are."""
    count = getattr(faiss, "get_num_gpus", None)
    return count() if count else 0


def card_name() -> str:
    """What the driver calls the first card."""
    found = Path("/proc/driver/nvidia/gpus")
    texts = [path.read_text() for path in found.glob("*/information")] if found.is_dir() else []
    names = [line.partition(":")[2].strip() for text in texts for line in text.splitlines() if line.startswith("Model")]
    return names[0] if names and cards() else "none"


if __name__ == "__main__":
    main()
