"""The environment that nobody can make sense of is refused with its name."""

import pytest

from trident.errors import SetupError
from trident.settings import Settings


def test_what_is_logged_is_set_by_the_environment(monkeypatch):
    for name, value in {
        "IMPRESSIONS": "7",
        "FEATURE_ROWS": "8",
        "IMPRESSIONS_SHARE": "0",
        "FEATURE_ROWS_SHARE": "1e-3",
    }.items():
        monkeypatch.setenv(name, value)
    found = Settings.from_environment()
    assert (found.impressions, found.impressions_share) == (7, 0.0)
    assert (found.feature_rows, found.feature_rows_share) == (8, 0.001)


@pytest.mark.parametrize("value", ["-0.1", "1.5", "nan", "half", ""])
def test_a_share_is_between_0_and_1(monkeypatch, value):
    monkeypatch.setenv("FEATURE_ROWS_SHARE", value)
    with pytest.raises(SetupError, match=f"FEATURE_ROWS_SHARE: expected a share from 0 to 1, got '{value}'"):
        Settings.from_environment()


@pytest.mark.parametrize("value", ["0", "-3", "1.5", "many", "²", ""])
def test_a_bound_of_a_stream_is_a_whole_number(monkeypatch, value):
    monkeypatch.setenv("IMPRESSIONS", value)
    with pytest.raises(SetupError, match=f"IMPRESSIONS: expected a whole number from 1 to 1000000000, got '{value}'"):
        Settings.from_environment()
