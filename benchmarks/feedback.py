"""What keeping and pulling feedback costs: bytes of Redis per event, and events per second in and out.

    python benchmarks/feedback.py [--events 200000]

The embedded Redis over a unix socket, without Triton; events of 100,000 users go in 64 at a time, as the clients send
them, and a fifth of them are clicks.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from trident.serving.redis import EmbeddedRedis
from trident.state.connection import connect
from trident.state.feedback import STREAM, Event, FeedbackStore
from trident_export.feedback_pull import pull

AT_ONCE = 64
USERS, ITEMS = 100_000, 50_000


def event(number: int, now: int) -> Event:
    """One of many events; numbers far apart are of the same user."""
    kind = "click" if number % 5 == 0 else "view"
    return Event(f"u{number * 7_919 % USERS}", f"i{number % ITEMS}", kind, now, "mobile", "DE", 12.5)


def main() -> None:
    """Print one line per figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=200_000)
    count = parser.parse_args().events
    with EmbeddedRedis() as server, tempfile.TemporaryDirectory() as out:
        client, now = connect(server.url, 5.0), int(time.time())
        store = FeedbackStore(client, 10 * count)
        batches = [[event(n, now) for n in range(start, start + AT_ONCE)] for start in range(0, count, AT_ONCE)]
        started = time.perf_counter()
        for batch in batches:
            store.keep(batch)
        kept = time.perf_counter() - started
        entries = client.xlen(STREAM)
        print(f"stream   {client.memory_usage(STREAM, samples=0) / entries:.0f} bytes per event")
        print(f"keep     {entries / kept:,.0f} events/s, {AT_ONCE} at a time")
        started = time.perf_counter()
        pulled = pull(server.url, Path(out))
        print(f"pull     {pulled.rows / (time.perf_counter() - started):,.0f} events/s in {pulled.parts} files")


if __name__ == "__main__":
    main()
