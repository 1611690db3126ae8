"""Answers `benchmarks/forest.py` from an environment of its own: `python forest_worker.py LIBRARY MODEL THREADS`.

Reads one JSON line per question, {"rows": path of a .npy, "calls": n}, and answers {"seconds": per call}; the scores of
the rows lie beside them afterwards. What cannot be opened is said as {"problem": text}.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

Predict = Callable[[np.ndarray], np.ndarray]


def lleaves(model: Path, threads: int) -> Predict:
    """The compiled code is kept beside the model."""
    import lleaves as library

    opened = library.Model(model_file=str(model))
    opened.compile(cache=str(model.with_suffix(".lleaves")))
    return lambda rows: opened.predict(rows, n_jobs=threads)


def nvforest(model: Path, threads: int) -> Predict:
    """Threads come from OMP_NUM_THREADS."""
    import nvforest as library

    opened = library.load_model(model, model_type="lightgbm", device="cpu", precision="double")
    proba = getattr(opened, "predict_proba", opened.predict)
    return lambda rows: np.asarray(proba(rows)).reshape(len(rows), -1)[:, -1]


def main(library: str, model: str, threads: str) -> None:
    """Open, then answer until the questions end."""
    answer = sys.stdout
    sys.stdout = sys.stderr  # what libraries print is no answer
    try:
        predict = {"lleaves": lleaves, "nvforest": nvforest}[library](Path(model), int(threads))
    except Exception as problem:
        print(json.dumps({"problem": f"{type(problem).__name__}: {problem}"}), file=answer, flush=True)
        return
    print(json.dumps({}), file=answer, flush=True)
    matrices: dict[str, np.ndarray] = {}
    for line in sys.stdin:
        question = json.loads(line)
        path = question["rows"]
        if path not in matrices:
            matrices[path] = np.load(path)
            np.save(path + f".{library}.npy", predict(matrices[path]))
        begin = time.perf_counter()
        for _ in range(question["calls"]):
            predict(matrices[path])
        print(json.dumps({"seconds": (time.perf_counter() - begin) / question["calls"]}), file=answer, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
