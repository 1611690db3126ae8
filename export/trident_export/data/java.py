"""The Java that Spark runs on: `python -m trident_export.data.java` tells what is wrong with it, exit code 1."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

NEEDED = 17


def java_problem() -> str:
    """Why Spark cannot run on this machine's Java, "" when it can; JAVA_HOME goes before PATH, as for Spark itself."""
    needed = f"Spark needs Java {NEEDED} or newer (Debian, Ubuntu: apt install openjdk-{NEEDED}-jre-headless)"
    home = os.environ.get("JAVA_HOME")
    java = shutil.which("java", path=str(Path(home, "bin")) if home else None)
    if java is None:
        return f"{needed}: no java in JAVA_HOME={home}" if home else f"{needed}: no java on PATH, and no JAVA_HOME"
    told = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
    found = re.search(r'version "(?:1\.)?(\d+)', told)
    if found is None:
        return f"{needed}: {java} does not tell its version: {told[:200]!r}"
    return "" if int(found[1]) >= NEEDED else f"{needed}: {java} is Java {found[1]}"


def main() -> int:
    """Print the problem, if there is one, to stderr."""
    problem = java_problem()
    if problem:
        print(problem, file=sys.stderr)
    return int(bool(problem))


if __name__ == "__main__":
    sys.exit(main())
