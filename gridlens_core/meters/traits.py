"""What stays the same about each meter: how its energy is made up, its day shape, its place on the feeder.
What makes feeders differ is in feeders.py."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gridlens_core.meters.behind_meter import CAR_MEAN_WH
from gridlens_core.meters.feeders import FeederKind, feeder_kind
from gridlens_core.meters.noise import (
    NORMAL,
    UNIFORM,
    Flags,
    Hashes,
    counter_hash,
    field,
    lognormal_table,
    name_key,
    phase_of,
)
from gridlens_core.meters.profiles import QUARTERS_PER_DAY, SLOT_MINUTES, Floats, Ints, load_profiles

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
FICKLENESS, COMMERCIAL_FICKLENESS = (0.25, 1.70), 0.5  # how far a meter's days differ, fitted to measured spread
WEEKDAY_SIGMA, WEEKDAY_CLIP = 0.055, 2.5  # each household has its own washing day; fitted to measured weekday shares
SOLAR_HOMES, SOLAR_SHARE = 0.10, (0.40, 0.95)  # homes with panels; their yield, of the energy used
CAR_HOMES = 0.06  # homes that charge an electric car
SERVICE_WH = 200 * 240 * 0.8 / 4  # a 200 A service at 80 %, a slot long; National Electrical Code
SERVICE_TIMES_MEAN = 12.0  # larger customers have larger services

# Voltage drops on a 120 V base, fitted to power-flow solutions of EPRI feeders.
FEEDER_DROP_V, DISTANCE = 7.0, (0.35, 1.0)  # at the far end at peak load; electrical distance of a meter
SERVICE_V_PER_KW, SERVICE_V_LIMITS = 0.27, (0.03, 0.42)  # mean home; large services have large conductors

SIZE = lognormal_table(SIZE_SIGMA, SIZE_CLIP)
WEEKDAY = lognormal_table(WEEKDAY_SIGMA, WEEKDAY_CLIP)

# Day shapes in one row per type and kind of day, with room at both ends for shifted habits.
SHAPE_WIDTH = QUARTERS_PER_DAY + 2 * SHIFT_LIMIT
SHAPES = np.pad(load_profiles().activity, ((0, 0), (0, 0), (SHIFT_LIMIT, SHIFT_LIMIT)), mode="wrap").ravel()

ENERGY_PARTS = (
    "base_wh", "activity_wh", "short_wh", "long_wh", "cooling_wh", "heating_wh", "car_wh", "solar_wh"
)  # fmt: skip


@dataclass(frozen=True)
class MeterTraits:
    """What stays the same about each meter; arrays are (n_meters,) unless said.

    key : of its noise
    commercial : small commerce, not a home
    mean_wh_per_slot : long-run expected net energy of a 15-minute slot, the sum of the next eight [Wh]
    base_wh : standing load, mean over a year, as of the next seven [Wh per slot]
    activity_wh : habits
    short_wh, long_wh : short and long appliance runs
    cooling_wh, heating_wh : weather response
    car_wh : an electric car, 0 without one
    solar_wh : what its panels take off the net energy, under 0, or 0 without panels
    service_wh : most that its service carries in a slot [Wh]
    roughness : how far it follows activity noise, 0 to 1
    fickleness : how far it follows the noise of days, about 1
    weekday : (n_meters, 7) its own share in each day of the week from Monday on, about 1
    shape_row : where its day shape starts in SHAPES
    phase : how far its windows are staggered [slots]
    feeder_drop_v : voltage drop along the feeder at expected peak load [V]
    service_v_per_wh : voltage drop of its own load [V per Wh in a slot]
    feeder_index : position in feeder_keys
    feeder_keys : (n_feeders,) of each feeder's noise
    feeder_head_v : (n_feeders,) how much higher than usual its head is kept [V]
    feeder_gaps : (n_feeders,) reads missing without any event, over the fleet's share
    tenant_key : of the weather, one for the tenant
    """

    key: Hashes
    commercial: Flags
    mean_wh_per_slot: Floats
    base_wh: Floats
    activity_wh: Floats
    short_wh: Floats
    long_wh: Floats
    cooling_wh: Floats
    heating_wh: Floats
    car_wh: Floats
    solar_wh: Floats
    service_wh: Floats
    roughness: Floats
    fickleness: Floats
    weekday: Floats
    shape_row: Ints
    phase: Ints
    feeder_drop_v: Floats
    service_v_per_wh: Floats
    feeder_index: Ints
    feeder_keys: Hashes
    feeder_head_v: Floats
    feeder_gaps: Floats
    tenant_key: int

    def __len__(self) -> int:
        return len(self.key)

    def take(self, index: NDArray[Any] | slice) -> MeterTraits:
        """Some of the meters, by positions, mask or slice; their reads stay the same."""
        return replace(self, **{name: getattr(self, name)[index] for name in OWN_TRAITS})

    @property
    def exports(self) -> Flags:
        """(n_meters,) whether it has panels, and so may send net energy under zero."""
        return self.solar_wh < 0


SHARED_TRAITS = ("feeder_keys", "feeder_head_v", "feeder_gaps", "tenant_key")
OWN_TRAITS = tuple(one.name for one in fields(MeterTraits) if one.name not in SHARED_TRAITS)


def meter_traits(
    seed: int,
    tenant_id: str,
    meter_ids: Sequence[str] | NDArray[Any],
    feeder_ids: Sequence[str] | NDArray[Any],
) -> MeterTraits:
    """Draw the traits of meters: a pure function of seed, tenant, and each meter's own id and feeder.

    meter_ids : (n_meters,)
    feeder_ids : (n_meters,) the feeder of each; its kind decides on the mix of customers, the voltage and the gaps.
        A large customer is one of all the feeder's meters, whoever they are
    Raises ValueError if the lengths differ.
    """
    if len(meter_ids) != len(feeder_ids):
        raise ValueError(f"{len(meter_ids)} meter ids, but {len(feeder_ids)} feeder ids")
    profiles = load_profiles()
    key = np.array([name_key(seed, tenant_id, "meter", meter) for meter in meter_ids], dtype=np.uint64)
    feeders: dict[str, int] = {}
    feeder_index = [feeders.setdefault(str(feeder), len(feeders)) for feeder in feeder_ids]

    def draw(stream: str, table: Floats = UNIFORM) -> Floats:
        return table[field(counter_hash(key, stream, 0, 1)[:, 0], 0)]

    def between(stream: str, low_high: tuple[float, float]) -> Floats:
        return low_high[0] + (low_high[1] - low_high[0]) * draw(stream)

    kinds = [feeder_kind(feeder) for feeder in feeders]
    on = np.array(feeder_index, dtype=np.int64)
    large = _large_customers(key, on, kinds)
    commercial = (draw("commercial") < np.array([kind.commercial_share for kind in kinds])[on]) | (large >= 0)
    size = draw("size", SIZE) * np.where(commercial, COMMERCIAL_TIMES_HOME, 1.0)
    size = np.where(large >= 0, np.array(profiles.times_home)[large], size)
    use = size * (MEAN_HOME_WH_PER_DAY / QUARTERS_PER_DAY)
    car = np.where(~commercial & (draw("car") < CAR_HOMES), CAR_MEAN_WH, 0.0)
    panels = ~commercial & (draw("panels") < SOLAR_HOMES)
    solar = np.where(panels, -between("solar", SOLAR_SHARE) * use, 0.0)
    base = between("base", BASE_SHARE)
    weather = np.where(draw("weather_home") < WEATHER_HOMES, between("weather", WEATHER_SHARE), 0.0)
    cooling = between("cooling", COOLING_PART)
    habits = 1.0 - base - weather
    appliance = np.where(commercial, COMMERCIAL_APPLIANCE_SHARE, between("appliance", APPLIANCE_SHARE))
    long_part = between("long", LONG_PART)
    home_type = np.searchsorted(np.cumsum(profiles.home_shares)[:-1], draw("type"))
    kind = np.where(commercial, len(profiles.home_shares) + 1 + large, home_type)
    shift = np.clip(np.rint(draw("shift", NORMAL) * SHIFT_SIGMA), -SHIFT_LIMIT, SHIFT_LIMIT).astype(np.int64)
    service_v_per_kw = np.clip(SERVICE_V_PER_KW / np.sqrt(size * np.sqrt(size)), *SERVICE_V_LIMITS)
    return MeterTraits(
        key=key,
        commercial=commercial,
        mean_wh_per_slot=use + car + solar,
        base_wh=use * base,
        activity_wh=use * habits * (1.0 - appliance),
        short_wh=use * habits * appliance * (1.0 - long_part),
        long_wh=use * habits * appliance * long_part,
        cooling_wh=use * weather * cooling,
        heating_wh=use * weather * (1.0 - cooling),
        car_wh=car,
        solar_wh=solar,
        service_wh=np.maximum(SERVICE_WH, SERVICE_TIMES_MEAN * use),
        roughness=np.where(commercial, COMMERCIAL_ROUGHNESS, between("roughness", ROUGHNESS)),
        fickleness=np.where(commercial, COMMERCIAL_FICKLENESS, between("fickleness", FICKLENESS)),
        weekday=WEEKDAY[field(counter_hash(key, "weekday", 0, 7), 0)],
        shape_row=kind * (2 * SHAPE_WIDTH) + SHIFT_LIMIT - shift,
        phase=phase_of(counter_hash(key, "phase", 0, 1)[:, 0]),
        feeder_drop_v=FEEDER_DROP_V * between("distance", DISTANCE) * np.array([kind.length for kind in kinds])[on],
        service_v_per_wh=service_v_per_kw * (60 / SLOT_MINUTES / 1000.0),
        feeder_index=on,
        feeder_keys=np.array([name_key(seed, tenant_id, "feeder", f) for f in feeders], dtype=np.uint64),
        feeder_head_v=np.array([kind.head_v for kind in kinds], dtype=np.float64),
        feeder_gaps=np.array([kind.gaps for kind in kinds], dtype=np.float64),
        tenant_key=name_key(seed, tenant_id, "weather"),
    )


def _large_customers(key: Hashes, feeder_index: Ints, kinds: Sequence[FeederKind]) -> Ints:
    """(n_meters,) which large customer each meter is, a position among those of the profiles; -1 for none."""
    large = np.full(len(key), -1, dtype=np.int64)
    names = load_profiles().names[-len(load_profiles().times_home) :]
    for number, kind in enumerate(kinds):
        if kind.customers:
            own = np.flatnonzero(feeder_index == number)
            chosen = own[np.argsort(key[own])][: len(kind.customers)]
            large[chosen] = [names.index(customer) for customer in kind.customers][: len(chosen)]
    return large
