"""Starts the Python processes of a tritonserver again when they crash or are killed, without a restart of the server.

Loading a model again starts new processes for those versions whose folder has changed, so that the folder is touched
first; other versions and models go on as they are. Nothing is written into the folder, and a publish that runs at the
same time finds every file as it left it.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from trident.errors import Unavailable
from trident.serving import stubs
from trident.serving.model_control import READY, ModelControl
from trident.serving.stubs import Stub, Version

PATIENCE = 120.0  # seconds that the server may take to load a model
PAUSES = (0.0, 1.0, 2.0, 5.0, 10.0, 30.0)
"""Seconds before a version is started again, by how often it was lately; the last one repeats."""
LATELY = 60.0  # seconds

Say = Callable[[str], object]


@dataclass
class Healer:
    """Looks after the server with process id `server`, which serves `repository` over HTTP at `address`.

    Its model control asks for `key`.
    What happens is told to `say`, one line at a time.
    """

    server: int
    repository: Path
    address: str
    say: Say
    key: str = field(default="", repr=False)
    _known: dict[int, Stub] = field(default_factory=dict)
    _suspects: set[int] = field(default_factory=set)
    _fresh: bool = False
    _tries: dict[Version, list[float]] = field(default_factory=dict)  # when, lately
    _busy: dict[Version, threading.Thread] = field(default_factory=dict)
    _retired: set[Version] = field(default_factory=set)
    _stopped: threading.Event = field(default_factory=threading.Event)

    @property
    def suspicious(self) -> bool:
        """Whether the last look saw a process dead for the first time, so that another one is due soon."""
        return self._fresh

    @property
    def watched(self) -> set[int]:
        """Process ids of the living ones of the last look."""
        return self._known.keys() - self._suspects

    def look(self) -> None:
        """Note the processes that live, and begin to heal what has died; call it when one ends, and once a second."""
        self._busy = {version: thread for version, thread in self._busy.items() if thread.is_alive()}
        living, dead = stubs.living_and_dead(self.server)
        self._known |= living
        lost = dead & self._known.keys()
        for pid in lost & self._suspects:  # seen dead twice: one that ends in good order is soon gone
            stub = self._known[pid]
            if stub in living.values():
                del self._known[pid]  # it has a successor
            elif stub.of not in self._busy and stub.of not in self._retired and self._folder(stub).is_dir():
                thread = threading.Thread(target=self._heal, args=(stub,), name=f"heal {stub.instance}", daemon=True)
                self._busy[stub.of] = thread
                thread.start()
        self._fresh, self._suspects = not lost <= self._suspects, lost
        self._retired -= {stub.of for stub in living.values()}
        self._known = {pid: stub for pid, stub in self._known.items() if stubs.is_child(pid, self.server)}

    def stop(self) -> None:
        """Heal nothing any more; what is under way may still end."""
        self._stopped.set()

    def _heal(self, stub: Stub) -> None:
        """Load a version until the process has a successor or its release is gone."""
        name, began = f"{stub.model} {stub.version}", time.monotonic()
        self.say(f"{name}: a process has died; starting it again")
        while not self._stopped.wait(self._pause(stub.of)) and self._folder(stub).is_dir():
            problem = self._load(stub)
            if problem is None:
                self.say(f"{name}: answers again after {time.monotonic() - began:.1f} s")
                break
            if stub.of in self._retired:
                self.say(f"{name}: is not served any more")
                break
            self.say(f"{name}: does not start again: {problem}")

    def _pause(self, version: Version) -> float:
        """Note a try; how long to wait before it."""
        now = time.monotonic()
        lately = [then for then in self._tries.get(version, []) if now - then < LATELY]
        self._tries[version] = [*lately, now]
        return PAUSES[min(len(lately), len(PAUSES) - 1)]

    def _folder(self, stub: Stub) -> Path:
        return self.repository / stub.model / str(stub.version)

    def _load(self, stub: Stub) -> str | None:
        """Load the version of `stub` again; what went wrong, or None."""
        try:
            os.utime(self._folder(stub))
        except OSError as error:
            return f"its folder cannot be touched: {error.strerror}"
        control = ModelControl(self.address, PATIENCE, self.key)
        try:
            control.load(stub.model)
            if stub in stubs.living(self.server).values():
                return None
            if control.states().get(stub.of) != READY:
                self._retired.add(stub.of)
        except Unavailable as problem:
            return str(problem)
        return "the server started no process"
