"""Offline: data, features, training, evaluation, and publishing releases."""

import os
from pathlib import Path


def _prefer_vectors() -> None:
    """Have OpenBLAS take its kernels for AVX2 where the processor has it and nobody has chosen others.

    The OpenBLAS of faiss-cpu 1.15.1 is of 2021 and takes those for SSE3 on processors that it does not know: the lists
    of ten million items then take 18 minutes instead of 7 (`docs/benchmarks/search.md`). It looks when it is loaded.
    """
    try:
        flags = Path("/proc/cpuinfo").read_text("utf-8", "replace")
    except OSError:
        return
    if " avx2 " in flags:
        os.environ.setdefault("OPENBLAS_CORETYPE", "Haswell")


_prefer_vectors()
