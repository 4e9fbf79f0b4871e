"""Looking at keys: the right one passes at once, wrong ones wait for their turn, so that guessing takes for ever."""

from __future__ import annotations

import hmac
import math
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address
from threading import Lock
from time import monotonic
from typing import TypeVar

from gridlens_core.errors import KeyMissingError, TooManyWrongKeysError, WritesOffError

TURN_S = 1.0  # between the answers to wrong keys of one address
AT_ONCE = 10  # wrong keys that are answered without waiting: a person who mistypes
MOST_TURNS = 60  # that may be waited for; beyond them keys of that address are not looked at
EVERYBODY = 10  # times as many of all these for all addresses together
MOST_ADDRESSES = 10_000  # that are remembered
HOLDER_S = 3600.0  # an address that gave the right key may go on for this long, whoever guesses beside it

Value = TypeVar("Value")


class Turns:
    """When the next wrong key of an address, or of all, has its turn."""

    def __init__(self, turn_s: float = TURN_S) -> None:
        self._turn_s = turn_s
        self._next = -math.inf

    def wait_s(self, now: float) -> float:
        """Seconds until the next turn; below zero while answers are given at once."""
        return self._next - now

    def take(self, now: float) -> None:
        """One turn is used up."""
        self._next = max(self._next, now - AT_ONCE * TURN_S) + self._turn_s


class KeyCheck:
    """Compares keys in constant time and remembers who gave wrong ones. Safe to share between threads."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._lock = Lock()
        self._everybody = Turns(TURN_S / EVERYBODY)
        self._turns: dict[str, Turns] = {}
        self._holders: dict[str, float] = {}

    def wait_if_wrong(self, expected: str | None, given: bytes | None, address: str | None) -> float | None:
        """None for the right key, else the seconds to wait before saying that it is wrong.

        address : of the one who gave it, None where it is not known
        Raises WritesOffError, KeyMissingError, and TooManyWrongKeysError without looking at the key.
        """
        if not expected:
            raise WritesOffError
        if not given:
            raise KeyMissingError
        whose, now = _network(address), self._clock()
        with self._lock:
            both = (self._turns.get(whose) or Turns(), self._everybody)
            if now > self._holders.get(whose, -math.inf):
                _refuse_beyond(both, now)
            if hmac.compare_digest(given, expected.encode()):
                _remember(self._holders, whose, now + HOLDER_S)
                return None
            _remember(self._turns, whose, both[0])
            waits = [turns.wait_s(now) for turns in both]
            for turns in both:
                turns.take(now)
            return min(max(0.0, *waits), MOST_TURNS * TURN_S)


def _refuse_beyond(both: tuple[Turns, ...], now: float) -> None:
    late = max(turns.wait_s(now) for turns in both) - MOST_TURNS * TURN_S
    if late > 0:
        raise TooManyWrongKeysError(retry_after_seconds=math.ceil(late + TURN_S))


def _remember(known: dict[str, Value], whose: str, value: Value) -> None:
    known.pop(whose, None)
    known[whose] = value
    if len(known) > MOST_ADDRESSES:
        del known[next(iter(known))]


def _network(address: str | None) -> str:
    """Whom an address belongs to: a home has 2**64 addresses of IPv6."""
    try:
        parsed = ip_address(address or "")
    except ValueError:
        return address or ""
    return parsed.exploded[:19] if isinstance(parsed, IPv6Address) else str(parsed)
