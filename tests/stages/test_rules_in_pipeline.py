"""Rules of a release from the search to the answer, in one process with a real Redis."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import redis

from trident.errors import ReleaseError
from trident.pipeline import Pipeline
from trident.serving.redis import EmbeddedRedis
from trident.settings import Settings
from trident.state.feedback import Event, FeedbackStore
from trident.state.load import push_users
from trident.users import UserRows


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedRedis]:
    with EmbeddedRedis() as server:
        yield server


@pytest.fixture
def opened(server, tiny_release: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Pipeline]:
    """Opens the release with other rules; Redis has its user rows and nothing else."""
    monkeypatch.setenv("REDIS_URL", server.url)
    redis.Redis.from_url(server.url).flushall()

    def open_with(rules: str) -> Pipeline:
        folder = tmp_path / f"release-{len(list(tmp_path.iterdir()))}"
        folder.mkdir()
        for path in tiny_release.iterdir():
            (folder / path.name).symlink_to(path)
        (folder / "rules.toml").unlink()
        (folder / "rules.toml").write_text(rules)
        pipeline = Pipeline.open(folder)
        push_users(UserRows.open(folder / "users"), pipeline.release, server.url)
        return pipeline

    return open_with


def ask(pipeline: Pipeline, user: bytes = b"u1") -> dict[str, np.ndarray]:
    return pipeline.trace(user_id=np.array([[user]], object), record=np.array([[False]]))


def test_what_was_consumed_is_left_out_from_the_next_answer_on(opened, server):
    pipeline = opened("[dedup]\nhide_history = false\n")
    before = ask(pipeline)
    bought, liked = (item.decode() for item in before["item_id"][0, :2])
    store = FeedbackStore.connect(Settings(redis_url=server.url), ("purchase",))
    now = int(before["request_time"][0, 0])
    store.keep([Event("u1", bought, "purchase", now), Event("u1", liked, "click", now)])
    store.close()
    after = ask(pipeline)
    rows = pipeline.release.items.rows([bought, liked])
    assert np.isin(rows, after["candidate_rows"][0]).tolist() == [False, True]
    assert after["funnel"][0, 4] == before["funnel"][0, 4] - 1
    again = ask(opened("[dedup]\nhide_history = false\n[consumed]\nevent_types = []\n"))
    assert np.isin(rows, again["candidate_rows"][0]).all()


def test_what_a_release_says_was_bought_is_left_out(opened):
    pipeline = opened("[dedup]\nhide_history = false\n")
    users = UserRows.open(pipeline.release.folder / "users")
    buyer = int(np.argmax(np.diff(users.consumed.ends, prepend=0)))
    bought, times = users.consumed.of(buyer)
    assert len(bought)
    assert (times < pipeline.release.manifest.as_of).all()
    answer = ask(pipeline, users.ids[buyer])
    assert np.isin(bought, answer["seen_rows"][0]).all()
    assert not np.isin(bought, answer["candidate_rows"][0]).any()


def test_pinned_items_lead_and_forbidden_ones_are_nowhere(opened):
    plain = ask(opened(""))
    pipeline = opened("")
    items, rows = pipeline.release.items, plain["candidate_rows"][0]
    pinned, never = items.ids[int(rows[499])].decode(), plain["item_id"][0, 0].decode()
    category = items.category_name(int(items.rows([plain["item_id"][0, 1]])[0]))
    ruled = opened(
        f'[safety]\nnever_items = ["{never}"]\nnever_categories = ["{category}"]\n'
        f'[[pinned]]\nitem = "{pinned}"\nposition = 2\n[[pinned]]\nitem = "{never}"\nposition = 1\n'
    )
    answer = ask(ruled)
    shown = items.rows(answer["item_id"][0])
    if items.category_name(int(rows[499])) != category:
        assert answer["item_id"][0, 1].decode() == pinned
    assert len(set(shown.tolist())) == 20
    assert never.encode() not in answer["item_id"]
    assert category not in {items.category_name(row) for row in shown.tolist()}
    assert answer["funnel"][0, 3] < plain["funnel"][0, 3]


def test_a_release_whose_safety_list_names_no_category_does_not_open(opened):
    with pytest.raises(ReleaseError, match="never_categories: expected categories of the release"):
        opened('[safety]\nnever_categories = ["no such"]\n')
