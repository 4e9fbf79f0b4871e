"""Whole days of each meter's own past, from which a history goes on. Pure: arrays in, arrays out.
Days are drawn week by week by the counter hash, in their order, so that any read can be made alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import lcm
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gridlens_core.meters.noise import FIELD_BITS, Flags, Hashes, counter_hash, field, lognormal_table
from gridlens_core.meters.profiles import (
    EPOCH_WEEKDAY,
    QUARTERS_PER_DAY,
    SLOT_MINUTES,
    WEEKDAYS,
    Floats,
    Ints,
    is_weekend,
)

DAY_MINUTES = SLOT_MINUTES * QUARTERS_PER_DAY
MOST_DAYS, FEWEST_DAYS = 14, 4  # kept of a meter; drawn from fewer, days would be seen to repeat
MOST_BYTES = 128 * 2**20  # of all meters together: fewer days of a larger fleet, none of a million meters
WHOLE_DAY = 0.9  # of its reads, for a day to be kept; the rest are put in as usual for the time of day
JITTER = lognormal_table(0.06, 2.5)  # so that no day comes again read for read
HALF = np.dtype(np.float16)  # three digits, which is finer than JITTER


@dataclass(frozen=True)
class PastDays:
    """Days of each meter, oldest first, weekdays before days of the weekend.

    share : (n_meters, n_days, steps) energy of each step of the local day over the meter's usual energy of a step
    weekdays, weekend_days : (n_meters,) how many of its days are of each kind; what comes after them is not set
    """

    share: NDArray[np.float16]
    weekdays: Ints
    weekend_days: Ints

    def take(self, index: Any) -> PastDays:
        """Some of the meters."""
        return PastDays(self.share[index], self.weekdays[index], self.weekend_days[index])

    @classmethod
    def joined(cls, parts: Sequence[PastDays]) -> PastDays | None:
        """Days of several groups of meters, one after the other; None where their days have different steps."""
        if len({part.share.shape[2] for part in parts}) != 1:
            return None
        most = max(part.share.shape[1] for part in parts)
        shares = [np.pad(one.share, ((0, 0), (0, most - one.share.shape[1]), (0, 0))) for one in parts]
        numbers = ([getattr(part, name) for part in parts] for name in ("weekdays", "weekend_days"))
        return cls(np.concatenate(shares), *(np.concatenate(one) for one in numbers))

    @property
    def enough(self) -> Flags:
        """(n_meters,) whether there are days to go on from."""
        return np.asarray(self.weekdays + self.weekend_days >= FEWEST_DAYS, np.bool_)


def days_to_keep(n_meters: int, minutes: int) -> int:
    """How many days of each meter are kept; 0 where the fleet is too large, or a day no whole number of reads."""
    if minutes <= 0 or DAY_MINUTES % lcm(minutes, SLOT_MINUTES):
        return 0
    days = MOST_BYTES // max(1, n_meters * steps_of(minutes) * HALF.itemsize)
    return min(MOST_DAYS, days) if days >= FEWEST_DAYS else 0


def steps_of(minutes: int) -> int:
    """Steps of a day kept for reads of so many minutes: whole quarter hours, and whole reads."""
    return DAY_MINUTES // lcm(minutes, SLOT_MINUTES)


def past_days(
    meter: Ints, quarter: Ints, wh: Floats, minutes: Floats, mean_wh: Floats, shape: tuple[int, int]
) -> PastDays:
    """The days that reads make.

    meter, quarter, wh, minutes : (n_reads,) whose, the local quarter hour of its middle, energy, and length of each
    mean_wh : (n_meters, 96) usual energy [Wh]
    shape : how many days are kept at the most, and the interval they are kept at [minutes]
    """
    n_meters, (n_days, interval) = len(mean_wh), shape
    steps = steps_of(interval)
    usual = mean_wh[:, np.arange(steps) * QUARTERS_PER_DAY // steps] * (QUARTERS_PER_DAY / steps)
    last = int(quarter.max()) // QUARTERS_PER_DAY if len(quarter) else 0
    day = quarter // QUARTERS_PER_DAY - (last - n_days + 1)
    fits = (day >= 0) & (minutes <= DAY_MINUTES // steps)
    step = quarter[fits] % QUARTERS_PER_DAY * steps // QUARTERS_PER_DAY
    cell = (meter[fits] * n_days + day[fits]) * steps + step
    time = np.bincount(cell, minutes[fits], n_meters * n_days * steps).reshape(n_meters, n_days, steps)
    energy = np.bincount(cell, wh[fits], n_meters * n_days * steps).reshape(time.shape)
    length = DAY_MINUTES / steps
    known = time >= 0.99 * length
    kept = known.mean(axis=2) >= WHOLE_DAY
    energy = np.where(known, energy * length / np.maximum(time, 1.0), usual[:, None, :])
    size = _size(mean_wh) * (QUARTERS_PER_DAY / steps)
    share = (energy / np.where(size > 0, size, 1.0)[:, None, None]).astype(np.float16)
    weekend = is_weekend(last - n_days + 1 + np.arange(n_days))
    order = np.argsort(np.where(kept, weekend, 2), axis=1, kind="stable")
    return PastDays(
        np.take_along_axis(share, order[:, :, None], axis=1),
        (kept & (weekend == 0)).sum(axis=1),
        (kept & (weekend == 1)).sum(axis=1),
    )


def _size(mean_wh: Floats) -> Floats:
    """(n_meters,) what shares are of [Wh a quarter hour]; over zero where a meter measures anything."""
    return np.asarray(np.abs(mean_wh).mean(axis=1))


def past_day_wh(days: PastDays, key: Hashes, mean_wh: Floats, first_slot: int, local: Ints) -> Floats:
    """Energy of slots as in the meters' own past days: (n_meters, count) [Wh].

    days : of meters that have enough of them
    key : (n_meters,) of their noise; mean_wh : as of `past_days`
    local : (count,) local quarter hours of the slots from first_slot on
    """
    if not len(local):
        return np.zeros((len(key), 0))
    day = local // QUARTERS_PER_DAY
    steps = days.share.shape[2]
    drawn = _drawn(days, key, int(day.min()), int(day.max()) - int(day.min()) + 1)[:, day - day.min()]
    share = days.share[np.arange(len(key))[:, None], drawn, local % QUARTERS_PER_DAY * steps // QUARTERS_PER_DAY]
    jitter = JITTER[field(counter_hash(key, "past_jitter", first_slot, len(local)), 0)]
    return np.asarray(share.astype(np.float64) * jitter * _size(mean_wh)[:, None])


def _drawn(days: PastDays, key: Hashes, first: int, count: int) -> Ints:
    """(n_meters, count) which of its days each meter has on local days from `first` on: in a week one after another."""
    week, weekday = np.divmod(first + EPOCH_WEEKDAY + np.arange(count), 7)
    hashes = counter_hash(key, "past_week", int(week[0]), int(week[-1] - week[0]) + 1)[:, week - week[0]]
    at_weekend = weekday >= WEEKDAYS
    number = np.where(at_weekend, days.weekend_days[:, None], days.weekdays[:, None])
    other = number == 0  # a history may have no weekend yet
    number = np.where(other, (days.weekdays + days.weekend_days)[:, None], number)
    begin = (field(hashes, 0) * number) >> FIELD_BITS
    place = (begin + np.where(at_weekend, weekday - WEEKDAYS, weekday)) % np.maximum(number, 1)
    return np.asarray(place + np.where(at_weekend & ~other, days.weekdays[:, None], 0))
