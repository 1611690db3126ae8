"""The taste that feedback keeps in a real Redis, and the same taste computed offline."""

from __future__ import annotations

from datetime import datetime, timezone

import numpy as np
import pyarrow as pa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trident.state.history import add_taste, history_key, read_taste
from trident.users import HISTORY
from trident_export.data.dataset import Dataset
from trident_export.features import dated_histories


def liked(client, *events: tuple[str, int]) -> list[str]:
    """The history of one user after these events, one after the other."""
    pipe = client.pipeline(transaction=False)
    for item, second in events:
        add_taste(pipe, "u", {item.encode(): second})
    pipe.execute()
    read_taste(pipe, "u")
    return [item.decode() for item in pipe.execute()[0]]


def test_newest_first_and_within_a_second_the_greater_id(client):
    assert liked(client, ("a", 5), ("c", 5), ("b", 5), ("z", 4), ("ä", 5)) == ["ä", "c", "b", "a", "z"]


def test_repeated_and_late_events_change_nothing(client):
    before = liked(client, ("a", 5), ("b", 7))
    assert liked(client, ("a", 5), ("b", 7), ("b", 1)) == before == ["b", "a"]


def test_an_item_liked_again_moves_up(client):
    assert liked(client, ("a", 5), ("b", 7), ("a", 9)) == ["a", "b"]


def test_only_the_last_are_kept(client):
    found = liked(client, *((f"i{second:03}", second) for second in range(HISTORY + 9)))
    assert found == [f"i{second:03}" for second in range(HISTORY + 8, 8, -1)]
    assert client.zcard(history_key("u")) == HISTORY
    assert liked(client, ("late", 3)) == found


IDS = st.sampled_from(["a", "b", "ab", "i10", "i9", "é", "Z", "\ue000", "\U0001f600"])


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(IDS, st.integers(0, 4)), min_size=1, max_size=30))
def test_redis_and_the_offline_features_agree_on_items_order_and_times(client, tmp_path, events):
    client.flushall()
    online = liked(client, *events)
    moments = [datetime.fromtimestamp(second, timezone.utc) for _, second in events]
    table = pa.table({
        "user_id": ["u"] * len(events),
        "item_id": [item for item, _ in events],
        "timestamp": pa.array(moments, pa.timestamp("us", tz="UTC")),
        "event_type": ["click"] * len(events),
    })  # fmt: skip
    dataset = Dataset.write(tmp_path / "data", table)
    ids = sorted({item for item, _ in events}, key=len)  # rows in another order than ids
    rows, seconds = dated_histories(dataset, ["u"], np.array([5]), {item: row for row, item in enumerate(ids)})
    count = len(online)
    assert [ids[row] for row in rows[0, :count]] == online
    assert (rows[0, count:] == -1).all()
    assert seconds[0, :count].tolist() == [client.zscore(history_key("u"), item) for item in online]
