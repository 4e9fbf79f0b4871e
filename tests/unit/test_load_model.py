"""The load model: each read stands alone, equals a plain scalar version, and looks like real meters."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache
from hashlib import sha256
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from model_samples import CHICAGO, METERS_PER_FEEDER, fleet, ids, slot_at
from plain_noise import entry, scalar_hash, scalar_line, scalar_normal_noise, scalar_run

from benchmarks import realism
from gridlens_core.meters import behind_meter, noise, traits
from gridlens_core.meters import load_model as model
from gridlens_core.meters.feeders import NO_LOAD_SHARE
from gridlens_core.meters.load_model import HonestReads, honest_reads, technical_loss_wh
from gridlens_core.meters.profiles import load_profiles, local_quarters
from gridlens_core.meters.traits import MeterTraits, meter_traits

EPOCH = date(1970, 1, 1)
YEAR_METERS, YEAR_DAYS = 330, 365


BLOCK_FIRST, BLOCK_SLOTS = slot_at(2026, 3, 6), 4 * 96  # holds a change of clocks and a weekend


@cache
def block() -> HonestReads:
    return honest_reads(fleet(), BLOCK_FIRST, BLOCK_SLOTS, CHICAGO)


@dataclass(frozen=True)
class Year:
    traits: MeterTraits
    reads: HonestReads

    def feeder_wh(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and honest energy of the full feeders: (n_feeders,), (n_feeders, n_slots) [Wh]."""
        full = YEAR_METERS // METERS_PER_FEEDER
        shape = (full, METERS_PER_FEEDER, -1)
        used = full * METERS_PER_FEEDER
        return (
            self.traits.mean_wh_per_slot[:used].reshape(shape[:2]).sum(axis=1),
            self.reads.energy_wh[:used].astype(np.int64).reshape(shape).sum(axis=1),
        )


@pytest.fixture(scope="module")
def year() -> Year:
    meters = meter_traits(2026, "A_YEAR", *ids(YEAR_METERS))
    return Year(meters, honest_reads(meters, slot_at(2026, 1, 1, 6), YEAR_DAYS * 96, realism.STANDARD_TIME))


# ------------------------------------------------------------ a read stands alone


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_meters_in_any_order_over_any_span_read_the_same_as_in_a_block(data: st.DataObject) -> None:
    chosen = data.draw(st.lists(st.integers(0, 59), min_size=1, max_size=8, unique=True), label="meters")
    start = data.draw(st.integers(0, BLOCK_SLOTS - 1), label="first slot")
    count = data.draw(st.sampled_from([1, 2, 5, 7, 40]), label="slots")
    count = min(count, BLOCK_SLOTS - start)
    got = honest_reads(fleet().take(np.array(chosen)), BLOCK_FIRST + start, count, CHICAGO)
    assert np.array_equal(got.energy_wh, block().energy_wh[chosen, start : start + count])
    assert np.array_equal(got.voltage_dv, block().voltage_dv[chosen, start : start + count])


@settings(max_examples=120, deadline=None)
@given(
    st.integers(0, 59),
    st.integers(slot_at(2024, 2, 20), slot_at(2029, 1, 1)),
    st.sampled_from([CHICAGO, "Europe/London", "Asia/Kathmandu"]),
)
def test_a_read_equals_the_plain_scalar_version(meter: int, slot: int, timezone: str) -> None:
    got = honest_reads(fleet().take(np.array([meter])), slot, 1, timezone)
    assert (int(got.energy_wh[0, 0]), int(got.voltage_dv[0, 0])) == scalar_read(fleet(), meter, slot, timezone)


@pytest.mark.parametrize("meter", [0, 17, 59])
def test_a_block_equals_the_plain_scalar_version_across_a_change_of_clocks(meter: int) -> None:
    for column in range(0, BLOCK_SLOTS, 5):
        expected = scalar_read(fleet(), meter, BLOCK_FIRST + column, CHICAGO)
        got = block().energy_wh[meter, column], block().voltage_dv[meter, column]
        assert tuple(map(int, got)) == expected


def test_blocks_longer_and_wider_than_a_chunk_are_seamless(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(noise, "CHUNK_READS", 700)
    monkeypatch.setattr(model, "CHUNK_SLOTS", 100)
    again = honest_reads(fleet(), BLOCK_FIRST, BLOCK_SLOTS, CHICAGO)
    assert np.array_equal(again.energy_wh, block().energy_wh)
    assert np.array_equal(again.voltage_dv, block().voltage_dv)


def test_the_emulator_keeps_its_identity_on_every_machine() -> None:
    whole = np.stack([block().energy_wh, block().voltage_dv]).astype("<i4")
    assert sha256(whole.tobytes()).hexdigest()[:16] == IDENTITY


def test_reads_are_whole_numbers_and_plausible() -> None:
    assert block().energy_wh.dtype == block().voltage_dv.dtype == np.int32
    assert block().energy_wh[~fleet().exports].min() >= 0
    assert (block().energy_wh <= fleet().service_wh[:, None] + 1).all()


def test_an_empty_fleet_and_an_empty_span_have_no_reads() -> None:
    nobody = meter_traits(7, "DEMO_TENANT", [], [])
    assert len(nobody) == 0
    assert honest_reads(nobody, BLOCK_FIRST, 3, CHICAGO).energy_wh.shape == (0, 3)
    assert honest_reads(fleet(), BLOCK_FIRST, 0, CHICAGO).voltage_dv.shape == (60, 0)


# ------------------------------------------------------------ habits follow the local clock


@pytest.mark.parametrize(
    "change",
    [pytest.param(slot_at(2026, 3, 8, 8), id="forward"), pytest.param(slot_at(2026, 11, 1, 7), id="back")],
)
def test_the_evening_peak_stays_in_the_local_evening_when_clocks_change(change: int) -> None:
    homes, span = fleet(400).take(~fleet(400).commercial), 14 * 96
    for first in (change - span, change):
        load = honest_reads(homes, first, span, CHICAGO).energy_wh.sum(axis=0)
        hour = local_quarters(first, span, CHICAGO) % 96 // 4
        by_hour = np.bincount(hour, weights=load) / np.bincount(hour)
        assert 17 <= by_hour.argmax() <= 20
        assert 1 <= by_hour.argmin() <= 5


def test_habits_move_by_an_hour_of_utc_when_clocks_change() -> None:
    change, span = slot_at(2026, 11, 1, 7), 21 * 96
    homes = fleet(400)
    before, after = (
        honest_reads(homes, first, span, CHICAGO).energy_wh.sum(axis=0).reshape(-1, 96).mean(axis=0)
        for first in (change - span, change)
    )
    likeness = {shift: np.corrcoef(np.roll(before, shift), after)[0, 1] for shift in range(-8, 9)}
    assert max(likeness, key=lambda shift: likeness[shift]) == pytest.approx(4, abs=2)


def test_a_leap_day_is_a_day_like_its_neighbors() -> None:
    first = slot_at(2028, 2, 28, 6)
    days = honest_reads(fleet(400), first, 3 * 96, "Etc/GMT+6").energy_wh.sum(axis=0).reshape(3, 96).sum(axis=1)
    assert days[1] == pytest.approx((days[0] + days[2]) / 2, rel=0.15)


def test_homes_use_less_at_night_in_any_zone() -> None:
    first = slot_at(2026, 5, 4)
    for timezone in ("Asia/Kathmandu", "America/Los_Angeles"):
        load = honest_reads(fleet(400), first, 14 * 96, timezone).energy_wh.sum(axis=0)
        hour = local_quarters(first, 14 * 96, timezone) % 96 // 4
        assert load[hour == 3].mean() < 0.7 * load[hour == 19].mean()


# ------------------------------------------------------------ a year of it


def test_a_year_falls_into_all_bands_of_real_meters(year: Year) -> None:
    sample = realism.Sample(
        year.reads.energy_wh / 1000.0,
        year.reads.voltage_dv / 10.0,
        year.traits.commercial | year.traits.exports,
        date(2026, 1, 1),
    )
    got = realism.figures(sample)
    assert list(got) == list(realism.FIGURES)
    assert {name: got[name] for name, band in realism.FIGURES.items() if not band.holds(got[name])} == {}


def test_a_meter_uses_its_expected_mean(year: Year) -> None:
    mean = year.reads.energy_wh.mean(axis=1)
    assert mean.mean() == pytest.approx(year.traits.mean_wh_per_slot.mean(), rel=0.04)
    # the habits of a season last 45 days, so a year holds only eight of them
    assert np.percentile(np.abs(mean / year.traits.mean_wh_per_slot - 1.0), 95) < 0.25
    total = sum(getattr(year.traits, part) for part in traits.ENERGY_PARTS)
    assert np.allclose(total, year.traits.mean_wh_per_slot)


def test_voltage_is_hardly_ever_outside_the_bands(year: Year) -> None:
    volts = year.reads.voltage_dv
    assert ((volts < 1140) | (volts > 1260)).mean() < 1e-4
    assert ((volts < 1100) | (volts > 1270)).mean() < 1e-6


def test_technical_loss_of_a_year_is_that_of_solved_feeders(year: Year) -> None:
    mean, delivered = year.feeder_wh()
    loss = technical_loss_wh(mean[:, None], delivered).sum(axis=1)
    supplied = loss + delivered.sum(axis=1)
    no_load = NO_LOAD_SHARE * mean * delivered.shape[1]
    assert ((loss / supplied > 0.022) & (loss / supplied < 0.035)).all()
    assert ((no_load / loss > 0.44) & (no_load / loss < 0.54)).all()
    form = (delivered.astype(float) ** 2).mean(axis=1) / delivered.mean(axis=1) ** 2
    assert form.mean() == pytest.approx(model.LOAD_FORM_FACTOR, rel=0.03)


def test_weather_and_expected_load_have_the_means_the_model_says() -> None:
    years = [
        model._block(noise.name_key(tenant, "weather"), slot_at(2024 + tenant % 4, 1, 1), 35_040, CHICAGO)
        for tenant in range(64)
    ]
    assert np.mean([block.cooling.mean() for block in years]) == pytest.approx(1.0, abs=0.06)
    assert np.mean([block.heating.mean() for block in years]) == pytest.approx(1.0, abs=0.06)
    assert np.mean([block.sun.mean() for block in years]) == pytest.approx(1.0, abs=0.03)
    assert np.mean([block.expected.mean() for block in years]) == pytest.approx(1.0, abs=0.02)
    assert np.mean([block.expected.max() for block in years]) == pytest.approx(model.EXPECTED_PEAK, rel=0.03)


# ------------------------------------------------------------ losses of an interval


@given(st.floats(1.0, 1e6), st.integers(0, 10**7), st.integers(1, 10**6), st.floats(1 / 3, 4.0))
def test_loss_grows_with_the_load(mean: float, delivered: int, more: int, interval: float) -> None:
    low = technical_loss_wh(mean, delivered, interval)
    assert 0 <= low <= technical_loss_wh(mean, delivered + more, interval)


@pytest.mark.parametrize(("minutes", "parts"), [(5, 12), (15, 4), (30, 2), (60, 1)])
def test_an_hour_of_steady_load_loses_the_same_in_intervals_of_any_length(minutes: int, parts: int) -> None:
    loss = technical_loss_wh(20_000.0, np.full(parts, 120_000 / parts), minutes / 15)
    assert loss.dtype == np.int64
    assert loss.sum() == pytest.approx(technical_loss_wh(20_000.0, 120_000, 4.0), abs=parts)


def test_a_feeder_without_meters_loses_nothing() -> None:
    assert technical_loss_wh(np.zeros(2), np.zeros(2)).tolist() == [0, 0]


# ------------------------------------------------------------ the plain scalar version


def wall_clock(slot: int, timezone: str) -> datetime:
    return datetime.fromtimestamp(slot * 900, UTC).astimezone(ZoneInfo(timezone)).replace(tzinfo=None)


def scalar_shape(row: int, clock: datetime) -> float:
    weekend = clock.weekday() >= 5
    return float(traits.SHAPES[row + weekend * traits.SHAPE_WIDTH + clock.hour * 4 + clock.minute // 15])


def scalar_weather(tenant_key: int, slot: int, clock: datetime) -> tuple[float, float]:
    late = clock - timedelta(minutes=15 * model.BUILDING_LAG_SLOTS)
    day = (date(2000, late.month, late.day) - date(2000, 1, 1)).days
    temperature = float(load_profiles().temperature_c[day, late.hour * 4 + late.minute // 15])
    for stream, length, sigma in model.WEATHER_NOISES:
        temperature = temperature + sigma * scalar_normal_noise(tenant_key, stream, slot, length)
    cooling = min(max(temperature - model.COOLING_ABOVE_C, 0.0), model.COOLING_FULL_K) / model.MEAN_COOLING_K
    return cooling, max(model.HEATING_BELOW_C - temperature, 0.0) / model.MEAN_HEATING_K


def scalar_window(
    key: int, stream: str, phase: int, slot: int, length: int, minutes: tuple[float, float], mean_wh: float,
    row: int, timezone: str,
) -> tuple[int, int, float]:  # fmt: skip
    """The slot's window, its step in it, and the energy of the window's appliance run in the slot."""
    index, step = divmod(slot + phase, length)
    word = scalar_hash(key, stream, index)
    middle = wall_clock(index * length - phase + length // 2, timezone)
    shortest, longest = (m / 15 for m in minutes)
    duration = shortest + (longest - shortest) * entry(noise.UNIFORM, word, 2)
    start = (length - duration) * entry(noise.UNIFORM, word, 3)
    happens = entry(noise.UNIFORM, word, 1) < model.RUN_CHANCE * scalar_shape(row, middle)
    height = entry(model.POWER, word, 4) * (mean_wh * (length / (model.RUN_CHANCE * (shortest + longest) / 2)))
    return index, step, scalar_run(start, duration, happens * height, step)


def scalar_noise(key: int, stream: str, phase: int, day: int, days: int, values: noise.Floats) -> float:
    index, step = divmod(day + phase, days)
    word, following = (scalar_hash(key, stream, index + i) for i in (0, 1))
    return scalar_line(entry(values, word), entry(values, following), days, step)


def scalar_day_factor(key: int, phase: int, day: int, fickleness: float, weekday: float) -> float:
    index, step = divmod(day + phase, model.SLOW_DAYS)
    word = scalar_hash(key, "slow", index)
    slow = scalar_noise(key, "slow", phase, day, model.SLOW_DAYS, model.SLOW)
    drift = scalar_noise(key, "drift", phase, day, model.DRIFT_DAYS, model.DRIFT)
    white = entry(model.DAY, scalar_hash(key, "day", day))
    busy = weekday
    for factor in (white, slow, drift):
        busy = busy * (1.0 + fickleness * (factor - 1.0))
    shortest, longest = model.AWAY_DAYS
    duration = shortest + (longest - shortest + 1) * entry(noise.UNIFORM, word, 2) // 1
    start = (model.SLOW_DAYS - duration + 1) * entry(noise.UNIFORM, word, 3) // 1
    away = (1.0 - model.AWAY_FACTOR) if entry(noise.UNIFORM, word, 1) < model.AWAY_CHANCE else 0.0
    absent = scalar_run(start, duration, away, step)
    return busy * (1.0 - absent) / (1.0 - model.AWAY_LOSS)


def scalar_charging(key: int, day: int, quarter: int) -> float:
    word = scalar_hash(key, "car", day)
    shortest, longest = behind_meter.CAR_SLOTS
    start = behind_meter.CAR_FROM + behind_meter.CAR_START_SLOTS * entry(noise.UNIFORM, word, 1)
    end = start + shortest + (longest - shortest) * entry(noise.UNIFORM, word, 2)
    charges = entry(noise.UNIFORM, word) < behind_meter.CAR_CHANCE
    return charges * behind_meter.CAR_WH * max(min(end, quarter + 1) - max(start, quarter), 0.0)


def scalar_sun(tenant_key: int, slot: int, clock: datetime) -> float:
    day = (date(2000, clock.month, clock.day) - date(2000, 1, 1)).days
    clearness = behind_meter.CLEARNESS
    for stream, length, sigma in behind_meter.SKY_NOISES:
        clearness = clearness + sigma * scalar_normal_noise(tenant_key, stream, slot, length)
    clearness = min(max(clearness, behind_meter.DULLEST), behind_meter.CLEAREST)
    clear = float(behind_meter.clear_sky()[day, clock.hour * 4 + clock.minute // 15])
    return clear * clearness / behind_meter.MEAN_CLEARNESS


def scalar_is_off(key: int, phase: int, slot: int) -> bool:
    index, step = divmod(slot + phase, model.OFF_WINDOW)
    word = scalar_hash(key, "off", index)
    fewest, most = model.OFF_SLOTS
    slots = fewest + (most - fewest + 1) * entry(noise.UNIFORM, word, 1) // 1
    begin = (model.OFF_WINDOW - slots + 1) * entry(noise.UNIFORM, word, 2) // 1
    return entry(noise.UNIFORM, word, 0) < model.OFF_CHANCE and begin <= step < begin + slots


def scalar_read(fleet: MeterTraits, meter: int, slot: int, timezone: str) -> tuple[int, int]:
    """One honest read, (whole Wh, tenths of a volt), in plain Python numbers."""

    def of(name: str) -> float:
        return float(getattr(fleet, name)[meter])

    key, phase, row = int(fleet.key[meter]), int(fleet.phase[meter]), int(fleet.shape_row[meter])
    clock = wall_clock(slot, timezone)
    cooling, heating = scalar_weather(fleet.tenant_key, slot, clock)
    index, step, short_run = scalar_window(
        key, "short_window", phase, slot, model.SHORT_WINDOW, model.SHORT_MINUTES, of("short_wh"), row, timezone
    )
    _, _, long_run = scalar_window(
        key, "long_window", phase, slot, model.LONG_WINDOW, model.LONG_MINUTES, of("long_wh"), row, timezone
    )
    before, after = (
        1.0 + of("roughness") * (entry(model.ACTIVITY, scalar_hash(key, "short_window", index + i)) - 1.0)
        for i in (0, 1)
    )
    activity = scalar_line(before, after, model.SHORT_WINDOW, step)
    jitter = scalar_hash(key, "slot", slot)
    each = [entry(values, jitter, number) for number, values in enumerate(model.JITTERS)]
    wh = activity * scalar_shape(row, clock) * of("activity_wh") * each[0] + short_run + long_run
    day, own_weekday = (clock.date() - EPOCH).days, float(fleet.weekday[meter, clock.weekday()])
    wh = wh * scalar_day_factor(key, phase, day, of("fickleness"), own_weekday)
    wh = wh + of("base_wh") * each[1]
    wh = wh + (of("cooling_wh") * cooling + of("heating_wh") * heating) * each[2]
    if of("car_wh"):
        wh = wh + scalar_charging(key, day, clock.hour * 4 + clock.minute // 15)
    wh = min(wh, of("service_wh")) + of("solar_wh") * scalar_sun(fleet.tenant_key, slot, clock)
    wh = 0.0 if scalar_is_off(key, phase, slot) else wh

    feeder = int(fleet.feeder_keys[fleet.feeder_index[meter]])
    set_point = model.HEAD_V + model.HEAD_SIGMA_V * entry(noise.NORMAL, scalar_hash(feeder, "head", 0))
    set_point = set_point + float(fleet.feeder_head_v[fleet.feeder_index[meter]])
    drift = scalar_normal_noise(feeder, "regulator", slot, model.REGULATOR_SLOTS)
    expected = float(model.EXPECTED_SHAPE[int(clock.weekday() >= 5), clock.hour * 4 + clock.minute // 15])
    expected = expected + model.MEAN_COOLING_SHARE * cooling + model.MEAN_HEATING_SHARE * heating
    volts = set_point + model.REGULATOR_SIGMA_V * drift
    volts = volts - of("feeder_drop_v") * (expected / model.EXPECTED_PEAK) - of("service_v_per_wh") * wh
    volts = volts + entry(model.METER_NOISE_V, jitter, 3)
    return round(wh), round(10.0 * volts)


IDENTITY = "4aedae4bf1626ffb"  # changes with any constant, table or stream of the model
