"""What the child process may take, and what is said when it takes more, with children that do."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from trident.errors import ReleaseError
from trident_export.publishing.trial import Limits, examine

HERE = Path("/nowhere")


def ask(code: str, limits: Limits | None = None) -> list:
    command = (sys.executable, "-c", f"import json, sys; question = json.load(sys.stdin); {code}")
    return examine(HERE, (HERE / "repository", 7), {"recall": {"least": 0.5}}, limits or Limits(20, 1), command)


def test_the_child_gets_the_question_and_its_last_line_is_the_answer():
    told = 'print("chatter"); print(json.dumps({"problem": None, "checks": [question]}))'
    expected = {"release": "/nowhere", "against": ["/nowhere/repository", 7], "gates": {"recall": {"least": 0.5}}}
    assert ask(told) == [expected]


def test_a_problem_is_the_error():
    with pytest.raises(ReleaseError, match=r"^ranker: expected trees, got none$"):
        ask(f"print({json.dumps(json.dumps({'problem': 'ranker: expected trees, got none', 'checks': []}))})")


def test_a_time_out_is_named():
    with pytest.raises(ReleaseError, match=r"expected an end within 1 s, got none \(--trial-seconds\)"):
        ask("import time; time.sleep(60)", Limits(1, 1))


@pytest.mark.parametrize("how", ["x = bytearray(1 << 29); time.sleep(5)", "x = bytearray(1 << 34)"])
def test_too_much_memory_is_named(how):
    with pytest.raises(ReleaseError, match=r"expected at most 0.25 GiB of memory, got more \(--trial-memory"):
        ask(f"import time; {how}", Limits(20, 0.25))


def test_a_mapped_file_is_not_its_own_memory(tmp_path):
    with (tmp_path / "large").open("wb") as file:
        file.truncate(1 << 29)
    code = f"""
import mmap
with open({str(tmp_path / "large")!r}, "rb") as file:
    mapped = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
sum(mapped[::4096])
print(json.dumps({{"problem": None, "checks": []}}))
"""
    assert ask(code, Limits(20, 0.25)) == []


@pytest.mark.parametrize(("name", "number"), [("SIGSEGV", 11), ("SIGABRT", 6)])
def test_a_crash_is_named_with_what_the_child_was_at(name, number):
    with pytest.raises(ReleaseError, match=f"expected an answer, got a crash with {name}: examining: index"):
        ask(f"import os; print('examining: index', file=sys.stderr, flush=True); os.kill(os.getpid(), {number})")


def test_another_end_without_an_answer_is_told():
    with pytest.raises(ReleaseError, match="got exit code 1: KeyError: 'no such'"):
        ask("question['no such']")
    with pytest.raises(ReleaseError, match="expected an answer as JSON, got nothing"):
        ask("pass")
