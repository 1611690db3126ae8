"""Are spoiled values in the cache of embeddings ever used?

    python -m trident_loadtest.spoiled_cache [REPOSITORY]

10,000 values of the kinds in `spoiled_values` are written over the cached embeddings of known users, one by one, and
each time that user asks. The answer must be the one that an empty cache gives, item by item and score by score, say
`embedding_recomputed` where something was refused, and leave the sound value in Redis again; the server's metrics must
have counted it. A value that is sound but another user's is written first, to see that using it would show. Exit code 1
when anything is otherwise.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import redis

from trident.contract import EMBEDDING_DIM, USER_ENCODER
from trident.errors import TridentError
from trident.locations import DEFAULT_REPOSITORY
from trident.release import Release
from trident.repository import serving_release
from trident.serving.serve import Serving, serving
from trident.state.connection import connect
from trident.state.keys import key
from trident.state.layout import pack_embedding, unpack_embedding
from trident_client import Recommendation, Recommender
from trident_loadtest.latency import known_users, machine
from trident_loadtest.scrape import scraped
from trident_loadtest.spoiled_values import KINDS, Kind, Sound, Value

VALUES, MOST_USERS, ITEMS = 10_000, 500, 20
REPORTED = 3.0  # seconds until what was counted is on the page of metrics
SEED = 1


@dataclass(frozen=True)
class Trial:
    """What came of one value."""

    kind: Kind
    items: int  # different ones
    same: bool  # as with an empty cache
    degraded: tuple[str, ...]
    healed: bool  # the cache holds the sound value again

    @property
    def holds(self) -> bool:
        """Whether all is as it must be."""
        said = ("embedding_recomputed",) if self.kind.refused else ()
        return self.items == ITEMS and self.same and self.healed and self.degraded == said


@dataclass(frozen=True)
class Outcome:
    """All trials, how many embeddings of others would have shown, and what the server counted as refused."""

    trials: Sequence[Trial]
    controls: Sequence[bool]
    counted: int

    @property
    def refused(self) -> int:
        """Values that the server had to refuse."""
        return sum(trial.kind.refused for trial in self.trials)

    @property
    def holds(self) -> bool:
        """Whether all is as it must be."""
        return all(t.holds for t in self.trials) and all(self.controls) and self.counted == self.refused


class Cache:
    """The cached embeddings of one release's users, and what they answer at one moment."""

    def __init__(self, client: redis.Redis, recommender: Recommender, space: str) -> None:
        self._redis, self._recommender, self._space = client, recommender, space
        self._now = int(time.time())  # of all requests: scores depend on it

    def ask(self, user: str) -> Recommendation:
        """What the user gets; nothing is recorded."""
        return self._recommender.recommend(user, timestamp=self._now, record=False)

    def emptied(self, user: str) -> tuple[Recommendation, Sound]:
        """The answer from an empty cache, and what the cache holds after it."""
        self._redis.delete(self._key(user))
        answer = self.ask(user)
        return answer, self.sound(user)

    def sound(self, user: str) -> Sound:
        """What the cache holds, which must be sound."""
        value = self._redis.get(self._key(user))
        held = unpack_embedding(value, self._space) if isinstance(value, bytes) else None
        if held is None or not isinstance(value, bytes):
            raise TridentError(f"{user}: expected a cached embedding, got {value!r:.60}")
        return Sound(value, self._space, held.taste)

    def put(self, user: str, value: Value) -> None:
        """Write a value, or a list."""
        self._redis.delete(self._key(user))
        if isinstance(value, list):
            self._redis.rpush(self._key(user), *value)
        else:
            self._redis.set(self._key(user), value, ex=3_600)

    def holds(self, user: str, sound: Sound) -> bool:
        """Whether the cache holds exactly this."""
        return self._redis.type(self._key(user)) == b"string" and self._redis.get(self._key(user)) == sound.value

    def _key(self, user: str) -> str:
        return key("user_emb", self._space, user)


def run(repository: Path, values: int = VALUES) -> Outcome:
    """Serve the repository and write `values` spoiled values."""
    folder = repository / USER_ENCODER.name / str(serving_release(repository))
    space = Release.open(folder).manifest.embedding_space
    with (
        serving(repository) as server,
        connect(server.redis_url, 1.0) as client,
        Recommender(server.grpc, deadline=5) as recommender,
    ):
        return spoil(server, Cache(client, recommender, space), known_users(repository)[:MOST_USERS], values)


def spoil(server: Serving, cache: Cache, users: Sequence[str], values: int) -> Outcome:
    """Try `values` values on `users` in turn."""
    rng = np.random.default_rng(SEED)
    good = {user: cache.emptied(user) for user in users}
    controls = [_differs(cache, user, *good[user], rng) for user in good]
    before = _refused(server)
    trials = []
    for number in range(values):
        user = users[number // len(KINDS) % len(users)]  # each has every kind before the next one's turn
        trials.append(_try(cache, user, *good[user], KINDS[number % len(KINDS)], rng))
    return Outcome(trials, controls, _refused(server) - before)


def _differs(cache: Cache, user: str, expected: Recommendation, sound: Sound, rng: np.random.Generator) -> bool:
    cache.put(user, pack_embedding(_unit(rng), sound.space, sound.taste))
    return cache.ask(user).items != expected.items


def _try(
    cache: Cache, user: str, expected: Recommendation, sound: Sound, kind: Kind, rng: np.random.Generator
) -> Trial:
    cache.put(user, kind.spoil(sound, _unit(rng), rng))
    answer = cache.ask(user)
    same = answer.items == expected.items
    return Trial(kind, len(set(answer.item_ids)), same, answer.degraded, cache.holds(user, sound))


def _unit(rng: np.random.Generator) -> np.ndarray:
    vector = rng.normal(size=EMBEDDING_DIM)
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def _refused(server: Serving) -> int:
    time.sleep(REPORTED)
    return int(scraped(server.metrics, "trident_user_embeddings_total", cache="refused"))


def main(repository: Path) -> int:
    """Print the table; return the exit code."""
    began = time.monotonic()
    outcome = run(repository)
    print(f"{machine()}; gRPC, one request after the other, {time.monotonic() - began:.0f} s\n")
    print("| value in the cache | written | 20 items | as with an empty cache | `embedding_recomputed` | sound again |")
    print("|---|---|---|---|---|---|")
    for kind in KINDS:
        print(row(kind, [trial for trial in outcome.trials if trial.kind is kind]))
    print(f"\nrefused by the server's metrics: {outcome.counted} of {outcome.refused}")
    print(f"a sound embedding of somebody else changed the answer: {sum(outcome.controls)} of {len(outcome.controls)}")
    print("all of it holds" if outcome.holds else "NOT all of it holds")
    return 0 if outcome.holds else 1


def row(kind: Kind, trials: Sequence[Trial]) -> str:
    """A row of the table."""
    counts = (
        sum(trial.items == ITEMS for trial in trials),
        sum(trial.same for trial in trials),
        sum("embedding_recomputed" in trial.degraded for trial in trials),
        sum(trial.healed for trial in trials),
    )
    return f"| {kind.name} | {len(trials)} | {' | '.join(map(str, counts))} |"


if __name__ == "__main__":
    try:
        sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT_REPOSITORY))
    except TridentError as error:
        sys.exit(f"trident: {error}")
