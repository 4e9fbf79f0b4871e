"""Honest energy and voltage of every meter, as a pure function of its traits, the tenant and the 15-minute slot.
A read computed alone equals the same read computed in a block. No events, no fleet and no clock here.
A slot is a number of quarter hours since the Unix epoch, UTC."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gridlens_core.meters.behind_meter import charging_wh, sun
from gridlens_core.meters.feeders import LOAD_LOSS_SHARE, NO_LOAD_SHARE
from gridlens_core.meters.noise import (
    NORMAL,
    UNIFORM,
    Hashes,
    Windows,
    chunks,
    counter_hash,
    field,
    lognormal_table,
    normal_noise,
)
from gridlens_core.meters.profiles import (
    EPOCH_WEEKDAY,
    QUARTERS_PER_DAY,
    SLOT_MINUTES,
    Floats,
    Ints,
    day_of_leap_year,
    is_weekend,
    load_profiles,
    local_quarters,
    quantised,
)
from gridlens_core.meters.traits import (
    BASE_SHARE,
    COMMERCIAL_TIMES_HOME,
    COOLING_PART,
    SHAPE_WIDTH,
    SHAPES,
    SHIFT_LIMIT,
    SHIFT_SIGMA,
    WEATHER_HOMES,
    WEATHER_SHARE,
    MeterTraits,
)

# How the load varies in time, fitted to measured autocorrelations.
SHORT_WINDOW, LONG_WINDOW = 5, 7  # slots; neither divides a day, so no meter repeats its windows daily
ACTIVITY_SIGMA, ACTIVITY_CLIP = 0.95, 2.0
SHORT_MINUTES, LONG_MINUTES = (3.0, 18.0), (15.0, 90.0)  # kettles, microwaves; ovens, dryers, dishwashers
RUN_CHANCE = 0.30  # that a window holds an appliance run at mean activity
POWER_SIGMA, POWER_CLIP = 0.5, 2.0
DAY_SIGMA, SLOW_SIGMA, DRIFT_SIGMA, DAY_CLIP = 0.24, 0.23, 0.38, 2.5
SLOW_DAYS, DRIFT_DAYS = 6, 45  # a guest, a cold week; a season's habits
AWAY_CHANCE, AWAY_DAYS, AWAY_FACTOR = 0.055, (1, 4), 0.1  # per six-day window; away about 2 % of days
# Nothing is a straight line: each slot differs from the next by itself, fitted to the steps of measured homes.
ACTIVITY_JITTER, BASE_JITTER, WEATHER_JITTER, JITTER_CLIP = 0.35, 0.30, 0.40, 2.5
# Seven of ten measured homes have a read of zero in a year: the main switch is off for an hour or more.
OFF_WINDOW, OFF_CHANCE, OFF_SLOTS = 120 * QUARTERS_PER_DAY, 0.33, (3, 16)

# Weather, shared by a tenant.
COOLING_ABOVE_C, HEATING_BELOW_C = 20.0, 13.0
COOLING_FULL_K = 10.0  # above it air conditioners run without pause; design days in the Midwest are 31-33 C
BUILDING_LAG_SLOTS = 8  # a house follows the weather about two hours late, common knowledge
WEATHER_NOISES = (("fronts", 264, 4.2), ("clouds", 40, 1.6))  # stream, slots between knots, sigma [K]
MEAN_COOLING_K, MEAN_HEATING_K = 0.95, 6.24  # yearly means of degrees above and below; a test holds them

# Voltage on a 120 V base, fitted to power-flow solutions of EPRI feeders.
HEAD_V, HEAD_SIGMA_V = 124.6, 0.25
REGULATOR_SLOTS, REGULATOR_SIGMA_V = 24, 0.60  # slow drift between tap changes
EXPECTED_PEAK = 2.3  # highest expected feeder load of a year over its mean; a test holds it
METER_SIGMA_V = 0.15

LOAD_FORM_FACTOR = 1.16  # mean of P^2 over squared mean of P, 40 meters over a year; a test holds it

CHUNK_SLOTS = 2_048  # a chunk of few meters is cut in time too, for the same reason as CHUNK_READS

METER_NOISE_V = quantised(METER_SIGMA_V * NORMAL)
ACTIVITY = lognormal_table(ACTIVITY_SIGMA, ACTIVITY_CLIP)
POWER = lognormal_table(POWER_SIGMA, POWER_CLIP)
DAY = lognormal_table(DAY_SIGMA, DAY_CLIP)
SLOW = lognormal_table(SLOW_SIGMA, DAY_CLIP)
DRIFT = lognormal_table(DRIFT_SIGMA, DAY_CLIP)
JITTERS = [lognormal_table(sigma, JITTER_CLIP) for sigma in (ACTIVITY_JITTER, BASE_JITTER, WEATHER_JITTER)]
AWAY_LOSS = AWAY_CHANCE * (1.0 - AWAY_FACTOR) * sum(AWAY_DAYS) / 2 / SLOW_DAYS

EDGE = 2 * LONG_WINDOW  # slots beyond a block whose local time decides on runs that reach into it

MEAN_WEATHER_SHARE = WEATHER_HOMES * sum(WEATHER_SHARE) / 2
MEAN_COOLING_SHARE = MEAN_WEATHER_SHARE * sum(COOLING_PART) / 2
MEAN_HEATING_SHARE = MEAN_WEATHER_SHARE - MEAN_COOLING_SHARE


def _expected_shape() -> Floats:
    """Standing load and habits of the average meter, over mean load: (2, 96), weekday and weekend.

    Averaged over the shifts by which households keep earlier or later hours.
    """
    profiles = load_profiles()
    homes = 1 - profiles.commercial_share
    weights = [homes * share for share in profiles.home_shares]
    weights.append(profiles.commercial_share * COMMERCIAL_TIMES_HOME)
    mix = np.tensordot(np.array(weights) / math.fsum(weights), profiles.activity[: len(weights)], axes=1)
    shifts = range(-SHIFT_LIMIT, SHIFT_LIMIT + 1)
    chance = [NormalDist(0, SHIFT_SIGMA).pdf(shift) for shift in shifts]
    rolled = np.stack([np.roll(mix, shift, axis=1) for shift in shifts])
    smeared = np.tensordot(np.array(chance) / math.fsum(chance), rolled, axes=1)
    base = sum(BASE_SHARE) / 2
    return quantised(base + (1 - base - MEAN_WEATHER_SHARE) * smeared)


EXPECTED_SHAPE = _expected_shape()


@dataclass(frozen=True)
class HonestReads:
    """Reads without any event, (n_meters, n_slots).

    energy_wh : whole [Wh]
    voltage_dv : [tenths of a volt], on a 120 V base unless a history says otherwise
    """

    energy_wh: NDArray[np.int32]
    voltage_dv: NDArray[np.int32]


def honest_reads(traits: MeterTraits, first_slot: int, n_slots: int, timezone: str) -> HonestReads:
    """Energy and voltage of every meter in slots first_slot .. first_slot + n_slots - 1, without any event.

    first_slot : slot k covers [k * 900 s, (k + 1) * 900 s) since the Unix epoch, UTC
    timezone : IANA zone whose local clock the customers' habits follow
    Returns arrays (n_meters, n_slots); a read depends only on its meter's traits, the tenant's weather and its slot.
    Raises ZoneInfoNotFoundError for an unknown zone.
    """
    energy = np.empty((len(traits), n_slots), dtype=np.int32)
    voltage = np.empty((len(traits), n_slots), dtype=np.int32)
    for start in range(0, n_slots, CHUNK_SLOTS):
        block = _block(traits.tenant_key, first_slot + start, min(CHUNK_SLOTS, n_slots - start), timezone)
        head = _head_volts(traits, block)
        columns = slice(start, start + block.count)
        for rows in chunks(len(traits), block.count):
            some = traits.take(rows)
            jitter = counter_hash(some.key, "slot", block.first, block.count)
            wh = _energy_wh(some, block, jitter)
            energy[rows, columns] = np.rint(wh)
            voltage[rows, columns] = np.rint(10.0 * _volts(some, block, head, wh, jitter))
    return HonestReads(energy, voltage)


@dataclass(frozen=True)
class _Block:
    """What all meters share in a block of slots; arrays are (count,) unless said.

    columns : (count + 2 * EDGE,) position in a row of SHAPES, from EDGE slots before the block to EDGE after it
    day, quarter : local day since first_day, and quarter hour of it
    cooling, heating : weather response, mean one over a year
    expected : expected load of a feeder, over its mean
    sun : yield of solar panels, over their mean of a year
    """

    first: int
    count: int
    columns: Ints
    first_day: int
    day: Ints
    quarter: Ints
    cooling: Floats
    heating: Floats
    expected: Floats
    sun: Floats


def _block(tenant_key: int, first: int, count: int, timezone: str) -> _Block:
    local = local_quarters(first - EDGE, count + 2 * EDGE, timezone)
    day, quarter = np.divmod(local, QUARTERS_PER_DAY)
    columns = is_weekend(day) * SHAPE_WIDTH + quarter
    inside = slice(EDGE, EDGE + count)
    day, quarter = day[inside], quarter[inside]
    temperature = _temperature(tenant_key, first, local[inside] - BUILDING_LAG_SLOTS)
    cooling = np.clip(temperature - COOLING_ABOVE_C, 0.0, COOLING_FULL_K) / MEAN_COOLING_K
    heating = np.maximum(HEATING_BELOW_C - temperature, 0.0) / MEAN_HEATING_K
    expected = EXPECTED_SHAPE[is_weekend(day), quarter]
    expected = expected + MEAN_COOLING_SHARE * cooling + MEAN_HEATING_SHARE * heating
    first_day = int(day.min())
    shining = sun(tenant_key, first, local[inside])
    return _Block(first, count, columns, first_day, day - first_day, quarter, cooling, heating, expected, shining)


def _temperature(tenant_key: int, first: int, local: Ints) -> Floats:
    """Outdoor temperature of the tenant's region at local quarter hours: (count,) [deg C]."""
    day, quarter = np.divmod(local, QUARTERS_PER_DAY)
    temperature = load_profiles().temperature_c[day_of_leap_year(day), quarter]
    key = np.array([tenant_key], dtype=np.uint64)
    for stream, length, sigma in WEATHER_NOISES:
        temperature = temperature + sigma * normal_noise(key, stream, first, len(local), length)[0]
    return temperature


def _energy_wh(traits: MeterTraits, block: _Block, jitter: Hashes) -> Floats:
    """Standing load + day factor x (activity + appliance runs) + weather response + car - panels, (n_meters, count)
    [Wh]; net energy is under zero where the panels yield more than the home uses."""
    wh, short_runs = _activity_and_short_runs(traits, block)
    wh *= SHAPES[traits.shape_row[:, None] + block.columns[EDGE : EDGE + block.count]]
    wh *= traits.activity_wh[:, None]
    activity, base, weather = (table[field(jitter, number)] for number, table in enumerate(JITTERS))
    wh *= activity
    wh += short_runs
    wh += _long_runs(traits, block)
    wh *= _day_factor(traits, block)[:, block.day]
    base *= traits.base_wh[:, None]
    wh += base
    weather *= traits.cooling_wh[:, None] * block.cooling + traits.heating_wh[:, None] * block.heating
    wh += weather
    cars = np.flatnonzero(traits.car_wh)
    if len(cars):
        wh[cars] += charging_wh(traits.key[cars], block.first_day, block.day, block.quarter)
    np.minimum(wh, traits.service_wh[:, None], out=wh)
    panels = np.flatnonzero(traits.solar_wh)
    wh[panels] += traits.solar_wh[panels, None] * block.sun
    return _switched_off(wh, traits, block)


def _switched_off(wh: Floats, traits: MeterTraits, block: _Block) -> Floats:
    """Nothing is used, or fed in, while the main switch is off; wh : (n_meters, count), changed in place."""
    windows = Windows.covering(traits.phase, block.first, block.count, OFF_WINDOW)
    hashes = counter_hash(traits.key, "off", windows.index, windows.number)
    fewest, most = OFF_SLOTS
    slots = fewest + np.floor((most - fewest + 1) * UNIFORM[field(hashes, 1)])
    begin = np.floor((windows.length - slots + 1) * UNIFORM[field(hashes, 2)])
    begin += np.arange(windows.number) * windows.length - windows.offset[:, None]
    reaches = (begin < block.count) & (begin + slots > 0) & (UNIFORM[field(hashes, 0)] < OFF_CHANCE)
    for row, window in np.argwhere(reaches):
        first = int(begin[row, window])
        wh[row, max(first, 0) : first + int(slots[row, window])] = 0.0
    return wh


def _activity_and_short_runs(traits: MeterTraits, block: _Block) -> tuple[Floats, Floats]:
    """Activity noise, mean one, and runs of a few minutes [Wh]; they share windows and hashes."""
    windows = Windows.covering(traits.phase, block.first, block.count, SHORT_WINDOW)
    hashes = counter_hash(traits.key, "short_window", windows.index, windows.number + 1)
    knots = 1.0 + traits.roughness[:, None] * (ACTIVITY[field(hashes, 0)] - 1.0)
    runs = _run_wh(hashes[:, :-1], traits, block, windows, traits.short_wh, SHORT_MINUTES)
    return windows.lines(knots), runs


def _long_runs(traits: MeterTraits, block: _Block) -> Floats:
    """Runs of a quarter of an hour and more: (n_meters, count) [Wh]."""
    windows = Windows.covering(traits.phase, block.first, block.count, LONG_WINDOW)
    hashes = counter_hash(traits.key, "long_window", windows.index, windows.number)
    return _run_wh(hashes, traits, block, windows, traits.long_wh, LONG_MINUTES)


def _run_wh(
    hashes: Hashes,
    traits: MeterTraits,
    block: _Block,
    windows: Windows,
    mean_wh: Floats,
    minutes: tuple[float, float],
) -> Floats:
    """Energy of appliance runs, at most one in a window, more often at busy times of day.

    hashes : (n_meters, windows.number)
    mean_wh : (n_meters,) mean energy of the runs over a year [Wh per slot]
    minutes : shortest and longest run
    Returns (n_meters, count) [Wh].
    """
    middle = EDGE - windows.offset + windows.length // 2
    columns = block.columns[middle[:, None] + windows.length * np.arange(windows.number)]
    is_run = UNIFORM[field(hashes, 1)] < RUN_CHANCE * SHAPES[traits.shape_row[:, None] + columns]
    shortest, longest = (m / SLOT_MINUTES for m in minutes)
    duration = shortest + (longest - shortest) * UNIFORM[field(hashes, 2)]
    start = (windows.length - duration) * UNIFORM[field(hashes, 3)]
    wh_of_mean_run = mean_wh * (windows.length / (RUN_CHANCE * (shortest + longest) / 2))
    return windows.runs(start, duration, is_run * POWER[field(hashes, 4)] * wh_of_mean_run[:, None])


def _day_factor(traits: MeterTraits, block: _Block) -> Floats:
    """How busy each local day is, mean one: (n_meters, n_days)."""
    n_days = int(block.day.max()) + 1
    day = DAY[field(counter_hash(traits.key, "day", block.first_day, n_days), 0)]
    weekday = traits.weekday[:, (block.first_day + EPOCH_WEEKDAY + np.arange(n_days)) % 7]
    windows = Windows.covering(traits.phase, block.first_day, n_days, SLOW_DAYS)
    hashes = counter_hash(traits.key, "slow", windows.index, windows.number + 1)
    slow = windows.lines(SLOW[field(hashes, 0)])
    seasons = Windows.covering(traits.phase, block.first_day, n_days, DRIFT_DAYS)
    drift = seasons.lines(DRIFT[field(counter_hash(traits.key, "drift", seasons.index, seasons.number + 1), 0)])
    shortest, longest = AWAY_DAYS
    away = hashes[:, :-1]
    absence = np.where(UNIFORM[field(away, 1)] < AWAY_CHANCE, 1.0 - AWAY_FACTOR, 0.0)
    duration = shortest + np.floor((longest - shortest + 1) * UNIFORM[field(away, 2)])
    start = np.floor((SLOW_DAYS - duration + 1) * UNIFORM[field(away, 3)])
    fickle = traits.fickleness[:, None]
    busy = (1.0 + fickle * (day - 1.0)) * (1.0 + fickle * (slow - 1.0)) * (1.0 + fickle * (drift - 1.0))
    return busy * weekday * (1.0 - windows.runs(start, duration, absence)) / (1.0 - AWAY_LOSS)


def _head_volts(traits: MeterTraits, block: _Block) -> Floats:
    """Voltage at the head of each feeder: (n_feeders, count) [V]."""
    keys = traits.feeder_keys
    set_point = HEAD_V + HEAD_SIGMA_V * NORMAL[field(counter_hash(keys, "head", 0, 1), 0)]
    set_point = set_point + traits.feeder_head_v[:, None]
    drift = normal_noise(keys, "regulator", block.first, block.count, REGULATOR_SLOTS)
    return set_point + REGULATOR_SIGMA_V * drift


def _volts(traits: MeterTraits, block: _Block, head: Floats, wh: Floats, jitter: Hashes) -> Floats:
    """Head voltage less the drops along the feeder and in the meter's own service: (n_meters, count) [V]."""
    volts = head[traits.feeder_index]
    volts -= traits.feeder_drop_v[:, None] * (block.expected / EXPECTED_PEAK)
    volts -= traits.service_v_per_wh[:, None] * wh
    volts += METER_NOISE_V[field(jitter, len(JITTERS))]
    return volts


def technical_loss_wh(
    mean_feeder_wh_per_slot: Any,
    delivered_wh: Any,
    interval_slots: float = 1.0,
    shares: tuple[Any, Any] = (NO_LOAD_SHARE, LOAD_LOSS_SHARE),
) -> Ints:
    """Energy that a feeder loses in conductors and transformers in an interval, a + b P^2 [whole Wh].

    The arguments are broadcast against each other. Fitted to solved EPRI feeders, see the constants.

    mean_feeder_wh_per_slot : mean load of the feeder [Wh per 15-minute slot]
    delivered_wh : honest energy of its meters in the interval [Wh]
    shares : lost without load, of the mean load, and by load, of the energy over a year
    interval_slots : length of the interval in 15-minute slots, 1/3 for five minutes and 4 for an hour
    """
    mean = np.asarray(mean_feeder_wh_per_slot, dtype=np.float64)
    load = np.asarray(delivered_wh, dtype=np.float64) / interval_slots
    no_load_share, load_loss_share = shares
    load_loss = load_loss_share / LOAD_FORM_FACTOR * load * load / np.where(mean > 0.0, mean, 1.0)
    return np.asarray(np.rint((no_load_share * mean + load_loss) * interval_slots), dtype=np.int64)
