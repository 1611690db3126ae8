"""The libraries that `benchmarks/forest.py` compares: how each opens a forest and scores rows."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import treelite

from trident.forest import Forest

Predict = Callable[[np.ndarray], np.ndarray]
BLOCK = 15
"""Trees per compiled block: their code stays in the instruction cache while all rows pass."""
ENVIRONMENTS = {"lleaves": ["lleaves==1.3.0", "llvmlite<0.45", "numpy<2"], "nvforest": ["nvforest-cu12"]}
"""What cannot live beside the rest and gets an environment of its own."""


@dataclass(frozen=True)
class Model:
    """A forest in a folder: model.txt and checkpoint.tl, and whatever a library makes of them."""

    name: str
    folder: Path

    @property
    def text(self) -> Path:
        """LightGBM's own file."""
        return self.folder / "model.txt"

    @property
    def checkpoint(self) -> Path:
        """Treelite's file."""
        return self.folder / "checkpoint.tl"


class NotMeasuredError(Exception):
    """Why a library has no figure here."""


def trident(model: Model, threads: int) -> Predict:
    """Our kernel; with two threads each scores a part of the rows."""
    predict = Forest.read(model.checkpoint).predict
    if threads == 1:
        return lambda rows: predict(rows)[:, 0]
    pool = ThreadPoolExecutor(threads)
    return lambda rows: np.concatenate(list(pool.map(predict, np.array_split(rows, threads))))[:, 0]


def light_gbm(model: Model, threads: int) -> Predict:
    """The library that trained it, and the oracle."""
    booster = lightgbm.Booster(model_file=model.text)
    return lambda rows: np.asarray(booster.predict(rows, num_threads=threads))


def gtil(model: Model, threads: int) -> Predict:
    """Treelite's reference evaluation."""
    opened = treelite.Model.deserialize(model.checkpoint)
    return lambda rows: treelite.gtil.predict(opened, rows, nthread=threads).reshape(len(rows))


def tl2cgen(quantize: bool, blocks: bool) -> Callable[[Model, int], Predict]:
    """Compiled C, with thresholds or their ranks, as one library or in blocks of BLOCK trees."""

    def opening(model: Model, threads: int) -> Predict:
        import tl2cgen as library

        booster = lightgbm.Booster(model_file=model.text)
        step = BLOCK if blocks else booster.num_trees()
        compiled = [
            library.Predictor(str(_compiled(library, model, booster, begin, step, quantize)), nthread=threads)
            for begin in range(0, booster.num_trees(), step)
        ]

        def predict(rows: np.ndarray) -> np.ndarray:
            matrix = library.DMatrix(rows, dtype="float32")
            raw = sum(one.predict(matrix, pred_margin=True).reshape(len(rows)).astype(float) for one in compiled)
            return 1 / (1 + np.exp(-raw))

        return predict

    return opening


def _compiled(library: Any, model: Model, booster: lightgbm.Booster, begin: int, trees: int, quantize: bool) -> Path:
    path = model.folder / f"{'ranks' if quantize else 'plain'}-{begin}-{trees}.so"
    if not path.exists():
        text = booster.model_to_string(start_iteration=begin, num_iteration=trees)
        part = treelite.frontend.from_lightgbm(lightgbm.Booster(model_str=text))
        options = {"quantize": int(quantize), "parallel_comp": 16 if trees > BLOCK else 0}
        library.export_lib(part, toolchain="gcc", libpath=path, params=options, nthread=2)
    return path


def onnx_runtime(model: Model, threads: int) -> Predict:
    """Its tree ensemble operator; its converter knows the objective by name."""
    import onnxmltools
    import onnxruntime
    from onnxmltools.convert.common.data_types import FloatTensorType

    booster = lightgbm.Booster(model_file=model.text)
    kind = [("input", FloatTensorType([None, booster.num_feature()]))]
    made = onnxmltools.convert_lightgbm(booster, initial_types=kind, zipmap=False).SerializeToString()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = threads, 3
    session = onnxruntime.InferenceSession(made, options, providers=["CPUExecutionProvider"])
    return lambda rows: session.run(["probabilities"], {"input": rows})[0][:, 1]


@dataclass
class Elsewhere:
    """A library in a process and an environment of its own."""

    library: str
    python: Path
    model: Model
    threads: int
    process: subprocess.Popen[str] = field(init=False)

    def __post_init__(self) -> None:
        worker = [self.python, Path(__file__).with_name("forest_worker.py"), self.library]
        self.process = subprocess.Popen(
            [*map(str, worker), str(self.model.text), str(self.threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=os.environ | {"OMP_NUM_THREADS": str(self.threads)},
        )
        self._heard()

    def seconds(self, rows: Path, calls: int) -> float:
        """Seconds per call; the first time the scores are written beside the rows."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"rows": str(rows), "calls": calls}) + "\n")
        self.process.stdin.flush()
        return float(self._heard()["seconds"])

    def scores(self, rows: Path) -> np.ndarray:
        """What it answered for the rows."""
        return np.load(f"{rows}.{self.library}.npy")

    def close(self) -> None:
        """End the process."""
        self.process.terminate()
        self.process.wait()

    def _heard(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        heard = json.loads(line) if line else {"problem": f"it ended with code {self.process.wait()}"}
        if "problem" in heard:
            raise NotMeasuredError(str(heard["problem"]).splitlines()[0][:120])
        return heard


@dataclass
class Here:
    """A library in this process."""

    predict: Predict

    def seconds(self, rows: Path, calls: int) -> float:
        """Seconds per call."""
        matrix = self._rows(rows)
        begin = time.perf_counter()
        for _ in range(calls):
            self.predict(matrix)
        return (time.perf_counter() - begin) / calls

    def scores(self, rows: Path) -> np.ndarray:
        """What it answers for the rows."""
        return self.predict(self._rows(rows))

    def close(self) -> None:
        """Nothing to end."""

    def _rows(self, path: Path) -> np.ndarray:
        if path not in _loaded:
            _loaded.clear()
            _loaded[path] = np.load(path)
        return _loaded[path]


_loaded: dict[Path, np.ndarray] = {}

LIBRARIES: dict[str, Callable[[Model, int], Predict] | str] = {
    "Trident": trident,
    "LightGBM": light_gbm,
    "Treelite GTIL": gtil,
    "tl2cgen": tl2cgen(quantize=False, blocks=False),
    "tl2cgen, ranks": tl2cgen(quantize=True, blocks=False),
    "tl2cgen, blocks": tl2cgen(quantize=False, blocks=True),
    "ONNX Runtime": onnx_runtime,
    "lleaves": "lleaves",
    "nvForest (CPU)": "nvforest",
}
"""By name how it is opened here, or which environment has it."""


def opened(name: str, model: Model, threads: int, environments: Path) -> Here | Elsewhere:
    """A library with a forest; raise NotMeasuredError with the reason where that does not work."""
    way = LIBRARIES[name]
    if isinstance(way, str):
        return Elsewhere(way, _environment(way, environments), model, threads)
    try:
        return Here(way(model, threads))
    except Exception as problem:
        raise NotMeasuredError(f"{type(problem).__name__}: {problem}".splitlines()[0][:120]) from problem


def _environment(library: str, folder: Path) -> Path:
    """The Python of an environment with that library; made where there is none yet."""
    python = folder / library / "bin" / "python"
    if not (folder / library / "done").exists():
        print(f"installing {', '.join(ENVIRONMENTS[library])}", file=sys.stderr, flush=True)
        for command in (
            [sys.executable, "-m", "venv", str(folder / library)],
            [str(python), "-m", "pip", "install", "-q", *ENVIRONMENTS[library]],
        ):
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode:
                raise NotMeasuredError(f"not installable here: {done.stderr.strip().splitlines()[-1][:120]}")
        (folder / library / "done").touch()
    return python
