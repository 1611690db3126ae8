"""The first step as a model of Triton's Python backend: it takes requests in while it works.

Triton runs one `execute` of a process at a time, and the first step waits for Redis. So where much is under way,
`execute` only takes requests in, or refuses them, and a thread answers those that wait, all together: what is too much
is refused at once however long an answer takes, and what waits here counts as under way. Where little is, `execute`
answers by itself, for the way to the thread and back costs half a millisecond.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Sequence
from typing import Any

import triton_python_backend_utils as pb

from trident.contract import MAX_USERS
from trident.requests import Tensors
from trident.triton import StageModel

Waiting = tuple[Any, Tensors]
"""Where an answer goes, and what the stage takes."""
END: Waiting = (None, {})


class IntakeModel(StageModel):
    """Base of the `TritonPythonModel` of the first step: a subclass names its contract and its stage."""

    def initialize(self, args: dict[str, str]) -> None:
        """Open the stage, and begin to work."""
        super().initialize(args)
        self._waiting: queue.SimpleQueue[Waiting] = queue.SimpleQueue()
        self._at_work = threading.Lock()
        self._next: Waiting | None = None  # did not fit to those before it
        self._worker = threading.Thread(target=self._work, name="worker", daemon=True)
        self._worker.start()

    def finalize(self) -> None:
        """Answer what was taken in, and end."""
        self._waiting.put(END)
        self._worker.join()
        super().finalize()

    def execute(self, requests: Sequence[Any]) -> list[Any] | None:
        """Answer requests where little is under way and the thread is idle, else take them in."""
        quiet = self._admission is None or self._admission.quiet
        if quiet and self._waiting.empty() and self._at_work.acquire(blocking=False):
            try:
                return super().execute(requests)
            finally:
                self._at_work.release()
        self._take_in(requests)
        return [None] * len(requests)

    def _take_in(self, requests: Sequence[Any]) -> None:
        """Their tensors are copied, for Triton frees them when `execute` returns."""
        for request in requests:
            sender = request.get_response_sender()
            try:
                self._waiting.put((sender, {name: array.copy() for name, array in self._taken_in(request).items()}))
            except Exception as error:
                send(sender, self._failed(error))

    def _work(self) -> None:
        while (waiting := self._together())[0] is not END:
            try:
                with self._at_work:
                    answers = self._answers([tensors for _, tensors in waiting])
            except Exception as error:  # nobody shall wait for an answer that never comes
                answers = [self._failed(error) for _ in waiting]
            for (sender, _), answer in zip(waiting, answers, strict=True):
                send(sender, answer)

    def _together(self) -> list[Waiting]:
        """All requests that wait, but for those that would make more than MAX_USERS users; at least one."""
        waiting = [self._next or self._waiting.get()]
        self._next = None
        while self._waiting.qsize() and self._next is None:
            other = self._waiting.get()
            if other is END or sum(len(tensors["user_id"]) for _, tensors in (*waiting, other)) > MAX_USERS:
                self._next = other
            else:
                waiting.append(other)
        return waiting


def send(sender: Any, response: Any) -> None:
    """Send the one answer to a request; one that cannot be sent keeps nobody else from his."""
    try:
        sender.send(response, flags=pb.TRITONSERVER_RESPONSE_COMPLETE_FINAL)
    except Exception as error:
        pb.Logger.log_error(f"an answer was not sent: {error}")
