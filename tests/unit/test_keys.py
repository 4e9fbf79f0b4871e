"""Guessing keys takes for ever, and slows nobody down who has the right one."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from gridlens_core.demo.keys import AT_ONCE, HOLDER_S, MOST_TURNS, KeyCheck
from gridlens_core.errors import KeyMissingError, TooManyWrongKeysError, WritesOffError

KEY, WRONG, HERE, THERE = "the key", b"wrong", "203.0.113.7", "198.51.100.2"


@dataclass
class Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def keys(clock: Clock) -> KeyCheck:
    return KeyCheck(clock)


def wrong(keys: KeyCheck, address: str | None = HERE) -> float:
    waited = keys.wait_if_wrong(KEY, WRONG, address)
    assert waited is not None
    return waited


def guess_until_refused(keys: KeyCheck, address: str = HERE) -> int:
    for count in range(1000):
        try:
            wrong(keys, address)
        except TooManyWrongKeysError:
            return count
    raise AssertionError("guessing never ends")


def test_a_few_wrong_keys_are_answered_at_once_and_then_one_a_second(keys: KeyCheck) -> None:
    assert [wrong(keys) for _ in range(AT_ONCE)] == [0] * AT_ONCE
    assert [wrong(keys) for _ in range(4)] == [0, 1, 2, 3]


def test_two_hundred_guesses_at_once_are_not_even_all_looked_at(keys: KeyCheck, clock: Clock) -> None:
    assert guess_until_refused(keys) <= AT_ONCE + MOST_TURNS + 2
    with pytest.raises(TooManyWrongKeysError) as refusal:
        keys.wait_if_wrong(KEY, KEY.encode(), HERE)
    assert 0 < refusal.value.details["retry_after_seconds"] <= 3
    clock.now += refusal.value.details["retry_after_seconds"]
    assert keys.wait_if_wrong(KEY, KEY.encode(), HERE) is None


def test_who_hangs_up_and_tries_again_is_no_faster(keys: KeyCheck, clock: Clock) -> None:
    guessed = 0
    for _ in range(3600):
        clock.now += 0.1
        try:
            wrong(keys)
            guessed += 1
        except TooManyWrongKeysError:
            pass
    assert guessed <= 360 + AT_ONCE + MOST_TURNS + 2


def test_the_right_key_passes_at_once_from_anywhere_else(keys: KeyCheck) -> None:
    guess_until_refused(keys)
    assert keys.wait_if_wrong(KEY, KEY.encode(), THERE) is None


def test_who_gave_the_right_key_is_not_shut_out_by_guesses_from_the_same_address(keys: KeyCheck, clock: Clock) -> None:
    assert keys.wait_if_wrong(KEY, KEY.encode(), HERE) is None
    for _ in range(1000):
        wrong(keys)
    assert keys.wait_if_wrong(KEY, KEY.encode(), HERE) is None
    clock.now += HOLDER_S
    assert keys.wait_if_wrong(KEY, KEY.encode(), HERE) is None
    assert max(wrong(keys) for _ in range(5)) >= 0


def test_many_addresses_together_are_slowed_too(keys: KeyCheck) -> None:
    addresses = (f"10.0.{number // 256}.{number % 256}" for number in range(10_000))

    def guess_from_each() -> None:
        for address in addresses:
            wrong(keys, address)

    with pytest.raises(TooManyWrongKeysError):
        guess_from_each()
    assert next(addresses) < "10.0.4"


def test_the_addresses_of_one_home_are_one(keys: KeyCheck) -> None:
    for number in range(AT_ONCE + 2):
        last = wrong(keys, f"2001:db8:1:2::{number:x}")
    assert last == 1


@pytest.mark.parametrize("expected", [None, ""])
def test_no_key_is_no_key(keys: KeyCheck, expected: str | None) -> None:
    for given in (b"", b"any", None):
        with pytest.raises(WritesOffError):
            keys.wait_if_wrong(expected, given, HERE)
    with pytest.raises(KeyMissingError):
        keys.wait_if_wrong(KEY, b"", HERE)
