"""What stays the same about each meter: how its energy is made up, its day shape, its place on the feeder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

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

ENERGY_PARTS = ("base_wh", "activity_wh", "short_wh", "long_wh", "cooling_wh", "heating_wh")


@dataclass(frozen=True)
class MeterTraits:
    """What stays the same about each meter; arrays are (n_meters,) unless said.

    key : of its noise
    commercial : small commerce, not a home
    mean_wh_per_slot : long-run expected energy of a 15-minute slot, the sum of the next six [Wh]
    base_wh : standing load, mean over a year, as of the next five [Wh per slot]
    activity_wh : habits
    short_wh, long_wh : short and long appliance runs
    cooling_wh, heating_wh : weather response
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
    tenant_key: int

    def __len__(self) -> int:
        return len(self.key)

    def take(self, index: NDArray[Any] | slice) -> MeterTraits:
        """Some of the meters, by positions, mask or slice; their reads stay the same."""
        shared = {"feeder_keys", "tenant_key"}
        own = [one.name for one in fields(self) if one.name not in shared]
        return replace(self, **{name: getattr(self, name)[index] for name in own})


def meter_traits(
    seed: int,
    tenant_id: str,
    meter_ids: Sequence[str] | NDArray[Any],
    feeder_ids: Sequence[str] | NDArray[Any],
) -> MeterTraits:
    """Draw the traits of meters: a pure function of seed, tenant and each meter's own id.

    meter_ids : (n_meters,)
    feeder_ids : (n_meters,) the feeder of each; it decides only the voltage at its head and the shared gaps
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
        fickleness=np.where(commercial, COMMERCIAL_FICKLENESS, between("fickleness", FICKLENESS)),
        weekday=WEEKDAY[field(counter_hash(key, "weekday", 0, 7), 0)],
        shape_row=kind * (2 * SHAPE_WIDTH) + SHIFT_LIMIT - shift,
        phase=phase_of(counter_hash(key, "phase", 0, 1)[:, 0]),
        feeder_drop_v=FEEDER_DROP_V * between("distance", DISTANCE),
        service_v_per_wh=service_v_per_kw * (60 / SLOT_MINUTES / 1000.0),
        feeder_index=np.array(feeder_index, dtype=np.int64),
        feeder_keys=np.array([name_key(seed, tenant_id, "feeder", f) for f in feeders], dtype=np.uint64),
        tenant_key=name_key(seed, tenant_id, "weather"),
    )
