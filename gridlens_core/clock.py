"""Wall clock and grid clock. The wall clock is read here and nowhere else; times are aware UTC."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from gridlens_core.errors import BadInputError

Clock = Callable[[], datetime]

# Interval lengths of common AMI head-ends (5, 15, 30, 60 minutes) and those between; all divide an hour,
# so that intervals line up with the hour in every time zone.
INTERVAL_MINUTES = (5, 10, 15, 20, 30, 60)
DEFAULT_INTERVAL_MINUTES = 15


def wall_clock(frozen: datetime | None = None) -> Clock:
    """The wall clock, or one that stands still at `frozen` (GRIDLENS_NOW)."""
    if frozen is None:
        return lambda: datetime.now(UTC)
    moment = as_utc(frozen)
    return lambda: moment


def as_utc(moment: datetime, name: str = "time") -> datetime:
    """The same instant in UTC; raises BadInputError for a time without an offset, or off the calendar."""
    if moment.utcoffset() is None:
        raise BadInputError.of(name, moment.isoformat(), "a time with an offset, such as 2026-11-23T14:00:00Z")
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise BadInputError.of(name, moment.isoformat(), "a time between the years 1 and 9999, UTC") from None


def check_interval(minutes: int) -> int:
    """`minutes` if it is an interval length GridLens can publish, else BadInputError."""
    if minutes not in INTERVAL_MINUTES:
        raise BadInputError.of("intervalMinutes", minutes, ", ".join(map(str, INTERVAL_MINUTES)))
    return minutes


def floor_to_interval(moment: datetime, minutes: int) -> datetime:
    """The last interval boundary at or before `moment`."""
    step = minutes * 60
    return datetime.fromtimestamp(as_utc(moment).timestamp() // step * step, UTC)


def grid_now(latest_read_at: datetime | None, wall: datetime, interval_minutes: int) -> datetime:
    """End of the last published interval, or of the last but one by the wall clock if that is later.

    A demo runs ahead of the wall clock; a database left alone catches up with it (docs/contracts.md, "The grid clock").
    """
    by_wall = floor_to_interval(wall, interval_minutes) - timedelta(minutes=interval_minutes)
    return by_wall if latest_read_at is None else max(as_utc(latest_read_at), by_wall)


def local_day(read_at: datetime, timezone: str) -> date:
    """The utility's local day that the interval ending at `read_at` belongs to.

    A read stamped 00:00 covers the last interval of the day before.
    """
    return (as_utc(read_at) - timedelta(microseconds=1)).astimezone(ZoneInfo(timezone)).date()


def day_start(day: date, timezone: str) -> datetime:
    """Local midnight that begins `day`, in UTC."""
    return datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(timezone)).astimezone(UTC)
