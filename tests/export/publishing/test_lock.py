"""Two publishers at once."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from trident.errors import ReleaseError
from trident_export.publishing.lock import locked

HOLDS = """
import sys, time
from pathlib import Path
from trident_export.publishing.lock import locked
with locked(Path(sys.argv[1])):
    print("mine", flush=True)
    time.sleep(60)
"""


def test_the_second_one_is_told_who_the_first_one_is(tmp_path):
    repository = tmp_path / "repository"
    holder = subprocess.Popen([sys.executable, "-c", HOLDS, str(repository)], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "mine\n"
        with pytest.raises(ReleaseError, match=rf"is under way \(.+@.+, process {holder.pid}, since 20"):
            locked(repository).__enter__()
    finally:
        holder.kill()
        holder.wait()
    with locked(repository):  # the kernel gave it back
        pass
    assert list(tmp_path.iterdir()) == []


def test_of_many_at_once_never_two_have_it(tmp_path):
    """The lock file comes and goes; nobody takes one that has just been removed for the real one."""
    count = """
import sys, time
from pathlib import Path
from trident.errors import ReleaseError
from trident_export.publishing.lock import locked
place, had = Path(sys.argv[1]), 0
(place / "repository").mkdir(exist_ok=True)
end = time.monotonic() + 1.5
while time.monotonic() < end:
    try:
        with locked(place / "repository"):
            (place / "alone").mkdir()  # fails when somebody else is inside
            (place / "alone").rmdir()
            had += 1
    except ReleaseError:
        pass
print(had)
"""
    (tmp_path / "repository").mkdir()
    (tmp_path / "repository" / "kept").touch()
    command = [sys.executable, "-c", count, str(tmp_path)]
    workers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    had = [int(worker.communicate()[0]) for worker in workers]
    assert all(worker.returncode == 0 for worker in workers)
    assert sum(had) > 100


def test_a_lock_file_that_a_killed_process_left_holds_nobody_up(tmp_path):
    (tmp_path / ".repository.lock").write_text(f'{{"who": "me@here", "pid": {os.getpid()}, "since": "{time.time()}"}}')
    with locked(tmp_path / "repository"):
        assert (tmp_path / ".repository.lock").exists()
    assert not (tmp_path / ".repository.lock").exists()
