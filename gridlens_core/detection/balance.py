"""The energy balance of one feeder's day so far: whether it loses more than its conductors explain, and since when."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

# The substation's meter is of class 0.2 (IEC 62053-22), which is about two standard deviations; its error may stay for
# a quarter of an hour.
SUPPLY_SIGMA, ERROR_MINUTES = 0.001, 15
# At noon solar panels may leave the supply at next to nothing: it counts as so many times the no-load loss at least.
LEAST_LOAD_PER_NO_LOAD = 20
# What is estimated for missing reads may be wrong by so many times itself, and by a car that is charged and
# a meal that is cooked.
UNREAD_TIMES, UNREAD_KW = 3.0, 10.0
# The learned technical loss may be wrong by this share of the supply, hour after hour. Tuned.
LEARNED_WRONG = 0.0015
# Standard deviations: of one interval that counts as lossy, and of some together that make a feeder one that loses.
LOSSY_SIGMAS, LOSING_SIGMAS = 3.0, 5.0
LATELY = (1, 2, 4, 8)  # intervals in which a loss must show


@dataclass(frozen=True)
class Balance:
    """One feeder's complete intervals of a day, in order of time; arrays are (n,) [kWh].

    unexplained : supplied less recorded, estimated for missing reads, and technical loss
    unread : estimated for missing reads
    no_load : technical loss without load
    minutes : length of each interval [minutes]
    """

    supplied: Floats
    unexplained: Floats
    unread: Floats
    no_load: Floats
    minutes: Floats

    @classmethod
    def of(
        cls, supplied: Floats, recorded: Floats, unread: Floats, minutes: Floats, technical: tuple[float, float]
    ) -> Balance:
        """From the intervals' energies, (n,) [kWh], and the feeder's technical loss, (no_load_kw, load_factor)."""
        no_load, hours = technical[0] * minutes / 60, minutes / 60
        explained = no_load + technical[1] * supplied**2 / hours
        return cls(supplied, supplied - recorded - unread - explained, unread, no_load, minutes)

    def at(self, where: Flags | slice) -> Balance:
        """Some of the intervals."""
        return Balance(*(getattr(self, one.name)[where] for one in fields(self)))

    def __len__(self) -> int:
        return len(self.supplied)

    @property
    def load(self) -> Floats:
        """What shares of the loss are taken of [kWh]."""
        return np.maximum(np.abs(self.supplied), LEAST_LOAD_PER_NO_LOAD * self.no_load)

    @property
    def sigma(self) -> Floats:
        """Standard deviation of the unexplained loss where every read is there [kWh]."""
        return SUPPLY_SIGMA * self.load * np.sqrt(np.maximum(ERROR_MINUTES / self.minutes, 1.0)) + 1e-6

    @property
    def all_read(self) -> Flags:
        """Whether every read of an interval is there."""
        return np.asarray(self.unread == 0)

    @property
    def uncertain(self) -> Floats:
        """What an estimate for missing reads may leave out [kWh]."""
        car = np.where(self.all_read, 0.0, UNREAD_KW * self.minutes / 60)
        return np.asarray(UNREAD_TIMES * np.abs(self.unread) + car)

    @property
    def lossy(self) -> Flags:
        """Whether an interval by itself lost more than can be explained."""
        return np.asarray(self.unexplained > LOSSY_SIGMAS * self.sigma + self.uncertain)

    @property
    def sure(self) -> Floats:
        """The part of the unexplained loss that neither missing reads nor what was learned can account for [kWh]."""
        return self.unexplained - self.uncertain - LEARNED_WRONG * self.load


def losing_since(balance: Balance) -> int | None:
    """The interval since which a feeder has been losing more than is explained, None where it does not do so lately."""
    if not len(balance):
        return None
    strength = _strength(balance)
    lately = [strength[-many] for many in LATELY if many <= len(strength)]
    return int(np.argmax(strength)) if max(lately) >= LOSING_SIGMAS else None


def _strength(balance: Balance) -> Floats:
    """(n,) the sure loss from each interval on to the last, in standard deviations."""
    loss = np.cumsum(balance.sure[::-1])
    return np.asarray((loss / np.sqrt(np.cumsum(balance.sigma[::-1] ** 2)))[::-1])


def quiet_since(balance: Balance) -> int:
    """How many intervals at the end are not lossy."""
    lossy = np.flatnonzero(balance.lossy)
    return len(balance) - 1 - int(lossy[-1]) if len(lossy) else len(balance)


def last_run(lossy: Flags | Sequence[bool]) -> slice:
    """The last intervals without a gap that are lossy; empty where none is."""
    where = np.flatnonzero(np.asarray(lossy))
    if not len(where):
        return slice(0, 0)
    gaps = np.flatnonzero(np.diff(where) > 1)
    return slice(int(where[gaps[-1] + 1]) if len(gaps) else int(where[0]), int(where[-1]) + 1)
