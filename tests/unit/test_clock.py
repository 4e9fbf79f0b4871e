from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from helpers import FROZEN
from hypothesis import given
from hypothesis import strategies as st

from gridlens_core.clock import (
    INTERVAL_MINUTES,
    as_utc,
    check_interval,
    day_start,
    floor_to_interval,
    grid_now,
    local_day,
    wall_clock,
)
from gridlens_core.errors import BadInputError

CHICAGO = "America/Chicago"
NAIVE = datetime(2026, 11, 18, 18)  # noqa: DTZ001
moments = st.datetimes(datetime(1969, 6, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
intervals = st.sampled_from(INTERVAL_MINUTES)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


@pytest.mark.parametrize(
    ("latest", "wall", "expected"),
    [
        pytest.param(None, "2026-11-18T18:07:31Z", "2026-11-18T17:45Z", id="without reads the wall clock decides"),
        pytest.param("2026-11-18T20:00Z", "2026-11-18T18:07Z", "2026-11-18T20:00Z", id="a demo may run ahead"),
        pytest.param("2026-11-18T18:00Z", "2026-11-18T18:07Z", "2026-11-18T18:00Z", id="a current history goes on"),
        pytest.param("2026-11-15T18:00Z", "2026-11-18T18:07Z", "2026-11-18T17:45Z", id="an old history catches up"),
        pytest.param("2026-11-18T18:05Z", "2026-11-18T18:07Z", "2026-11-18T18:05Z", id="odd read times are kept"),
        pytest.param("2026-11-18T14:00-06:00", "2026-11-18T18:07Z", "2026-11-18T20:00Z", id="any offset is understood"),
    ],
)
def test_grid_now(latest: str | None, wall: str, expected: str) -> None:
    assert grid_now(at(latest) if latest else None, at(wall), 15) == at(expected)


@given(st.none() | moments, moments, intervals)
def test_the_next_read_follows_the_last_one_and_is_never_in_the_future_of_both_clocks(
    latest: datetime | None, wall: datetime, minutes: int
) -> None:
    read_at = grid_now(latest, wall, minutes) + timedelta(minutes=minutes)
    assert latest is None or read_at >= latest + timedelta(minutes=minutes)
    assert read_at <= max(wall, (latest or wall) + timedelta(minutes=minutes))


@given(moments, intervals)
def test_floor_is_the_last_boundary(moment: datetime, minutes: int) -> None:
    floor = floor_to_interval(moment, minutes)
    assert floor <= moment < floor + timedelta(minutes=minutes)
    assert (floor.minute % minutes, floor.second, floor.microsecond) == (0, 0, 0)


@pytest.mark.parametrize(
    "use",
    [
        pytest.param(as_utc, id="as_utc"),
        pytest.param(wall_clock, id="a frozen clock"),
        pytest.param(lambda moment: floor_to_interval(moment, 15), id="floor_to_interval"),
        pytest.param(lambda moment: grid_now(moment, FROZEN, 15), id="the latest read"),
        pytest.param(lambda moment: grid_now(None, moment, 15), id="the wall"),
        pytest.param(lambda moment: local_day(moment, CHICAGO), id="local_day"),
    ],
)
def test_a_naive_time_is_refused(use) -> None:
    with pytest.raises(BadInputError, match="a time with an offset"):
        use(NAIVE)


def test_as_utc_keeps_the_instant() -> None:
    there = datetime(2026, 11, 18, 12, tzinfo=timezone(timedelta(hours=-6)))
    assert as_utc(there) == FROZEN
    assert as_utc(there).tzinfo is UTC


def test_a_frozen_clock_stands_still_and_a_free_one_is_aware() -> None:
    clock = wall_clock(FROZEN)
    assert clock() == clock() == FROZEN
    before = datetime.now(UTC)
    assert before <= wall_clock()() <= datetime.now(UTC)


@pytest.mark.parametrize("minutes", INTERVAL_MINUTES)
def test_accepted_intervals_divide_the_hour(minutes: int) -> None:
    assert check_interval(minutes) == minutes
    assert 60 % minutes == 0


@pytest.mark.parametrize("minutes", [0, -15, 1, 7, 45, 90, 1440])
def test_other_intervals_are_refused_with_those_that_are_accepted(minutes: int) -> None:
    with pytest.raises(BadInputError, match="5, 10, 15, 20, 30, 60") as raised:
        check_interval(minutes)
    assert raised.value.details["field"] == "intervalMinutes"


@pytest.mark.parametrize(
    ("read_at", "day"),
    [
        pytest.param("2026-11-18T06:00Z", date(2026, 11, 17), id="a read stamped midnight belongs to the day before"),
        pytest.param("2026-11-18T06:15Z", date(2026, 11, 18), id="the next one opens the day"),
        pytest.param("2026-11-19T02:00Z", date(2026, 11, 18), id="an evening demo does not cross the UTC midnight"),
    ],
)
def test_local_day(read_at: str, day: date) -> None:
    assert local_day(at(read_at), CHICAGO) == day


@pytest.mark.parametrize(
    ("day", "hours"),
    [
        pytest.param(date(2026, 11, 18), 24, id="an ordinary day"),
        pytest.param(date(2026, 3, 8), 23, id="the day the clocks go forward"),
        pytest.param(date(2026, 11, 1), 25, id="the day the clocks go back"),
    ],
)
def test_a_day_holds_its_own_intervals_and_no_others(day: date, hours: int) -> None:
    start, end = day_start(day, CHICAGO), day_start(day + timedelta(days=1), CHICAGO)
    reads = [start + timedelta(minutes=15 * number) for number in range(-3, hours * 4 + 4)]
    inside = [read_at for read_at in reads if local_day(read_at, CHICAGO) == day]
    assert len(inside) == hours * 4
    assert (inside[0] - timedelta(minutes=15), inside[-1]) == (start, end)
