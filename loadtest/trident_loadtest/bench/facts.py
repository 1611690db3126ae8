"""What a report says of where and how it was made."""

from __future__ import annotations

import hashlib
import os
import platform
import shlex
import sys
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from trident import __version__
from trident.release import MANIFEST, Manifest
from trident_loadtest.bench.target import Target
from trident_loadtest.latency import machine
from trident_loadtest.mix import served_folder
from trident_loadtest.request_profile import ProfileRequest


def made() -> dict[str, Any]:
    """Command, time, machine and versions."""
    words = ["trident", *sys.argv[1:]] if Path(sys.argv[0]).name in ("trident", "cli.py") else sys.argv
    return {
        "command": shlex.join(words),
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "machine": machine(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": platform.platform(),
        "python": platform.python_version(),
        "trident": __version__,
        "load_per_core_before": round(os.getloadavg()[0] / (os.cpu_count() or 1), 2),
    }


def release(target: Target) -> dict[str, Any]:
    """The release that is served, as its manifest says; nothing where the server is on another machine."""
    if target.repository is None:
        return {}
    folder = served_folder(target.repository)
    manifest = Manifest.read(folder / MANIFEST)
    return {
        "number": int(folder.name),
        "source": manifest.data.get("source", ""),
        "items": manifest.items,
        "users": manifest.users,
        "search": dict(manifest.search),
    }


def profile(path: Path, requests: Sequence[ProfileRequest]) -> dict[str, Any]:
    """What the requests are like."""
    count, users = len(requests), Counter(request.user_id for request in requests)
    devices = Counter(request.device or "none" for request in requests)
    limits = Counter(request.limit for request in requests)
    return {
        "file": path.name,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "requests": count,
        "users": len(users),
        "by_the_most_active_user": users.most_common(1)[0][1] / count,
        "by_the_first_tenth_of_users": sum(n for _, n in users.most_common(max(1, len(users) // 10))) / count,
        "devices": {device: n / count for device, n in devices.most_common()},
        "limits": {str(limit): n / count for limit, n in limits.most_common()},
        "with_a_region": sum(bool(request.region) for request in requests) / count,
        "about_another_hour": sum(request.ago > 0 for request in requests) / count,
        "recorded": sum(request.record for request in requests) / count,
    }
