"""What tritonserver shows to every user of this machine, and should not: its key, and the requests.

Triton takes its control key in no other way than as an argument. It keeps a copy of its own, so that the argument can
be overwritten once it has read it; until then, some hundredths of a second, it is there to be seen in /proc. The shared
memory of its Python processes is made readable for all, whatever the umask says.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

ARGUMENTS = slice(45, 47)
"""Where the arguments lie in memory: `arg_start` and `arg_end` of /proc/PID/stat, counted after the name."""


def hide(pid: int, secret: str) -> bool:
    """Overwrite `secret` with stars in the arguments of a process of ours.

    False where this system does not let us (a ptrace scope of 2 or more), or when the process has ended.
    """
    found = secret.encode()
    try:
        start, end = map(int, Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[ARGUMENTS])
        with Path(f"/proc/{pid}/mem").open("r+b", buffering=0) as memory:
            memory.seek(start)
            arguments = memory.read(end - start)
            memory.seek(start)
            memory.write(arguments.replace(found, b"*" * len(found)))
        return found not in Path(f"/proc/{pid}/cmdline").read_bytes()
    except (OSError, ValueError):
        return False


def close_regions(prefix: str) -> None:
    """Let nobody else read the regions of shared memory whose names begin with `prefix`."""
    for region in Path("/dev/shm").glob(f"{prefix}*"):
        with contextlib.suppress(OSError):  # it is gone meanwhile
            region.chmod(0o600)
