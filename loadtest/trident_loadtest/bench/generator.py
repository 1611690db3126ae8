"""The process that sends: `python -m trident_loadtest.bench.generator FOLDER`.

It reads `plan.json` and `plan.npz` of the folder, makes all messages, says "ready", reads from stdin the second of
CLOCK_MONOTONIC at which to start, and writes `samples.npz` and `samples.json`. One thread sleeps until a request is due
and sends it, whether the earlier ones are answered or not; gRPC's own thread notes the answers. Nothing else runs here:
what this process costs is taken from the server on the same machine, and is reported.

Where the system lets it (root, CAP_SYS_NICE, or `ulimit -r`) it runs with real-time priority: on a machine whose cores
the server keeps busy it would else be late by tens of milliseconds, as no client on a machine of its own is.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import threading
import time
from collections import Counter
from functools import partial
from pathlib import Path

import grpc
import numpy as np

from trident_client.grpc_transport import CHANNEL
from trident_loadtest.bench.messages import METHOD, message, named, read
from trident_loadtest.request_profile import read_profile

CONNECT = 5.0  # seconds
TEXTS = 50  # different texts of errors that are kept
ANSWERED, UNREADABLE = 0, -1


class Generator:
    """Sends one message per offset and notes what becomes of it, in arrays of that length."""

    def __init__(self, channel: grpc.Channel, bodies: list[bytes], offsets: np.ndarray, give_up: float) -> None:
        self._call = channel.unary_unary(METHOD)
        self._bodies, self._offsets, self._give_up = bodies, offsets, give_up
        self.sent, self.done = np.full(len(offsets), np.nan), np.full(len(offsets), np.nan)
        self.code, self.items = np.zeros(len(offsets), np.int16), np.zeros(len(offsets), np.int16)
        self.flags, self.release = np.zeros(len(offsets), np.int32), np.zeros(len(offsets), np.int64)
        self.errors: Counter[str] = Counter()
        self._left = threading.Semaphore(0)

    def run(self, start: float) -> None:
        """Send everything from `start` on, and wait until each has an answer or has been given up."""
        name = f"{os.getpid():x}-{int(1e3 * start):x}-"
        bodies, sent, call, give_up = self._bodies, self.sent, self._call, self._give_up
        for i, due in enumerate((self._offsets + start).tolist()):
            if (wait := due - time.monotonic()) > 0:
                time.sleep(wait)
            sent[i] = time.monotonic()
            call.future(named(bodies[i], f"{name}{i:x}"), timeout=give_up).add_done_callback(partial(self._note, i))
        for _ in bodies:
            self._left.acquire()

    def _note(self, i: int, future: grpc.Future) -> None:
        self.done[i] = time.monotonic()
        try:
            said = read(future.result())
            self.items[i], self.release[i], self.flags[i] = said.items, said.release, said.flags
        except grpc.RpcError as error:
            self._error(i, error.code().value[0], f"{error.code().name}: {error.details()}")
        except ValueError as error:
            self._error(i, UNREADABLE, str(error))
        finally:
            self._left.release()

    def _error(self, i: int, code: int, text: str) -> None:
        self.code[i] = code
        if len(self.errors) < TEXTS or text in self.errors:
            self.errors[text] += 1
        else:
            self.errors["other"] += 1

    def columns(self) -> dict[str, np.ndarray]:
        """What is known of each request."""
        return {name: getattr(self, name) for name in ("sent", "done", "code", "items", "flags", "release")}


def prefer() -> str:
    """Ask for real-time priority for this thread and those that it starts; say what it has."""
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    except OSError:
        return "normal"
    return "real-time"


def main(folder: Path) -> None:
    """Do what the plan in `folder` says."""
    plan, arrays = json.loads((folder / "plan.json").read_text()), np.load(folder / "plan.npz")
    requests, now = read_profile(Path(plan["profile"])), time.time()
    made: dict[int, bytes] = {}
    for i in arrays["requests"].tolist():
        made.setdefault(i, message(requests[i], now))
    bodies = [made[i] for i in arrays["requests"].tolist()]
    priority = prefer()
    with grpc.insecure_channel(plan["url"], options=CHANNEL) as channel:
        grpc.channel_ready_future(channel).result(CONNECT)
        generator = Generator(channel, bodies, arrays["offsets"], plan["give_up"])
        gc.collect()
        gc.freeze()  # a collection is no part of a latency
        print("ready", flush=True)
        start = float(sys.stdin.readline())
        cpu, began = time.process_time(), time.monotonic()
        generator.run(start)
        spent: dict = {"cpu_s": time.process_time() - cpu, "wall_s": time.monotonic() - max(began, start)}
    np.savez(folder / "samples.npz", **generator.columns())
    (folder / "samples.json").write_text(json.dumps({**spent, "priority": priority, "errors": generator.errors}))


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]))
    except grpc.FutureTimeoutError:
        sys.exit(f"no server took a connection within {CONNECT:g} s")
    except (KeyboardInterrupt, ValueError) as error:
        sys.exit(str(error) or "interrupted")
