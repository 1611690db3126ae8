from datetime import datetime, timezone

import pyarrow as pa
import pyarrow.parquet as pq

from trident_export.data.dataset import Dataset
from trident_export.features.consumed import consumed

EVENTS = [
    ("u1", "a", "purchase", 10),
    ("u1", "b", "purchase", 20),
    ("u1", "a", "purchase", 30),
    ("u1", "c", "click", 31),
    ("u1", "gone", "purchase", 32),
    ("u2", "a", "purchase", 100),
    ("u3", "b", "like", 5),
    ("stranger", "a", "purchase", 5),
]


def test_what_was_consumed_before_a_time_comes_newest_first(tmp_path):
    columns = dict(zip(("user_id", "item_id", "event_type"), zip(*EVENTS, strict=True), strict=False))
    times = [datetime.fromtimestamp(second, timezone.utc) for *_, second in EVENTS]
    table = pa.table({name: pa.array(values, pa.string()) for name, values in columns.items()})
    pq.write_table(
        table.append_column("timestamp", pa.array(times, pa.timestamp("us", "UTC"))), tmp_path / "events.parquet"
    )
    rows = {"a": 0, "b": 1, "c": 2}
    found = consumed(Dataset(tmp_path), ["u1", "u2", "u3"], 100, rows, ("purchase", "like"))
    of = [tuple(part.tolist() for part in found.of(user)) for user in range(3)]
    assert of == [([0, 1], [30, 20]), ([], []), ([1], [5])]
    assert consumed(Dataset(tmp_path), ["u1"], 100, rows, ()).ends.tolist() == [0]
