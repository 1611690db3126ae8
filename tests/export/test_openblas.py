from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ASK = "import trident_export, os; print(os.environ.get('OPENBLAS_CORETYPE', ''))"
KERNEL = """
import trident_export, faiss, threadpoolctl
print({one["architecture"] for one in threadpoolctl.threadpool_info() if one["internal_api"] == "openblas"})
"""


def told(code: str, **more: str) -> str:
    env = {name: value for name, value in os.environ.items() if name != "OPENBLAS_CORETYPE"} | more
    return subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True).stdout


def test_who_has_chosen_kernels_keeps_them():
    assert told(ASK, OPENBLAS_CORETYPE="Zen") == "Zen\n"


@pytest.mark.skipif(" avx2 " not in Path("/proc/cpuinfo").read_text(), reason="this processor has no AVX2")
def test_faiss_multiplies_with_vectors_of_256_bits():
    assert told(KERNEL) == "{'Haswell'}\n"
