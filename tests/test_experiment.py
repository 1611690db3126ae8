"""Who is in the canary: fixed for ever."""

from __future__ import annotations

import hashlib
import subprocess
import sys

import pytest

from trident.experiment import as_float32, in_canary, position

USERS = [f"u{n}".encode() for n in range(100_000)]


@pytest.mark.parametrize(
    ("user", "experiment", "place"),
    [
        (b"u1", "canary", 0x4EFA5BDE10EB1FE9),  # printf 'canary\\0u1' | b2sum | cut -c1-16
        (b"u2", "canary", 0xF01DF08670A65039),
        (b"u1", "towers-2", 0xC1AD1F35E7D54BEE),
        ("é".encode(), "canary", 10719117834548754729),
        (b"x" * 128, "a.b_c-d", 54421524005237065),
    ],
)
def test_where_a_user_stands_never_changes(user, experiment, place):
    assert position(user, experiment) == place
    assert position(user, experiment) == int(hashlib.blake2b(experiment.encode() + b"\0" + user).hexdigest()[:16], 16)


@pytest.mark.parametrize("experiment", ["canary", "towers-2"])
@pytest.mark.parametrize("share", [0.01, 0.05, 0.5])
def test_of_100_000_users_the_share_is_in_the_canary(experiment, share):
    found = sum(in_canary(user, experiment, share) for user in USERS) / len(USERS)
    assert abs(found - share) < 0.003


def test_a_user_stays_in_the_canary_when_the_share_grows():
    small = {user for user in USERS[:20_000] if in_canary(user, "canary", 0.05)}
    assert small <= {user for user in USERS[:20_000] if in_canary(user, "canary", 0.2)}


def test_another_experiment_deals_the_users_anew():
    users = USERS[:20_000]
    both = sum(in_canary(user, "a", 0.5) and in_canary(user, "b", 0.5) for user in users) / len(users)
    assert abs(both - 0.25) < 0.01


def test_the_name_and_the_user_are_kept_apart():
    assert position(b"b", "a") != position(b"", "ab")


def test_nobody_at_0_and_everybody_at_1():
    assert not any(in_canary(user, "canary", 0.0) for user in USERS[:1000])
    assert all(in_canary(user, "canary", 1.0) for user in USERS[:1000])


def test_a_share_counts_as_the_tensor_carries_it():
    assert as_float32(0.05) == 0.05000000074505806
    assert as_float32(as_float32(0.05)) == as_float32(0.05)


def test_it_is_the_same_in_another_process_with_other_hash_seeds():
    code = "from trident.experiment import position; print(position(b'u1', 'canary'))"
    seen = {
        subprocess.run(
            [sys.executable, "-c", code], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True
        ).stdout
        for seed in ("1", "2")
    }
    assert seen == {f"{position(b'u1', 'canary')}\n"}
