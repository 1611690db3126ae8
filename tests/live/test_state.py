import pytest

from trident.errors import InvalidInput
from trident.live.lines import change, read_lines
from trident.live.state import HIDDEN, LiveState, readable


def test_a_state_is_what_its_text_says():
    state = LiveState(in_stock=False, blocked={"FR": True, "DE": False}, at=1_700_000_000)
    assert state.text() == '{"at": 1700000000, "in_stock": false, "blocked": {"FR": true, "DE": false}}'
    assert LiveState.read(state.text().encode()) == state


def test_a_later_change_keeps_what_it_does_not_name():
    first = LiveState(in_stock=False, blocked={"FR": True, "DE": True}, at=1)
    assert first.then(LiveState(flagged=True, blocked={"DE": False}, at=2)) == LiveState(
        False, True, {"FR": True, "DE": False}, 2
    )


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"null",
        b"[]",
        b"\xff",
        b"[" * 16_000,
        b'{"in_stock": 3}',
        b'{"in_stock": "no"}',
        b'{"at": "now"}',
        b'{"blocked": ["FR"]}',
        b'{"blocked": {"fr": true}}',
        b'{"blocked": {"FR": 1}}',
        b'{"price": 3}',
        b" " * 20_000,
    ],
)
def test_a_text_that_nobody_here_wrote_hides_its_item(text):
    with pytest.raises(InvalidInput):
        LiveState.read(text)
    assert readable(text) == HIDDEN
    assert HIDDEN.flagged


def test_lines_of_one_item_add_up():
    lines = ['{"item_id": "a", "in_stock": false}\n', "\n", '{"item_id": "a", "block": ["FR"], "unblock": ["US"]}']
    assert read_lines(lines, 7) == {"a": LiveState(in_stock=False, blocked={"FR": True, "US": False}, at=7)}


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("{", "expected a JSON object"),
        ('{"in_stock": true}', "expected a JSON object with item_id"),
        ('{"item_id": 3, "in_stock": true}', "expected a JSON object with item_id"),
        ('{"item_id": "a", "stock": true}', "expected a JSON object with item_id"),
        ('{"item_id": "a"}', "nothing to set"),
        ('{"item_id": "a", "in_stock": 1.5}', "in_stock: expected true or false"),
        ('{"item_id": "a", "block": "FR"}', "block: expected a list of regions"),
        ('{"item_id": "a", "block": ["France"]}', "two-letter"),
        ('{"item_id": "a", "block": ["FR"], "unblock": ["FR"]}', "to block or to unblock it, got both"),
    ],
)
def test_a_wrong_line_is_named(line, told):
    with pytest.raises(InvalidInput, match=f"line 2: .*{told}"):
        read_lines(['{"item_id": "a", "flagged": true}', line], 1)


def test_a_change_of_nothing_is_refused():
    with pytest.raises(InvalidInput, match="nothing to set"):
        change(None, None, [], [], 1)
