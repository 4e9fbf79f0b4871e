"""What each meter of a history usually does, learned from its own reads. Pure: arrays in, habits' arrays out.
Robust: a few reads that are no energy spoil nothing; signs are kept; each stretch of reads has its own interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from gridlens_core.meters.habits import is_weekend
from gridlens_core.meters.noise import Flags
from gridlens_core.meters.past_days import PastDays, days_to_keep, past_days
from gridlens_core.meters.profiles import QUARTERS_PER_DAY, SLOT_MINUTES, Floats, Ints, local_quarters

HOURS = 24
# An error code is far from all that its meter usually sends, and from what any meter of the fleet usually sends.
FAR_FROM_OWN, FAR_FROM_FLEET = 20.0, 5.0
USUAL_SHARE = 0.25  # of a meter's reads that an interval must have to be one of its own
NEWEST = 24  # reads of a meter whose interval is the one it has now
WEEKEND_DAYS, WEEKDAYS = 1.5, 3.0  # seen at least, before the two are told apart
WEEKEND_LIMITS = (0.3, 3.0)
DAY_S = 86400
SAME_TIMES = 0.5  # of the reads at those times of day that are negative, from which on it is a habit
WITHIN_HOUR = (0.5, 2.0)  # the fleet's quarter hours over their hour


@dataclass(frozen=True)
class Past:
    """Recent reads of some meters, by meter and time; vectors (n_reads,).

    meter : position of the meter
    end : end of the interval [s since 1970]
    kwh, volts : NaN where the read has none
    doubtful : reads at a time at which their meter has another read with another energy; repeats are left out
    """

    meter: Ints
    end: Ints
    kwh: Floats
    volts: Floats
    doubtful: int = 0

    def __len__(self) -> int:
        return len(self.meter)

    def take(self, chosen: Flags | slice) -> Past:
        """Some of the reads."""
        return Past(self.meter[chosen], self.end[chosen], self.kwh[chosen], self.volts[chosen], self.doubtful)

    @classmethod
    def of(cls, meter: Any, end: Any, kwh: Any, volts: Any) -> Past:
        """Sorts, and keeps of several reads of a meter at a time the first that has energy."""
        meter, end = np.asarray(meter, np.int64), np.asarray(end, np.int64)
        kwh, volts = np.asarray(kwh, np.float64), np.asarray(volts, np.float64)
        if _is_sorted(meter, end):
            return cls(meter, end, kwh, volts)
        order = np.lexsort((kwh, end, meter))  # NaN last
        meter, end, kwh, volts = meter[order], end[order], kwh[order], volts[order]
        again = np.zeros(len(meter), np.bool_)
        again[1:] = (meter[1:] == meter[:-1]) & (end[1:] == end[:-1])
        other = again.copy()
        other[1:] &= ~np.isnan(kwh[1:]) & (kwh[1:] != kwh[:-1])
        keep = ~again
        return cls(meter[keep], end[keep], kwh[keep], volts[keep], int(other.sum()))


def _is_sorted(meter: Ints, end: Ints) -> bool:
    """Whether reads come by meter and time, none twice."""
    same = meter[1:] == meter[:-1]
    return bool(((meter[1:] > meter[:-1]) | (same & (end[1:] > end[:-1]))).all())


def interval_lengths(past: Past, n_meters: int) -> tuple[Ints, Ints]:
    """Minutes that each read covers, (n_reads,), and that each meter's newest reads cover, (n_meters,), 0 unknown.

    A read covers what lies between it and the read before, in its own stretch: a gap is no long interval.
    """
    n = len(past)
    if n == 0:
        return np.zeros(0, np.int64), np.zeros(n_meters, np.int64)
    first = np.ones(n, np.bool_)
    first[1:] = past.meter[1:] != past.meter[:-1]
    step = np.zeros(n, np.int64)
    step[1:] = (past.end[1:] - past.end[:-1]) // 60
    step[first] = 0
    later, before = np.append(step[1:], 0), np.append(0, step[:-1])
    later[np.append(first[1:], True)] = 0
    before[first] = 0
    usual = np.where(step > 0, step, later)
    before, later = np.where(before > 0, before, usual), np.where(later > 0, later, usual)
    length = np.maximum(np.minimum(before, usual), np.minimum(np.maximum(before, usual), later))  # their median
    own = np.zeros(n_meters, np.int64)
    bounds = np.append(np.flatnonzero(first), n)
    shortest, longest = np.minimum.reduceat(length, bounds[:-1]), np.maximum.reduceat(length, bounds[:-1])
    own[past.meter[bounds[:-1]]] = longest
    mixed = np.flatnonzero((shortest < longest) | (shortest == 0))
    for start, end in zip(bounds[mixed].tolist(), bounds[mixed + 1].tolist(), strict=True):
        found, times = np.unique(length[start:end][length[start:end] > 0], return_counts=True)
        if not len(found):
            continue
        usual = found[times >= max(2, USUAL_SHARE * (end - start) / 2)]
        if not len(usual):
            usual = found[:1]  # a sparse meter: its shortest distance is nearest to its interval
        place = np.searchsorted(usual, length[start:end], side="right") - 1
        length[start:end] = usual[np.maximum(place, 0)]
        newest, newest_times = np.unique(length[max(start, end - NEWEST) : end], return_counts=True)
        own[past.meter[start]] = newest[np.argmax(newest_times)]
    return length, own


@dataclass(frozen=True)
class Learned:
    """Of each meter; arrays (n_meters,) unless said.

    mean_wh : (n_meters, 96) usual energy of each quarter hour of a weekday [Wh]
    scatter : about it; memory : slots over which a deviation lasts; weekend : energy over that of a weekday
    mean_v : usual voltage, NaN where there is none
    reads : (n_meters, 24) reads by hour; minutes : of its newest reads
    odd : reads left out as no energy
    days : whole days of the past, None where the fleet is too large to keep them
    """

    mean_wh: Floats
    level_wh: Floats
    scatter: Floats
    memory: Ints
    weekend: Floats
    mean_v: Floats
    reads: Floats
    minutes: Ints
    odd: int
    days: PastDays | None = None

    @classmethod
    def joined(cls, parts: Sequence[Learned]) -> Learned:
        """What was learned of several groups of meters, one after the other."""
        arrays: dict[str, Any] = {name: np.concatenate([getattr(part, name) for part in parts]) for name in BY_METER}
        kept = [part.days for part in parts if part.days is not None]
        days = PastDays.joined(kept) if len(kept) == len(parts) else None
        return cls(**arrays, odd=sum(part.odd for part in parts), days=days)

    def take(self, chosen: Flags) -> Learned:
        """Some of the meters."""
        arrays = {name: getattr(self, name)[chosen] for name in BY_METER}
        return replace(self, **arrays, days=None if self.days is None else self.days.take(chosen))


BY_METER = tuple(one.name for one in fields(Learned) if one.name not in ("odd", "days"))


def learn(past: Past, n_meters: int, timezone: str, fleet_meters: int | None = None) -> Learned:
    """Habits of the meters, from all reads of `past`.

    fleet_meters : of the whole fleet where these are some of them; it decides how many days are kept
    """
    length, own = interval_lengths(past, n_meters)
    usable = ~np.isnan(past.kwh) & (length > 0)
    odd = _odd(past, usable, length, n_meters)
    usable &= ~odd
    meter, kwh, minutes = past.meter[usable], past.kwh[usable], length[usable].astype(np.float64)
    slots = minutes / SLOT_MINUTES
    wh = kwh * 1000.0
    quarter = _local(past.end[usable] - (minutes * 30).astype(np.int64), timezone)
    weekend = is_weekend(quarter)
    hour = quarter % QUARTERS_PER_DAY // 4
    factor = _weekend_factor(meter, wh, slots, weekend, n_meters)
    of_day = wh
    wh = wh / np.where(weekend, factor[meter], 1.0)
    cell = meter * HOURS + hour
    energy = np.bincount(cell, wh, n_meters * HOURS).reshape(-1, HOURS)
    time = np.bincount(cell, slots, n_meters * HOURS).reshape(-1, HOURS)
    level = energy.sum(axis=1) / np.maximum(time.sum(axis=1), 1e-9)
    mean = np.where(time > 0, energy / np.maximum(time, 1e-9), level[:, None])
    short = minutes <= SLOT_MINUTES
    shape = _within_hour(quarter[short] % QUARTERS_PER_DAY, np.abs(wh[short]), slots[short])
    mean_wh = np.repeat(mean, 4, axis=1) * shape
    rest = wh / slots - mean[meter, hour]
    count = np.maximum(np.bincount(meter, minlength=n_meters), 1)
    spread = np.sqrt(np.bincount(meter, rest * rest, n_meters) / count)
    size = np.abs(mean).mean(axis=1)
    counts = np.bincount(cell, minlength=n_meters * HOURS).reshape(-1, HOURS).astype(np.float64)
    interval = int(np.bincount(own[own > 0]).argmax()) if (own > 0).any() else 0
    kept = days_to_keep(fleet_meters or n_meters, interval)
    days = past_days(meter, quarter, of_day, minutes, mean_wh, (kept, interval)) if kept else None
    return Learned(
        mean_wh, level, spread / np.where(size > 0, size, 1), _memory(meter, rest, minutes, n_meters), factor,
        _mean_volts(past, n_meters), counts, own, int(odd.sum()), days,
    )  # fmt: skip


def _odd(past: Past, usable: Flags, length: Ints, n_meters: int) -> Flags:
    """Reads that are no energy, such as a code of the meter: far from its own and from the fleet's usual power."""
    power = np.where(usable, past.kwh / np.maximum(length, 1), np.nan)
    known = np.flatnonzero(usable)
    low, middle, high = percentiles(past.meter[known], power[known], n_meters, (25, 50, 75))
    (large,) = percentiles(past.meter[known], np.abs(power[known]), n_meters, (98,))
    codes = np.zeros(len(past), np.bool_)
    bounds = np.searchsorted(past.meter, np.arange(n_meters + 1))
    for meter in np.unique(past.meter[usable & (past.kwh < 0)]).tolist():
        own = slice(bounds[meter], bounds[meter + 1])
        codes[own] = _is_code(past.kwh[own], past.end[own] % DAY_S)
    if np.isnan(large).all():
        return np.zeros(len(past), np.bool_)
    away = np.abs(np.nan_to_num(power) - middle[past.meter])
    own_limit = FAR_FROM_OWN * np.maximum(high - low, np.abs(middle))[past.meter]
    far = (away > own_limit) & (away > FAR_FROM_FLEET * np.nanmedian(large))
    return np.asarray(usable & (codes | far), np.bool_)


def percentiles(meter: Ints, values: Floats, n_meters: int, percents: Sequence[float]) -> list[Floats]:
    """(n_meters,) percentiles of each meter's own values, as of numpy.percentile; NaN where it has none.

    meter, values : (n,), by meter, without NaN
    """
    count = np.bincount(meter, minlength=n_meters)
    rows = np.full((n_meters, max(1, int(count.max(initial=0)))), np.nan)
    rows[meter, np.arange(len(meter)) - (np.cumsum(count) - count)[meter]] = values
    rows.sort(axis=1)  # NaN last
    each = np.arange(n_meters)
    found = []
    for percent in percents:
        place = np.maximum(count - 1, 0) * percent / 100
        below = place.astype(np.int64)
        lower, upper = rows[each, below], rows[each, np.minimum(below + 1, np.maximum(count - 1, 0))]
        found.append(lower + (upper - lower) * (place % 1))
    return found


def _is_code(kwh: Floats, second_of_day: Ints) -> Flags:
    """Negative reads of one meter that are a mark of something else: one or two values, again and again, larger than
    all its use, and not day after day at the same times, as what solar panels send is."""
    negative = kwh < 0
    values, times = np.unique(kwh[negative], return_counts=True)
    used = np.nanmax(np.where(negative, 0.0, kwh), initial=0.0)
    if not len(values) or len(values) > 2 or times.min() < 3 or values.max() > -used:
        return np.zeros(len(kwh), np.bool_)
    if negative[np.isin(second_of_day, second_of_day[negative])].mean() > SAME_TIMES:
        return np.zeros(len(kwh), np.bool_)
    return np.asarray(negative, np.bool_)


def odd_reads(past: Past, n_meters: int) -> Flags:
    """(n_reads,) reads that are no energy."""
    length, _ = interval_lengths(past, n_meters)
    return _odd(past, ~np.isnan(past.kwh) & (length > 0), length, n_meters)


def _local(seconds: Ints, timezone: str) -> Ints:
    """Local quarter hours since 1970 of moments; (n,)."""
    if not len(seconds):
        return np.zeros(0, np.int64)
    slot = seconds // (60 * SLOT_MINUTES)
    first = int(slot.min())
    return np.asarray(local_quarters(first, int(slot.max()) - first + 1, timezone)[slot - first])


def _weekend_factor(meter: Ints, wh: Floats, slots: Floats, weekend: Flags, n_meters: int) -> Floats:
    """(n_meters,) energy of a weekend's day over that of a weekday; 1 where not enough of both was seen."""
    power, days = [], []
    for chosen in (weekend, ~weekend):
        time = np.bincount(meter[chosen], slots[chosen], n_meters)
        power.append(np.bincount(meter[chosen], wh[chosen], n_meters) / np.maximum(time, 1e-9))
        days.append(time / QUARTERS_PER_DAY)
    enough = (days[0] >= WEEKEND_DAYS) & (days[1] >= WEEKDAYS) & (power[0] > 0) & (power[1] > 0)
    ratio = power[0] / np.where(enough, power[1], 1.0)
    return np.where(enough, np.round(np.clip(ratio, *WEEKEND_LIMITS), 4), 1.0)


def _within_hour(quarter: Ints, wh: Floats, slots: Floats) -> Floats:
    """(96,) each quarter hour of the fleet over the mean of its hour; 1 where the history is coarser."""
    time = np.bincount(quarter, slots, QUARTERS_PER_DAY)
    if not (time > 0).all():
        return np.ones(QUARTERS_PER_DAY)
    by_hour = (np.bincount(quarter, wh, QUARTERS_PER_DAY) / time).reshape(HOURS, 4)
    mean = by_hour.mean(axis=1, keepdims=True)
    shape = np.clip(by_hour / np.where(mean > 0, mean, 1), *WITHIN_HOUR)
    return np.asarray(np.where(mean > 0, shape / shape.mean(axis=1, keepdims=True), 1.0)).ravel()


# Of the noise of habits: slots between its knots, and from which correlation of neighbouring slots on; a test measures.
MEMORY = ((5, 0.90), (3, 0.75), (2, 0.33), (1, -1.0))


def _memory(meter: Ints, rest: Floats, minutes: Floats, n_meters: int) -> Ints:
    """(n_meters,) slots over which a deviation lasts, by how like neighbouring reads are."""
    if len(meter) < 2:
        return np.full(n_meters, 5, np.int64)
    same = meter[1:] == meter[:-1]
    both = np.bincount(meter[1:][same], (rest[1:] * rest[:-1])[same], n_meters)
    all_ = np.bincount(meter[1:][same], (rest[1:] ** 2)[same], n_meters)
    usual = np.bincount(meter, minutes, n_meters) / np.maximum(np.bincount(meter, minlength=n_meters), 1)
    alike = np.clip(both / np.where(all_ > 0, all_, 1), 0.0, 0.999) ** (SLOT_MINUTES / np.maximum(usual, 1))
    return np.select([alike >= least for _, least in MEMORY], [slots for slots, _ in MEMORY]).astype(np.int64)


def _mean_volts(past: Past, n_meters: int) -> Floats:
    there = ~np.isnan(past.volts)
    number = np.bincount(past.meter[there], minlength=n_meters)
    total = np.bincount(past.meter[there], past.volts[there], n_meters)
    return np.where(number > 0, total / np.maximum(number, 1), np.nan)
