"""The tables behind the load model: what they conserve, and the local clock they are read by."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridlens_core.meters import profiles
from gridlens_core.meters.profiles import (
    QUARTERS_PER_DAY,
    TABLE_STEP,
    day_of_leap_year,
    is_weekend,
    load_profiles,
    local_quarters,
    quarter_hours,
    week_mean,
)

DATA = json.loads(Path(profiles.__file__).with_name("profiles.json").read_text(encoding="utf-8"))
EPOCH = date(1970, 1, 1)


@given(st.lists(st.floats(0.0, 1e6), min_size=24, max_size=24))
def test_a_day_keeps_its_energy_when_hours_become_quarter_hours(hours: list[float]) -> None:
    quarters = quarter_hours(hours)
    assert quarters.shape == (QUARTERS_PER_DAY,)
    assert quarters.mean() == pytest.approx(np.mean(hours), rel=1e-12)
    assert quarters.min() >= min(hours) - 1e-6
    assert quarters.max() <= max(hours) + 1e-6


def test_quarter_hours_of_a_constant_are_that_constant() -> None:
    assert quarter_hours([0.7] * 24) == pytest.approx(0.7)


@pytest.mark.parametrize("number", range(7), ids=load_profiles().names)
def test_activity_has_mean_one_over_a_week_and_is_never_negative(number: int) -> None:
    shape = load_profiles().activity[number]
    assert shape.shape == (2, QUARTERS_PER_DAY)
    assert week_mean(shape) == pytest.approx(1.0, abs=TABLE_STEP)
    assert shape.min() >= 0.0


def test_there_are_four_kinds_of_home_then_small_commerce_and_large_customers() -> None:
    tables = load_profiles()
    assert len(tables.home_shares) == 4
    assert sum(tables.home_shares) == pytest.approx(1.0)
    assert tables.names[4:] == ("small_commercial", "school", "workshop")
    assert len(tables.times_home) == 2
    assert 0.0 < tables.commercial_share < 0.2


def test_homes_together_peak_in_the_evening_and_commerce_in_office_hours() -> None:
    tables = load_profiles()
    homes = np.tensordot(np.array(tables.home_shares), tables.activity[:4], axes=1)
    assert 17 <= homes[0].argmax() / 4 <= 21
    for business in tables.activity[4:]:
        assert 8 <= business[0].argmax() / 4 <= 16


def test_tables_are_rounded_so_that_every_machine_has_the_same_and_cannot_be_changed() -> None:
    tables = load_profiles()
    for table in (tables.activity, tables.temperature_c):
        assert np.array_equal(table / TABLE_STEP, np.rint(table / TABLE_STEP))
        with pytest.raises(ValueError, match="read-only"):
            table[0] = 0.0


def test_the_normal_climate_keeps_its_monthly_means_and_daily_ranges() -> None:
    daily = load_profiles().temperature_c
    starts = profiles.MONTH_STARTS
    for month in range(12):
        days = daily[starts[month] : starts[month + 1]]
        assert days.mean() == pytest.approx(DATA["monthly_mean_c"][month], abs=0.8)
        assert np.ptp(days, axis=1).mean() == pytest.approx(DATA["monthly_daily_range_c"][month], rel=0.06)


def test_every_figure_in_the_data_file_names_its_source() -> None:
    assert {name for name in DATA if name.endswith("source")} == {
        "homes_source",
        "commercial_source",
        "institutions_source",
        "climate_source",
        "daily_range_source",
    }


@given(st.dates(date(1970, 1, 2), date(2200, 1, 1)))
def test_calendar_days_agree_with_the_standard_library(day: date) -> None:
    number = np.array([(day - EPOCH).days])
    in_leap_year = (date(2000, day.month, day.day) - date(2000, 1, 1)).days
    assert day_of_leap_year(number)[0] == in_leap_year
    assert is_weekend(number)[0] == (day.weekday() >= 5)


@settings(max_examples=60)
@given(
    st.sampled_from(["America/Chicago", "Europe/London", "Asia/Kathmandu", "Australia/Lord_Howe", "Etc/GMT+6", "UTC"]),
    st.integers(1_400_000, 2_400_000),
)
def test_local_quarters_agree_with_the_standard_library(timezone: str, first_slot: int) -> None:
    got = local_quarters(first_slot, 150, timezone)
    for slot, quarter in zip(range(first_slot, first_slot + 150), got.tolist(), strict=True):
        assert quarter == wall_quarter(slot, timezone)


@pytest.mark.parametrize(
    ("day", "slots"),
    [
        pytest.param(date(2026, 3, 8), 92, id="clocks go forward: 23 hours"),
        pytest.param(date(2026, 11, 1), 100, id="clocks go back: 25 hours"),
        pytest.param(date(2028, 2, 29), 96, id="leap day: 24 hours"),
    ],
)
def test_a_local_day_has_every_utc_slot(day: date, slots: int) -> None:
    zone = ZoneInfo("America/Chicago")
    midnight = datetime(day.year, day.month, day.day, tzinfo=zone)
    tomorrow = day + timedelta(days=1)
    until = datetime(tomorrow.year, tomorrow.month, tomorrow.day, tzinfo=zone)
    first = int(midnight.timestamp()) // 900
    assert int(until.timestamp()) // 900 - first == slots
    local = local_quarters(first, slots, "America/Chicago")
    assert set((local // QUARTERS_PER_DAY).tolist()) == {(day - EPOCH).days}
    assert local_quarters(first + slots, 1, "America/Chicago")[0] == ((day - EPOCH).days + 1) * 96


def wall_quarter(slot: int, timezone: str) -> int:
    moment = datetime.fromtimestamp(slot * 900, UTC).astimezone(ZoneInfo(timezone))
    return (moment.date() - EPOCH).days * 96 + moment.hour * 4 + moment.minute // 15
