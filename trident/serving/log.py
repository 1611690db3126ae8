"""Find the lines of a server's log that say why it stopped."""

from __future__ import annotations

import re
from pathlib import Path

PREFIX = re.compile(r"^[IWEF]\d{4} [\d:.]+ \d+ \S+?:\d+\] ")
ERROR = re.compile(r"^[EF]\d{4} |^error:|\b\w*(Error|Exception): |UNAVAILABLE: |cannot open shared object")
HARMLESS = re.compile(r"cuda|nvml|dcgm|pinned memory|gpu metrics", re.IGNORECASE)
MOST_LINES, MOST_BYTES = 6, 256 * 1024


def decisive_lines(path: Path) -> str:
    """The distinct error lines of the log's last part, or else its last lines; lines are joined by " | "."""
    errors = [line for line in _tail(path) if ERROR.search(line) and not HARMLESS.search(line)]
    distinct = list(dict.fromkeys(_readable(line) for line in errors))
    return " | ".join(distinct[:MOST_LINES]) or last_lines(path)


def last_lines(path: Path) -> str:
    """The log's last lines, joined by " | "."""
    return " | ".join(_readable(line) for line in _tail(path)[-MOST_LINES:]) or "it printed nothing"


def _tail(path: Path) -> list[str]:
    """The last lines of the file, without its possibly cut first one."""
    try:
        with path.open("rb") as file:
            start = max(0, path.stat().st_size - MOST_BYTES)
            file.seek(start)
            lines = file.read().decode("utf-8", "replace").splitlines()
    except OSError:
        return []
    return [line for line in (lines[1:] if start else lines) if line.strip()]


def _readable(line: str) -> str:
    """One line without time stamp, quotes and table borders."""
    text = PREFIX.sub("", line).strip(' "|')
    return re.sub(r"\s*\\?\|\s*|\\n|\s{2,}", " ", text).strip()
