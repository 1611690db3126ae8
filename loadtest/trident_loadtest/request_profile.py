"""The requests that all load tools send: a file of JSON lines, one request per line.

    {"user_id": "u42"}
    {"user_id": "u7", "device": "tv", "region": "DE", "limit": 50, "record": false, "ago": 7200, "at": 1.25}

Only `user_id` must be there; what is left out is what the endpoint itself takes for it. `ago` is how many seconds
before the moment of sending the request is about, so that a profile does not age; `at` is when it arrived, in seconds
after the first. JSON lines because `head`, `grep` and `jq` read them, and reading one needs nothing but Python.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, fields
from itertools import pairwise
from pathlib import Path
from typing import Any

from trident.contract import DEFAULT_LIMIT
from trident.errors import InvalidInput


@dataclass(frozen=True)
class ProfileRequest:
    """One request for one user; see above."""

    user_id: str
    device: str = ""
    region: str = ""
    limit: int = DEFAULT_LIMIT
    record: bool = True
    ago: int = 0
    at: float | None = None

    def options(self, now: float) -> dict[str, Any]:
        """What the client library takes beside the user id, for a request that is sent at unix second `now`."""
        chosen: dict[str, Any] = {name: getattr(self, name) or None for name in ("device", "region")}
        chosen["limit"] = None if self.limit == DEFAULT_LIMIT else self.limit
        chosen["record"] = None if self.record else False
        chosen["timestamp"] = int(now) - self.ago if self.ago else None
        return {name: value for name, value in chosen.items() if value is not None}

    def as_dict(self) -> dict[str, Any]:
        """The line of the file: what differs from the defaults."""
        return {name: value for name, value in asdict(self).items() if value != _DEFAULTS[name]}


_TYPES: Mapping[str, tuple[type, ...]] = {
    "user_id": (str,), "device": (str,), "region": (str,), "limit": (int,), "record": (bool,), "ago": (int,),
    "at": (float, int),
}  # fmt: skip
_DEFAULTS = {field.name: field.default for field in fields(ProfileRequest)}


def write_profile(path: Path, requests: Iterable[ProfileRequest]) -> None:
    """Write the file; its folder is made when it is missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as file:
        for request in requests:
            file.write(json.dumps(request.as_dict(), ensure_ascii=False) + "\n")


def read_profile(path: Path) -> list[ProfileRequest]:
    """Read the file; raise InvalidInput with the line when one is not a request, or when there is none."""
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"the profile {path} cannot be read ({error}): `trident bench profile` makes one") from None
    found = [_request(line, f"{path.name}, line {number}") for number, line in enumerate(lines, 1) if line.strip()]
    if not found:
        raise InvalidInput(f"{path.name}: expected a request per line, got an empty file")
    return found


def _request(line: str, where: str) -> ProfileRequest:
    try:
        given = json.loads(line)
    except ValueError as error:
        raise InvalidInput(f"{where}: expected a JSON object, got {line:.60} ({error})") from None
    if not isinstance(given, dict):
        raise InvalidInput(f"{where}: expected a JSON object, got {line:.60}")
    for name, value in given.items():
        if name not in _TYPES:
            raise InvalidInput(f"{where}: expected some of {', '.join(_TYPES)}, got '{name}'")
        if not isinstance(value, _TYPES[name]) or (isinstance(value, bool) and bool not in _TYPES[name]):
            raise InvalidInput(f"{where}: {name}: expected {_TYPES[name][0].__name__}, got {value!r:.40}")
    missing = [name for name, default in _DEFAULTS.items() if default is MISSING and name not in given]
    if missing:
        raise InvalidInput(f"{where}: expected '{missing[0]}', got {line:.60}")
    return ProfileRequest(**given)


def arrivals_of(requests: Sequence[ProfileRequest]) -> list[float]:
    """When each request arrives, in seconds after the first; raise InvalidInput unless all say so, in order."""
    times = [request.at for request in requests]
    known = [time for time in times if time is not None]
    if len(known) < len(times):
        raise InvalidInput(f"arrivals of the profile: expected 'at' in every line, got {len(known)} of {len(times)}")
    if any(later < earlier for earlier, later in pairwise(known)):
        raise InvalidInput("arrivals of the profile: expected 'at' in ascending order")
    return [time - known[0] for time in known]
