import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trident.errors import InvalidInput
from trident.state.layout import UserRow, pack_embedding, pack_row, taste_mark, unpack_embedding, unpack_row

SPACE, OTHER = "00112233445566ff", "00112233445566fe"
EMBEDDING = np.linspace(-1, 1, 128, dtype=np.float32)


def test_an_embedding_survives():
    value = pack_embedding(EMBEDDING, SPACE, 2**32 - 1)
    assert len(value) == 20 + 512 + 4
    found = unpack_embedding(value, SPACE)
    assert np.array_equal(found.vector, EMBEDDING)
    assert found.taste == 2**32 - 1


def test_the_mark_of_a_taste_knows_items_and_order():
    tastes = [(), (b"a",), (b"a", b"b"), (b"b", b"a"), (b"ab",), (b"a", b"")]
    assert len({taste_mark(taste) for taste in tastes}) == len(tastes)


def test_a_row_survives_with_its_gaps():
    features = np.full(40, np.nan, np.float32)
    features[3] = 7.5
    found = unpack_row(pack_row(UserRow(features, 1_700_000_000, "DE", 31), SPACE), SPACE)
    assert np.array_equal(found.features, features, equal_nan=True)
    assert (found.as_of, found.region, found.age) == (1_700_000_000, "DE", 31)


def test_unknown_region_and_age_survive():
    found = unpack_row(pack_row(UserRow(np.zeros(40, np.float32), 0), SPACE), SPACE)
    assert (found.region, found.age) == ("", -1)


def test_another_space_is_refused():
    assert unpack_embedding(pack_embedding(EMBEDDING, SPACE, 0), OTHER) is None


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_an_embedding_that_is_not_finite_is_refused(wrong):
    embedding = EMBEDDING.copy()
    embedding[5] = wrong
    assert unpack_embedding(pack_embedding(embedding, SPACE, 0), SPACE) is None


def test_every_cut_and_every_flipped_byte_is_refused():
    value = pack_embedding(EMBEDDING, SPACE, 7)
    assert all(unpack_embedding(value[:n], SPACE) is None for n in range(len(value)))
    for i in range(len(value)):
        damaged = bytearray(value)
        damaged[i] ^= 0x10
        assert unpack_embedding(bytes(damaged), SPACE) is None


@given(st.binary(max_size=700))
def test_random_bytes_are_refused(value):
    assert unpack_embedding(value, SPACE) is None
    assert unpack_row(value, SPACE) is None


def test_nothing_is_nothing():
    assert unpack_embedding(None, SPACE) is None
    assert unpack_row(None, SPACE) is None


def test_a_region_that_is_no_country_code_is_refused_and_not_cut():
    with pytest.raises(InvalidInput, match="expected a two-letter country code or nothing, got 'DEU'"):
        pack_row(UserRow(np.zeros(40, np.float32), 0, "DEU"), SPACE)
