"""Item changes in Redis: a hash with the state of every changed item, and a stream that tells of each change.

    {item_updates}:state   hash: item id → state, what a process that starts reads
    item_updates           stream: item, state; what a running process follows; trimmed to about 100,000 entries
    {item_updates}:memory  string, set once: another one, or none, tells that Redis has lost what it knew

All are written in one transaction (the braces keep them in one slot of a cluster), so a trimmed stream loses nothing.
An entry holds the whole state of its item after the change, "" when nothing is set for it any more; applying one twice
does no harm.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import redis
from redis.exceptions import RedisClusterException

from trident.errors import Unavailable
from trident.live.state import LiveState, readable

STREAM = "item_updates"
STATES = "{item_updates}:state"
MEMORY = "{item_updates}:memory"
START = b"0-0"
KEPT = 100_000
"""Entries that the stream keeps, about."""
AT_ONCE = 1_000
TRIES = 100
FAILURES = (redis.RedisError, RedisClusterException, OSError)

States = dict[bytes, LiveState | None]
"""Item id → its state, None when nothing is set for it any more."""


@dataclass(frozen=True)
class ItemUpdates:
    """The keys of the Redis behind `client`.

    `change`, `clear` and `of` raise Unavailable when Redis does not take or tell it, the others what the client raises.
    """

    client: Any

    def change(self, changes: Mapping[str, LiveState]) -> None:
        """Add `changes` (item id → what to set) to what is set."""
        self._write(changes, lambda before, item: before.then(changes[item]).text())

    def clear(self, items: Sequence[str]) -> None:
        """Forget what is set for `items`."""
        self._write(items, lambda before, item: "")

    def of(self, items: Sequence[str]) -> list[LiveState | None]:
        """The states of `items` in their order, None where nothing is set."""
        try:
            texts = self.client.hmget(STATES, list(items)) if items else []
        except FAILURES as error:
            raise _unavailable(error) from None
        return [None if text is None else readable(text) for text in texts]

    def all(self) -> States:
        """The states of all changed items."""
        return {item: readable(text) for item, text in self.client.hscan_iter(STATES, count=AT_ONCE)}

    def memory(self) -> bytes | None:
        """What stays the same for as long as Redis remembers, None before the first change."""
        return self.client.get(MEMORY)

    def last(self) -> bytes:
        """The id of the last entry that the stream ever had; START when it has none."""
        try:
            return self.client.xinfo_stream(STREAM)["last-generated-id"]
        except redis.ResponseError as error:
            if "no such key" in str(error):
                return START
            raise

    def after(self, position: bytes, wait: float) -> tuple[bytes, States, bool]:
        """What came after `position`: the position now, the states in it, and whether more may be waiting.

        Waits up to `wait` seconds for a first entry.
        """
        found = self.client.xread({STREAM: position}, count=AT_ONCE, block=int(wait * 1000))
        entries = found[0][1] if found else []
        states: States = {}
        for _, entry in entries:
            text = entry.get(b"state", b"?")
            states[entry.get(b"item", b"")] = readable(text) if text else None
        return (entries[-1][0] if entries else position), states, len(entries) == AT_ONCE

    def trimmed(self, position: bytes) -> bool:
        """Whether entries after `position` may have left the stream."""
        first = self.client.xrange(STREAM, count=1)
        return not first or newer(first[0][0], position)

    def _write(self, items: Sequence[str] | Mapping[str, LiveState], after: Any) -> None:
        left = iter(items)
        try:
            while some := list(islice(left, AT_ONCE)):
                self._write_some(some, after)
        except FAILURES as error:
            raise _unavailable(error) from None

    def _write_some(self, items: list[str], after: Any) -> None:
        """Read, change and write states in one transaction, again when another writer came between."""
        for _ in range(TRIES):
            with self.client.pipeline(transaction=True) as pipe:
                pipe.watch(STATES)
                texts = pipe.hmget(STATES, items)
                pipe.multi()
                pipe.set(MEMORY, secrets.token_hex(8), nx=True)
                for item, text in zip(items, texts, strict=True):
                    _queue(pipe, item, after(readable(text) if text else LiveState(), item))
                try:
                    pipe.execute()
                    return
                except redis.WatchError:
                    continue
        raise redis.WatchError(f"{TRIES} times another writer came between")


def _queue(pipe: Any, item: str, text: str) -> None:
    if text:
        pipe.hset(STATES, item, text)
    else:
        pipe.hdel(STATES, item)
    pipe.xadd(STREAM, {"item": item, "state": text}, maxlen=KEPT, approximate=True)


def _unavailable(error: Exception) -> Unavailable:
    return Unavailable(f"item changes: Redis does not take or tell them: {type(error).__name__}: {error}")


def newer(one: bytes, other: bytes) -> bool:
    """Whether stream id `one`, "milliseconds-number", comes after `other`."""
    return _parts(one) > _parts(other)


def _parts(position: bytes) -> tuple[int, ...]:
    return tuple(int(part) for part in position.split(b"-"))
