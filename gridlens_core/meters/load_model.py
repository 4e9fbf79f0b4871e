"""Honest load and voltage of every meter, as a pure function of seed, tenant, meter and 15-minute slot.
Counter hashes, table look-ups and plain IEEE arithmetic: a read alone equals the same read in any block.
No events, no fleet and no clock here; a slot is a number of quarter hours since the Unix epoch, UTC."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from hashlib import blake2b
from statistics import NormalDist
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from gridlens_core.meters.profiles import (
    QUARTERS_PER_DAY,
    day_of_leap_year,
    is_weekend,
    load_profiles,
    local_quarters,
    quantised,
)

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Words = NDArray[np.uint64]
Flags = NDArray[np.bool_]

SLOT_MINUTES = 15

# What a meter's energy is made of; "fitted" means to measured figures of real 15-minute meters.
MEAN_HOME_WH_PER_DAY = 29_800.0  # EIA: 10,715 kWh a year is 29.3 kWh a day; six measured US homes 31.7
SIZE_SIGMA, SIZE_CLIP = 0.60, 2.5  # of ln kWh/day; Netherlands .55, London .63, Australia .66
COMMERCIAL_TIMES_HOME = 2.6  # fitted
BASE_SHARE = (0.03, 0.29)  # of the mean; measured daily minimum, which holds some habits too, is .13-.34
WEATHER_HOMES = 0.88  # EIA RECS 2020: US homes with air conditioning
WEATHER_SHARE = (0.08, 0.34)  # of the mean energy of those homes, fitted to the measured months
COOLING_PART = (0.45, 0.85)  # of the weather response; the rest is heating
APPLIANCE_SHARE = (0.30, 0.75)  # of what is neither standing nor weather, fitted
COMMERCIAL_APPLIANCE_SHARE = 0.15
LONG_PART = (0.55, 0.85)  # of appliance energy
SHIFT_SIGMA, SHIFT_LIMIT = 5.0, 20  # slots by which a household keeps earlier or later hours, fitted
ROUGHNESS, COMMERCIAL_ROUGHNESS = (0.6, 1.0), 0.35  # how far a meter follows activity noise, fitted
SERVICE_WH = 200 * 240 * 0.8 / 4  # a 200 A service at 80 %, a slot long; National Electrical Code
SERVICE_TIMES_MEAN = 12.0  # larger customers have larger services

# How it varies in time, fitted to measured autocorrelations.
SHORT_WINDOW, LONG_WINDOW = 5, 7  # slots; neither divides a day, so no meter repeats its windows daily
ACTIVITY_SIGMA, ACTIVITY_CLIP = 0.95, 2.0
SHORT_MINUTES, LONG_MINUTES = (3.0, 18.0), (15.0, 90.0)  # kettles, microwaves; ovens, dryers, dishwashers
RUN_CHANCE = 0.30  # that a window holds an appliance run at mean activity
POWER_SIGMA, POWER_CLIP = 0.5, 2.0
DAY_SIGMA, SLOW_SIGMA, DAY_CLIP = 0.30, 0.30, 2.5
SLOW_DAYS = 6
AWAY_CHANCE, AWAY_DAYS, AWAY_FACTOR = 0.055, (1, 4), 0.1  # per six-day window; away about 2 % of days

# Weather, shared by a tenant.
COOLING_ABOVE_C, HEATING_BELOW_C = 20.0, 13.0
COOLING_FULL_K = 10.0  # beyond, air conditioners run without pause; design days in the Midwest are 31-33 C
BUILDING_LAG_SLOTS = 8  # a house follows the weather about two hours late, common knowledge
WEATHER_NOISES = (("fronts", 264, 4.2), ("clouds", 40, 1.6))  # stream, slots between knots, sigma [K]
MEAN_COOLING_K, MEAN_HEATING_K = 0.95, 6.24  # yearly means of degrees above and below; a test holds them

# Voltage on a 120 V base, fitted to power-flow solutions of EPRI feeders.
HEAD_V, HEAD_SIGMA_V = 124.6, 0.25
REGULATOR_SLOTS, REGULATOR_SIGMA_V = 24, 0.60  # slow drift between tap changes
FEEDER_DROP_V, DISTANCE = 7.0, (0.35, 1.0)  # at the far end at peak load; electrical distance of a meter
EXPECTED_PEAK = 2.3  # highest expected feeder load of a year over its mean; a test holds it
SERVICE_V_PER_KW, SERVICE_V_LIMITS = 0.27, (0.03, 0.42)  # mean home; large services have large conductors
METER_SIGMA_V = 0.15

# Technical loss of a feeder, a + b P^2.
NO_LOAD_SHARE = 0.0125  # of mean load, transformer cores; 1.0-1.6 % on solved EPRI feeders
LOAD_LOSS_SHARE = 0.0135  # of energy over a year; with the above 2.2-3.5 % on the same feeders
LOAD_FORM_FACTOR = 1.16  # mean of P^2 over squared mean of P, 40 meters over a year; a test holds it

# Reads missing without any outage; measured: median gap 2 h, p75 10 h, p90 48 h, half the meters hardly any.
MISSING_SHARE = 0.002  # of reads; modern contracts ask for 99.5 % read success, this leaves room for events
GAP_CLASSES = ((1, 8, 0.50), (8, 40, 0.25), (40, 192, 0.15), (192, 768, 0.10))  # slots, share
SHARED_GAPS = 1 / 3  # of gaps begin together with another meter's, measured
JOINING = 0.15  # part of a feeder's meters that join in a shared gap
STEADY_METERS, STEADY_RATE = 0.5, 0.05  # half of the meters have a twentieth of the mean rate

CHUNK_READS, CHUNK_SLOTS = 32_768, 2_048  # the arrays of a chunk stay in a second-level cache

GOLDEN = np.uint64(0x9E3779B97F4A7C15)  # splitmix64: Steele, Lea, Flood, OOPSLA 2014
MIX_1, MIX_2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
FIELD_BITS = 12
TABLE_SIZE = 1 << FIELD_BITS


def _table(value: Callable[[float], float]) -> Floats:
    """A distribution's values at the middles of TABLE_SIZE equal shares, quantised."""
    return quantised(np.array([value((i + 0.5) / TABLE_SIZE) for i in range(TABLE_SIZE)]))


def _lognormal_table(sigma: float, clip: float) -> Floats:
    """Lognormal of mean one, its normal clipped at +-clip."""
    normal = [max(-clip, min(clip, NormalDist().inv_cdf((i + 0.5) / TABLE_SIZE))) for i in range(TABLE_SIZE)]
    values = [math.exp(sigma * z) for z in normal]
    return quantised(np.array(values) * (TABLE_SIZE / math.fsum(values)))


def _gap_table(shortest: int, longest: int) -> Floats:
    """Durations spread evenly in their logarithm, whole slots."""
    return np.rint(_table(lambda share: shortest * (longest / shortest) ** share))


UNIFORM = (np.arange(TABLE_SIZE) + 0.5) / TABLE_SIZE
NORMAL = _table(NormalDist().inv_cdf)
METER_NOISE_V = quantised(METER_SIGMA_V * NORMAL)
SIZE = _lognormal_table(SIZE_SIGMA, SIZE_CLIP)
ACTIVITY = _lognormal_table(ACTIVITY_SIGMA, ACTIVITY_CLIP)
POWER = _lognormal_table(POWER_SIGMA, POWER_CLIP)
DAY = _lognormal_table(DAY_SIGMA, DAY_CLIP)
SLOW = _lognormal_table(SLOW_SIGMA, DAY_CLIP)
GAP_SLOTS = [_gap_table(shortest, longest) for shortest, longest, _ in GAP_CLASSES]
MEAN_GAP_SLOTS = sum(part * float(_gap_table(low, high).mean()) for low, high, part in GAP_CLASSES)
AWAY_LOSS = AWAY_CHANCE * (1.0 - AWAY_FACTOR) * sum(AWAY_DAYS) / 2 / SLOW_DAYS

# Day shapes in one row per type and kind of day, with room at both ends for shifted habits.
SHAPE_WIDTH = QUARTERS_PER_DAY + 2 * SHIFT_LIMIT
SHAPES = np.pad(load_profiles().activity, ((0, 0), (0, 0), (SHIFT_LIMIT, SHIFT_LIMIT)), mode="wrap").ravel()
EDGE = 2 * LONG_WINDOW  # slots beyond a block whose local time decides on runs that reach into it

MEAN_WEATHER_SHARE = WEATHER_HOMES * sum(WEATHER_SHARE) / 2
MEAN_COOLING_SHARE = MEAN_WEATHER_SHARE * sum(COOLING_PART) / 2
MEAN_HEATING_SHARE = MEAN_WEATHER_SHARE - MEAN_COOLING_SHARE


def _expected_shape() -> Floats:
    """Standing load and habits of the average meter: (2, 96) over mean load, smeared by shifted habits."""
    profiles = load_profiles()
    homes = 1 - profiles.commercial_share
    weights = [homes * share for share in profiles.home_shares]
    weights.append(profiles.commercial_share * COMMERCIAL_TIMES_HOME)
    mix = np.tensordot(np.array(weights) / math.fsum(weights), profiles.activity, axes=1)
    shifts = range(-SHIFT_LIMIT, SHIFT_LIMIT + 1)
    chance = [NormalDist(0, SHIFT_SIGMA).pdf(shift) for shift in shifts]
    rolled = np.stack([np.roll(mix, shift, axis=1) for shift in shifts])
    smeared = np.tensordot(np.array(chance) / math.fsum(chance), rolled, axes=1)
    base = sum(BASE_SHARE) / 2
    return quantised(base + (1 - base - MEAN_WEATHER_SHARE) * smeared)


EXPECTED_SHAPE = _expected_shape()

ENERGY_PARTS = ("base_wh", "activity_wh", "short_wh", "long_wh", "cooling_wh", "heating_wh")
ENERGY_TRAITS = ("mean_wh_per_slot", "service_wh", *ENERGY_PARTS)


@dataclass(frozen=True)
class MeterTraits:
    """What stays the same about each meter; made once per fleet, (n_meters,) but for the last two.

    commercial : small commerce, not a home
    mean_wh_per_slot : long-run expected energy of a 15-minute slot [Wh], the sum of the next six
    base_wh, activity_wh, short_wh, long_wh, cooling_wh, heating_wh : standing load, habits, short and long
        appliance runs, weather response; each the mean over a year [Wh per slot]
    service_wh : most its service carries in a slot [Wh]
    shape_row, phase : where its day shape starts in SHAPES; how its windows are staggered [slots]
    feeder_drop_v : drop along the feeder at expected peak [V]; service_v_per_wh : drop of its own load
    feeder_index : position in feeder_keys, (n_feeders,)
    """

    key: Words
    commercial: Flags
    mean_wh_per_slot: Floats
    base_wh: Floats
    activity_wh: Floats
    short_wh: Floats
    long_wh: Floats
    cooling_wh: Floats
    heating_wh: Floats
    service_wh: Floats
    roughness: Floats
    shape_row: Ints
    phase: Ints
    feeder_drop_v: Floats
    service_v_per_wh: Floats
    feeder_index: Ints
    feeder_keys: Words
    tenant_key: int

    def __len__(self) -> int:
        return len(self.key)

    def take(self, index: NDArray[Any] | slice) -> MeterTraits:
        """Some of the meters, by positions, mask or slice; their reads do not change."""
        shared = {"feeder_keys", "tenant_key"}
        own = [field.name for field in fields(self) if field.name not in shared]
        return replace(self, **{name: getattr(self, name)[index] for name in own})

    def scaled(self, factor: Floats | float) -> MeterTraits:
        """The same habits at another level, over zero: (n_meters,) or one number; their voltage stays."""
        changed = {name: getattr(self, name) * factor for name in ENERGY_TRAITS}
        return replace(self, service_v_per_wh=self.service_v_per_wh / factor, **changed)


@dataclass(frozen=True)
class HonestReads:
    """energy_wh : whole Wh; voltage_dv : tenths of a volt on a 120 V base; both (n_meters, n_slots)."""

    energy_wh: NDArray[np.int32]
    voltage_dv: NDArray[np.int32]


def meter_traits(
    seed: int,
    tenant_id: str,
    meter_ids: Sequence[str] | NDArray[Any],
    feeder_ids: Sequence[str] | NDArray[Any],
) -> MeterTraits:
    """Draw the traits of meters: a pure function of seed, tenant and each meter's own id.

    meter_ids, feeder_ids : (n_meters,); the feeder decides the voltage at its head and shared gaps, no more
    Raises ValueError if their lengths differ.
    """
    if len(meter_ids) != len(feeder_ids):
        raise ValueError(f"{len(meter_ids)} meter ids, but {len(feeder_ids)} feeder ids")
    profiles = load_profiles()
    key = np.array([_name_key(seed, tenant_id, "meter", meter) for meter in meter_ids], dtype=np.uint64)
    feeders: dict[str, int] = {}
    feeder_index = [feeders.setdefault(str(feeder), len(feeders)) for feeder in feeder_ids]

    def draw(stream: str, table: Floats = UNIFORM) -> Floats:
        return table[_field(_hash(key, stream, 0, 1)[:, 0], 0)]

    def between(stream: str, low_high: tuple[float, float]) -> Floats:
        return low_high[0] + (low_high[1] - low_high[0]) * draw(stream)

    commercial = draw("commercial") < profiles.commercial_share
    size = draw("size", SIZE) * np.where(commercial, COMMERCIAL_TIMES_HOME, 1.0)
    mean = size * (MEAN_HOME_WH_PER_DAY / QUARTERS_PER_DAY)
    base = between("base", BASE_SHARE)
    weather = np.where(draw("weather_home") < WEATHER_HOMES, between("weather", WEATHER_SHARE), 0.0)
    cooling = between("cooling", COOLING_PART)
    habits = 1.0 - base - weather
    appliance = np.where(commercial, COMMERCIAL_APPLIANCE_SHARE, between("appliance", APPLIANCE_SHARE))
    long_part = between("long", LONG_PART)
    home_type = np.searchsorted(np.cumsum(profiles.home_shares)[:-1], draw("type"))
    kind = np.where(commercial, len(profiles.home_shares), home_type)
    shift = np.clip(np.rint(draw("shift", NORMAL) * SHIFT_SIGMA), -SHIFT_LIMIT, SHIFT_LIMIT).astype(np.int64)
    service_v_per_kw = np.clip(SERVICE_V_PER_KW / np.sqrt(size * np.sqrt(size)), *SERVICE_V_LIMITS)
    return MeterTraits(
        key=key,
        commercial=commercial,
        mean_wh_per_slot=mean,
        base_wh=mean * base,
        activity_wh=mean * habits * (1.0 - appliance),
        short_wh=mean * habits * appliance * (1.0 - long_part),
        long_wh=mean * habits * appliance * long_part,
        cooling_wh=mean * weather * cooling,
        heating_wh=mean * weather * (1.0 - cooling),
        service_wh=np.maximum(SERVICE_WH, SERVICE_TIMES_MEAN * mean),
        roughness=np.where(commercial, COMMERCIAL_ROUGHNESS, between("roughness", ROUGHNESS)),
        shape_row=kind * (2 * SHAPE_WIDTH) + SHIFT_LIMIT - shift,
        phase=_phase(_hash(key, "phase", 0, 1)[:, 0]),
        feeder_drop_v=FEEDER_DROP_V * between("distance", DISTANCE),
        service_v_per_wh=service_v_per_kw * (60 / SLOT_MINUTES / 1000.0),
        feeder_index=np.array(feeder_index, dtype=np.int64),
        feeder_keys=np.array([_name_key(seed, tenant_id, "feeder", f) for f in feeders], dtype=np.uint64),
        tenant_key=_name_key(seed, tenant_id, "weather"),
    )


def honest_reads(traits: MeterTraits, first_slot: int, n_slots: int, timezone: str) -> HonestReads:
    """Energy and voltage of every meter in slots first_slot .. first_slot + n_slots - 1, without any event.

    Slot k covers [k * 900 s, (k + 1) * 900 s) since the Unix epoch, UTC; habits follow the local clock of
    the IANA timezone. A read depends on its meter's traits, the tenant's weather and its slot alone.
    """
    energy = np.empty((len(traits), n_slots), dtype=np.int32)
    voltage = np.empty((len(traits), n_slots), dtype=np.int32)
    for start in range(0, n_slots, CHUNK_SLOTS):
        block = _block(traits.tenant_key, first_slot + start, min(CHUNK_SLOTS, n_slots - start), timezone)
        head = _head_volts(traits.feeder_keys, block)
        columns = slice(start, start + block.count)
        for rows in _chunks(len(traits), block.count):
            some = traits.take(rows)
            wh = _energy_wh(some, block)
            energy[rows, columns] = np.rint(wh)
            voltage[rows, columns] = np.rint(10.0 * _volts(some, block, head, wh))
    return HonestReads(energy, voltage)


def _chunks(n_meters: int, n_slots: int) -> Iterator[slice]:
    step = max(1, CHUNK_READS // n_slots)
    return (slice(start, start + step) for start in range(0, n_meters, step))


def _name_key(*names: object) -> int:
    return int.from_bytes(blake2b("\x1f".join(map(str, names)).encode(), digest_size=8).digest(), "little")


def _hash(keys: Words, stream: str, start: Ints | int, count: int) -> Words:
    """Splitmix64 of the counters start .. start + count - 1: (n,) keys -> (n, count).

    A stream, one for each use of a key, starts 2^32 counters or more from any other.
    """
    stream_start = np.uint64(crc32(stream.encode()) << 32)
    first = (np.atleast_1d(start).astype(np.uint64) + stream_start) * GOLDEN + keys
    z = first[:, None] + np.arange(count, dtype=np.uint64) * GOLDEN
    z ^= z >> np.uint64(30)
    z *= MIX_1
    z ^= z >> np.uint64(27)
    z *= MIX_2
    z ^= z >> np.uint64(31)
    return z


def _field(words: Words, number: int) -> Ints:
    """Twelve bits of a hash as a position in a table; a hash holds five such fields."""
    return ((words >> np.uint64(number * FIELD_BITS)) & np.uint64(TABLE_SIZE - 1)).astype(np.int64)


def _phase(words: Words) -> Ints:
    return (words & np.uint64(0xFFFF)).astype(np.int64)


@dataclass(frozen=True)
class _Windows:
    """Windows of `length` steps that cover `count` common steps, staggered by phase.

    index, offset : (n,) each one's first window, and where in it the common steps begin
    """

    index: Ints
    offset: Ints
    number: int
    length: int
    count: int

    def cut(self, steps: Floats) -> Floats:
        """(n, number * length) steps of each one's own windows -> (n, count) common steps."""
        views = np.lib.stride_tricks.sliding_window_view(steps, self.count, axis=1)
        return views[np.arange(len(steps)), self.offset]


def _windows(phase: Ints, first: int, count: int, length: int) -> _Windows:
    index, offset = np.divmod(first + phase, length)
    return _Windows(index, offset, (count + length - 2) // length + 1, length, count)


def _lines(knots: Floats, windows: _Windows) -> Floats:
    """Straight lines between knots at the starts of windows: (n, number + 1) -> (n, count)."""
    before, rise = knots[:, :-1], (knots[:, 1:] - knots[:, :-1]) / windows.length
    steps = np.empty((len(knots), windows.number * windows.length))
    for step in range(windows.length):
        steps[:, step :: windows.length] = before + rise * step
    return windows.cut(steps)


def _runs(start: Floats, duration: Floats, height: Floats, windows: _Windows) -> Floats:
    """Height times the part of each step that a run inside its window covers: (n, number) -> (n, count)."""
    end = start + duration
    steps = np.empty((len(start), windows.number * windows.length))
    for step in range(windows.length):
        covered = np.minimum(end, step + 1.0)
        covered -= np.maximum(start, float(step))
        np.maximum(covered, 0.0, out=covered)
        np.multiply(covered, height, out=steps[:, step :: windows.length])
    return windows.cut(steps)


def _normal_noise(keys: Words, stream: str, block_first: int, count: int, length: int) -> Floats:
    """Standard normal values every `length` slots with straight lines between: (n,) keys -> (n, count)."""
    windows = _windows(_phase(keys), block_first, count, length)
    words = _hash(keys, stream, windows.index, windows.number + 1)
    return _lines(NORMAL[_field(words, 0)], windows)


@dataclass(frozen=True)
class _Block:
    """What all meters share in a block of slots, (count,); `columns` reaches EDGE slots beyond both ends.

    columns : position in a row of SHAPES; day : local day since first_day
    cooling, heating : weather response, mean one; expected : expected feeder load over its mean
    """

    first: int
    count: int
    columns: Ints
    first_day: int
    day: Ints
    cooling: Floats
    heating: Floats
    expected: Floats


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
    return _Block(first, count, columns, first_day, day - first_day, cooling, heating, expected)


def _temperature(tenant_key: int, first: int, local: Ints) -> Floats:
    """Outdoor temperature of the tenant's region at local quarter hours: (count,) [deg C]."""
    day, quarter = np.divmod(local, QUARTERS_PER_DAY)
    temperature = load_profiles().temperature_c[day_of_leap_year(day), quarter]
    key = np.array([tenant_key], dtype=np.uint64)
    for stream, length, sigma in WEATHER_NOISES:
        temperature = temperature + sigma * _normal_noise(key, stream, first, len(local), length)[0]
    return temperature


def _energy_wh(traits: MeterTraits, block: _Block) -> Floats:
    """Standing load + day factor x (activity + appliance runs) + weather response: (n_meters, count) [Wh]."""
    wh, short_runs = _activity_and_short_runs(traits, block)
    wh *= SHAPES[traits.shape_row[:, None] + block.columns[EDGE : EDGE + block.count]]
    wh *= traits.activity_wh[:, None]
    wh += short_runs
    wh += _long_runs(traits, block)
    wh *= _day_factor(traits, block)[:, block.day]
    wh += traits.base_wh[:, None]
    wh += traits.cooling_wh[:, None] * block.cooling
    wh += traits.heating_wh[:, None] * block.heating
    return np.minimum(wh, traits.service_wh[:, None], out=wh)


def _activity_and_short_runs(traits: MeterTraits, block: _Block) -> tuple[Floats, Floats]:
    """Activity noise, mean one, and runs of a few minutes [Wh]; they share windows and hashes."""
    windows = _windows(traits.phase, block.first, block.count, SHORT_WINDOW)
    words = _hash(traits.key, "short_window", windows.index, windows.number + 1)
    knots = 1.0 + traits.roughness[:, None] * (ACTIVITY[_field(words, 0)] - 1.0)
    runs = _run_wh(words[:, :-1], traits, block, windows, traits.short_wh, SHORT_MINUTES)
    return _lines(knots, windows), runs


def persistent_noise(traits: MeterTraits, first_slot: int, n_slots: int, length: int) -> Floats:
    """Noise of mean one that persists for about `length` slots: (n_meters, n_slots); its cv is ACTIVITY_CV."""
    windows = _windows(traits.phase, first_slot, n_slots, length)
    words = _hash(traits.key, "habit_noise", windows.index, windows.number + 1)
    return _lines(ACTIVITY[_field(words, 0)], windows)


def _long_runs(traits: MeterTraits, block: _Block) -> Floats:
    windows = _windows(traits.phase, block.first, block.count, LONG_WINDOW)
    words = _hash(traits.key, "long_window", windows.index, windows.number)
    return _run_wh(words, traits, block, windows, traits.long_wh, LONG_MINUTES)


def _run_wh(
    words: Words,
    traits: MeterTraits,
    block: _Block,
    windows: _Windows,
    mean_wh: Floats,
    minutes: tuple[float, float],
) -> Floats:
    """At most one appliance run a window, likelier at busy times of day: (n, number) -> (n, count) [Wh]."""
    middle = EDGE - windows.offset + windows.length // 2
    columns = block.columns[middle[:, None] + windows.length * np.arange(windows.number)]
    happens = UNIFORM[_field(words, 1)] < RUN_CHANCE * SHAPES[traits.shape_row[:, None] + columns]
    shortest, longest = (m / SLOT_MINUTES for m in minutes)
    duration = shortest + (longest - shortest) * UNIFORM[_field(words, 2)]
    start = (windows.length - duration) * UNIFORM[_field(words, 3)]
    wh_of_mean_run = mean_wh * (windows.length / (RUN_CHANCE * (shortest + longest) / 2))
    return _runs(start, duration, happens * POWER[_field(words, 4)] * wh_of_mean_run[:, None], windows)


def _day_factor(traits: MeterTraits, block: _Block) -> Floats:
    """How busy each local day is, mean one: (n_meters, n_days)."""
    n_days = int(block.day.max()) + 1
    white = DAY[_field(_hash(traits.key, "day", block.first_day, n_days), 0)]
    windows = _windows(traits.phase, block.first_day, n_days, SLOW_DAYS)
    words = _hash(traits.key, "slow", windows.index, windows.number + 1)
    slow = _lines(SLOW[_field(words, 0)], windows)
    shortest, longest = AWAY_DAYS
    away = words[:, :-1]
    absence = np.where(UNIFORM[_field(away, 1)] < AWAY_CHANCE, 1.0 - AWAY_FACTOR, 0.0)
    duration = shortest + np.floor((longest - shortest + 1) * UNIFORM[_field(away, 2)])
    start = np.floor((SLOW_DAYS - duration + 1) * UNIFORM[_field(away, 3)])
    return white * slow * (1.0 - _runs(start, duration, absence, windows)) / (1.0 - AWAY_LOSS)


def _head_volts(feeder_keys: Words, block: _Block) -> Floats:
    """Voltage at the head of each feeder: (n_feeders, count) [V]."""
    set_point = HEAD_V + HEAD_SIGMA_V * NORMAL[_field(_hash(feeder_keys, "head", 0, 1), 0)]
    drift = _normal_noise(feeder_keys, "regulator", block.first, block.count, REGULATOR_SLOTS)
    return set_point + REGULATOR_SIGMA_V * drift


def _volts(traits: MeterTraits, block: _Block, head: Floats, wh: Floats) -> Floats:
    """Head voltage less the drops along the feeder and in the meter's own service: (n_meters, count) [V]."""
    volts = head[traits.feeder_index]
    volts -= traits.feeder_drop_v[:, None] * (block.expected / EXPECTED_PEAK)
    volts -= traits.service_v_per_wh[:, None] * wh
    volts += _meter_noise_v(traits.key, block)
    return volts


def _meter_noise_v(key: Words, block: _Block) -> Floats:
    """Noise of its own in each read, four reads to a hash: (n_meters, count) [V]."""
    first_word, offset = divmod(block.first, 4)
    words = _hash(key, "voltage", first_word, (offset + block.count + 3) // 4)
    position = np.empty((len(key), 4 * words.shape[1]), dtype=np.int64)
    for number in range(4):
        position[:, number::4] = _field(words, number)
    return METER_NOISE_V[position[:, offset : offset + block.count]]


def technical_loss_wh(mean_feeder_wh_per_slot: Any, delivered_wh: Any, interval_slots: float = 1.0) -> Ints:
    """Energy a feeder loses in an interval, a + b P^2, whole Wh; arguments broadcast.

    mean_feeder_wh_per_slot : mean load of the feeder [Wh per 15-minute slot]
    delivered_wh : honest energy of its meters in the interval [Wh]
    interval_slots : length of the interval in 15-minute slots, 1/3 for five minutes and 4 for an hour
    """
    mean = np.asarray(mean_feeder_wh_per_slot, dtype=np.float64)
    load = np.asarray(delivered_wh, dtype=np.float64) / interval_slots
    load_loss = LOAD_LOSS_SHARE / LOAD_FORM_FACTOR * load * load / np.where(mean > 0.0, mean, 1.0)
    return np.asarray(np.rint((NO_LOAD_SHARE * mean + load_loss) * interval_slots), dtype=np.int64)


def background_missing(traits: MeterTraits, first_slot: int, n_slots: int, share: float = MISSING_SHARE) -> Flags:
    """Reads that do not arrive in ordinary life: (n_meters, n_slots), over meters and time pooled `share`."""
    missing = np.zeros((len(traits), n_slots), dtype=np.bool_)
    steady = UNIFORM[_field(_hash(traits.key, "steady", 0, 1)[:, 0], 0)] < STEADY_METERS
    rate = np.where(steady, STEADY_RATE, (1.0 - STEADY_METERS * STEADY_RATE) / (1.0 - STEADY_METERS))
    for number, (_, longest, part) in enumerate(GAP_CLASSES):
        chance = share / MEAN_GAP_SLOTS * part * 2 * longest  # in a window of twice the longest gap
        _own_gaps(missing, traits, first_slot, number, chance * (1.0 - SHARED_GAPS) * rate)
        _shared_gaps(missing, traits, first_slot, number, chance * SHARED_GAPS / JOINING, JOINING * rate)
    return missing


def _happens(words: Words, chance: Floats | float) -> Flags:
    """Decide by the upper 40 bits of a hash; chances are too small for a table of 4096."""
    return (words >> np.uint64(24)).astype(np.float64) < np.asarray(chance) * 2.0**40


def _own_gaps(missing: Flags, traits: MeterTraits, first: int, number: int, chance: Floats) -> None:
    """Mark the gaps that meters have by themselves."""
    windows = _windows(traits.phase, first, missing.shape[1], 2 * GAP_CLASSES[number][1])
    for rows in _chunks(len(traits), windows.number):
        words = _hash(traits.key[rows], f"own_gap {number}", windows.index[rows], windows.number)
        row, window = np.nonzero(_happens(words, chance[rows, None]))
        word = words[row, window]
        row += rows.start
        slots = GAP_SLOTS[number][_field(word, 0)]
        begin = np.floor((windows.length - slots + 1) * UNIFORM[_field(word, 1)])
        begin += window * windows.length - windows.offset[row]
        _mark(missing, row, begin, slots)


def _shared_gaps(missing: Flags, traits: MeterTraits, first: int, number: int, chance: float, joining: Floats) -> None:
    """Mark gaps that begin together on a feeder; how long each lasts is up to the meter."""
    longest = GAP_CLASSES[number][1]
    windows = _windows(_phase(traits.feeder_keys), first, missing.shape[1], 2 * longest)
    words = _hash(traits.feeder_keys, f"shared_gap {number}", windows.index, windows.number)
    for feeder, window in np.argwhere(_happens(words, chance)):
        begin = np.floor((longest + 1) * UNIFORM[_field(words[feeder, window], 1)])
        begin += window * windows.length - windows.offset[feeder]
        members = np.flatnonzero(traits.feeder_index == feeder)
        index = int(windows.index[feeder] + window)
        own = _hash(traits.key[members], f"joining {number}", index, 1)[:, 0]
        joined = _happens(own, joining[members])
        slots = GAP_SLOTS[number][_field(own[joined], 0)]
        _mark(missing, members[joined], np.full(len(slots), begin), slots)


def _mark(missing: Flags, rows: NDArray[np.intp], begin: Floats, slots: Floats) -> None:
    for row, start, end in zip(rows, begin.astype(int), (begin + slots).astype(int), strict=True):
        missing[row, max(start, 0) : max(end, 0)] = True
