import struct
import zlib
from dataclasses import replace

import numpy as np
import pytest

from trident.state.layout import pack_embedding, taste_mark, unpack_embedding
from trident_loadtest.spoiled_cache import Outcome, Trial, row
from trident_loadtest.spoiled_values import KINDS, Sound

SPACE = "0123456789abcdef"
TASTE = taste_mark([b"a", b"b"])
MINE, OTHER = (np.random.default_rng(n).normal(size=128).astype(np.float32) for n in (1, 2))
SOUND = Sound(pack_embedding(MINE, SPACE, TASTE), SPACE, TASTE)
REFUSED, SILENT = KINDS[0], KINDS[-1]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_no_spoiled_value_is_what_the_cache_may_answer_with(kind):
    rng, made = np.random.default_rng(3), set()
    for _ in range(300):
        value = kind.spoil(SOUND, OTHER, rng)
        if isinstance(value, list):
            continue  # which the layout never sees
        found = unpack_embedding(value, SPACE)
        assert (found is None) == kind.refused
        assert found is None or found.taste != TASTE
        made.add(value)
    assert len(made) > 100 or kind.name in ("other version", "other type of value", "wrong dims")


def test_values_with_a_right_checksum_are_among_them():
    sealed = set()
    for kind in KINDS:
        values = [kind.spoil(SOUND, OTHER, np.random.default_rng(n)) for n in range(20)]
        sealed |= {kind.name for v in values if isinstance(v, bytes) and len(v) > 4 and _checks(v)}
    assert sealed == {"wrong dims", "other embedding space", "NaN or infinite", "other version", "of another history"}


def _checks(value: bytes) -> bool:
    return struct.unpack("<I", value[-4:])[0] == zlib.crc32(value[:-4])


def test_the_head_is_what_stands_before_the_numbers():
    assert SOUND.head + MINE.tobytes() == SOUND.value[:-4]


GOOD = Trial(REFUSED, 20, True, ("embedding_recomputed",), True)
QUIET = Trial(SILENT, 20, True, (), True)


def test_all_as_it_must_be_holds():
    assert Outcome([GOOD, QUIET], [True], counted=1).holds


@pytest.mark.parametrize(
    "wrong",
    [
        replace(GOOD, items=19),
        replace(GOOD, same=False),
        replace(GOOD, healed=False),
        replace(GOOD, degraded=()),
        replace(QUIET, degraded=("embedding_recomputed",)),
    ],
)
def test_one_that_is_otherwise_does_not(wrong):
    assert not Outcome([GOOD, wrong], [True], counted=sum(t.kind.refused for t in (GOOD, wrong))).holds


def test_neither_does_a_wrong_count_nor_an_answer_that_nothing_changes():
    assert not Outcome([GOOD], [True], counted=2).holds
    assert not Outcome([GOOD], [True, False], counted=1).holds


def test_a_row_counts_what_came():
    assert row(REFUSED, [GOOD, replace(GOOD, same=False, items=3)]) == "| wrong dims | 2 | 1 | 1 | 2 | 2 |"
