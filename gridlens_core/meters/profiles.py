"""Day shapes of household types and small commerce, the normal climate, and the local clock that they follow.
The figures and their sources are in profiles.json; which meter has which shape is decided in traits.py."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from importlib.resources import files
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

SLOT_MINUTES = 15
QUARTERS_PER_DAY = 96
QUARTER_SECONDS = 60 * SLOT_MINUTES
WEEKDAYS, WEEKEND_DAYS = 5, 2
EPOCH_WEEKDAY = 3  # 1 January 1970 was a Thursday, Monday being 0
MONTH_DAYS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)  # a common year has no 29 February
MONTH_STARTS = np.concatenate([[0], np.cumsum(MONTH_DAYS)])

# Part of a measured shape that is always on: daily minimum over mean in the same homes is .13 to .34.
STANDING_SHARE = 0.28
# Twelve binary digits after the point: the same table whatever the CPU or the mathematics library.
TABLE_STEP = 2.0**-12


@dataclass(frozen=True)
class Profiles:
    """Read-only tables, quarter hours of the local day along the last axis.

    names : (n_types,) household types, then small commerce, then large customers
    home_shares : (n_homes,) share of the homes following each household type, adding to one
    times_home : (n_large,) energy of each large customer over that of a mean home
    commercial_share : share of all meters that are small commerce
    activity : (n_types, 2, 96) weekday and weekend shape above the standing load; mean one over a week
    temperature_c : (366, 96) normal outdoor temperature by day of a leap year [deg C]
    """

    names: tuple[str, ...]
    home_shares: tuple[float, ...]
    commercial_share: float
    times_home: tuple[float, ...]
    activity: Floats
    temperature_c: Floats


def quarter_hours(hours: Sequence[float] | Floats) -> Floats:
    """Quarter hours on straight lines between the middles of the hours.

    hours : (24,) hourly means, any unit; the day wraps at midnight
    Returns (96,), the same unit and the same daily mean.
    """
    knots = np.asarray(hours, dtype=np.float64)
    before, after = np.roll(knots, 1), np.roll(knots, -1)
    quarters = [
        (3 * before + 5 * knots) / 8,
        (before + 7 * knots) / 8,
        (7 * knots + after) / 8,
        (5 * knots + 3 * after) / 8,
    ]
    return np.stack(quarters, axis=1).ravel()


def activity_shape(weekday: Sequence[float], weekend: Sequence[float]) -> Floats:
    """Shape above the standing load of a measured week.

    weekday, weekend : (24,) hourly means, any unit
    Returns (2, 96), mean one over the week, quantised.
    """
    shape = np.stack([quarter_hours(weekday), quarter_hours(weekend)])
    return quantised((shape / week_mean(shape) - STANDING_SHARE) / (1 - STANDING_SHARE))


def week_mean(shape: Floats) -> float:
    """Mean over five weekdays and two weekend days: (2, 96) -> one number of the same unit."""
    weekday, weekend = shape.mean(axis=1)
    return float((WEEKDAYS * weekday + WEEKEND_DAYS * weekend) / (WEEKDAYS + WEEKEND_DAYS))


def normal_temperature(
    monthly_mean: Sequence[float], monthly_range: Sequence[float], range_fraction: Sequence[float]
) -> Floats:
    """Normal outdoor temperature by day of a leap year and quarter hour.

    monthly_mean, monthly_range : (12,) mean, and mean of the daily maximum less the daily minimum [deg C, K]
    range_fraction : (24,) how far below the daily maximum each hour is, over the range
    Returns (366, 96) [deg C], quantised.
    """
    mean, daily_range = year_of_days(monthly_mean), year_of_days(monthly_range)
    fraction = quarter_hours(range_fraction)
    return quantised(mean[:, None] + daily_range[:, None] * (fraction.mean() - fraction))


def year_of_days(monthly: Sequence[float]) -> Floats:
    """Straight lines between the middles of the months, wrapping at New Year: (12,) -> (366,)."""
    middles = (MONTH_STARTS[:-1] + MONTH_STARTS[1:]) / 2
    n_days = int(MONTH_STARTS[-1])
    return np.asarray(np.interp(np.arange(n_days) + 0.5, middles, np.asarray(monthly), period=n_days))


def quantised(table: Floats) -> Floats:
    """Round to multiples of TABLE_STEP; any shape."""
    return np.rint(table / TABLE_STEP) * TABLE_STEP


@lru_cache(maxsize=1)
def load_profiles() -> Profiles:
    """Read profiles.json, once per process."""
    data: dict[str, Any] = json.loads((files(__package__) / "profiles.json").read_text(encoding="utf-8"))
    kinds = [*data["homes"], data["commercial"], *data["institutions"]]
    activity = np.stack([activity_shape(kind["weekday"], kind["weekend"]) for kind in kinds])
    temperature = normal_temperature(
        data["monthly_mean_c"], data["monthly_daily_range_c"], data["daily_range_fraction"]
    )
    activity.setflags(write=False)
    temperature.setflags(write=False)
    return Profiles(
        names=tuple(kind["name"] for kind in kinds),
        home_shares=tuple(kind["share"] for kind in data["homes"]),
        commercial_share=data["commercial"]["share"],
        times_home=tuple(kind["times_home"] for kind in data["institutions"]),
        activity=activity,
        temperature_c=temperature,
    )


def day_of_leap_year(day: Ints) -> Ints:
    """Row of a calendar day in `Profiles.temperature_c`: days since the Unix epoch, any shape -> 0 to 365."""
    date = day.astype("datetime64[D]")
    month = date.astype("datetime64[M]")
    return np.asarray(MONTH_STARTS[month.astype(np.int64) % 12] + (date - month).astype(np.int64))


def is_weekend(day: Ints) -> Ints:
    """0 on weekdays, 1 on Saturday and Sunday: days since the Unix epoch, any shape -> the same shape."""
    return np.asarray((day + EPOCH_WEEKDAY) % 7 >= WEEKDAYS, dtype=np.int64)


def local_quarters(first_slot: int, count: int, timezone: str) -> Ints:
    """Local time of UTC slots: (count,) quarter hours since local midnight of 1 January 1970.

    Numbers repeat or are left out where the clocks change; a day has 96.
    Raises ZoneInfoNotFoundError for an unknown IANA zone.
    """
    days = range(first_slot // QUARTERS_PER_DAY, (first_slot + count - 1) // QUARTERS_PER_DAY + 1)
    offsets = np.concatenate([_offsets_of_day(timezone, day) for day in days])
    start = first_slot - days[0] * QUARTERS_PER_DAY
    return np.asarray(np.arange(first_slot, first_slot + count) + offsets[start : start + count])


@lru_cache(maxsize=4096)
def _offsets_of_day(timezone: str, day: int) -> Ints:
    """(96,) local time less UTC in each slot of a UTC day [quarter hours].

    Two look-ups are enough on a day without a change of clocks.
    """
    first, after = day * QUARTERS_PER_DAY, (day + 1) * QUARTERS_PER_DAY
    if _offset(timezone, first) == _offset(timezone, after):
        return np.full(QUARTERS_PER_DAY, _offset(timezone, first), dtype=np.int64)
    return np.array([_offset(timezone, slot) for slot in range(first, after)], dtype=np.int64)


def _offset(timezone: str, slot: int) -> int:
    offset = datetime.fromtimestamp(slot * QUARTER_SECONDS, UTC).astimezone(ZoneInfo(timezone)).utcoffset()
    return 0 if offset is None else int(offset.total_seconds()) // QUARTER_SECONDS
