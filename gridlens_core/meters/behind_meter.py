"""Solar panels and electric cars of homes: what they add to a meter's net energy. Pure, like the load model."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from gridlens_core.meters.noise import UNIFORM, Hashes, counter_hash, field, normal_noise
from gridlens_core.meters.profiles import (
    MONTH_STARTS,
    QUARTERS_PER_DAY,
    SLOT_MINUTES,
    Floats,
    Ints,
    day_of_leap_year,
    quantised,
)

# Panels face south at 30 degrees, in Chicago; noon by the sun is a little after noon by the clock.
LATITUDE, TILT, SOLAR_NOON = 41.9, 30.0, 12.7
DECLINATION, SOLSTICE_DAY = 23.44, 172
HAZE = 0.3  # exponent: what the longer way through the air takes of a low sun, fitted to a capacity factor of .15
CLEARNESS, CLEAREST, DULLEST = 0.75, 1.05, 0.10
SKY_NOISES = (("sky", 84, 0.30), ("cumulus", 6, 0.18))  # stream, slots between knots, sigma
MEAN_CLEARNESS = 0.722  # of the above once clipped; a test holds it

CAR_WH = 7_000 * SLOT_MINUTES / 60  # of a slot at 7 kW, a 240 V home charger at 30 A
CAR_CHANCE = 0.7  # that a car is charged in an evening
CAR_FROM, CAR_START_SLOTS, CAR_SLOTS = 17 * 4, 16, (2, 12)  # plugged in from 17:00 to 21:00, for half an hour to three
CAR_MEAN_WH = CAR_WH * CAR_CHANCE * sum(CAR_SLOTS) / 2 / QUARTERS_PER_DAY  # 30 miles a day at .3 kWh


@lru_cache(maxsize=1)
def clear_sky() -> Floats:
    """(366, 96) what panels yield under a clear sky, mean one over a year."""
    day = np.arange(int(MONTH_STARTS[-1]))[:, None]
    hour = (np.arange(QUARTERS_PER_DAY) + 0.5) / 4 - SOLAR_NOON
    declination = np.radians(DECLINATION) * np.cos(2 * np.pi * (day - SOLSTICE_DAY) / len(day))
    turn = np.cos(2 * np.pi * hour / 24)

    def towards(latitude: float) -> Floats:
        """Sine of the sun's height over a plane that lies flat at this latitude."""
        at = np.radians(latitude)
        return np.asarray(np.sin(declination) * np.sin(at) + np.cos(declination) * np.cos(at) * turn)

    height = np.maximum(towards(LATITUDE), 0.0)
    yields = np.maximum(towards(LATITUDE - TILT), 0.0) * height**HAZE
    table = quantised(yields / yields.mean())
    table.setflags(write=False)
    return table


def sun(tenant_key: int, first: int, local: Ints) -> Floats:
    """What panels yield in slots, over their mean of a year: (count,). One sky for a tenant.

    first : of the slots, since 1970, UTC; local : (count,) their local quarter hours since 1970
    """
    day, quarter = np.divmod(local, QUARTERS_PER_DAY)
    clear = clear_sky()[day_of_leap_year(day), quarter]
    if not clear.any():
        return clear
    key = np.array([tenant_key], dtype=np.uint64)
    clearness = CLEARNESS
    for stream, length, sigma in SKY_NOISES:
        clearness = clearness + sigma * normal_noise(key, stream, first, len(local), length)[0]
    return np.asarray(clear * np.clip(clearness, DULLEST, CLEAREST) / MEAN_CLEARNESS)


def charging_wh(keys: Hashes, first_day: int, day: Ints, quarter: Ints) -> Floats:
    """What cars take in slots: (n_cars, count) [Wh].

    keys : (n_cars,) of their meters; day, quarter : (count,) local day since first_day, and quarter hour of it
    """
    hashes = counter_hash(keys, "car", first_day, int(day.max()) + 1)
    shortest, longest = CAR_SLOTS
    start = CAR_FROM + CAR_START_SLOTS * UNIFORM[field(hashes, 1)]
    end = start + shortest + (longest - shortest) * UNIFORM[field(hashes, 2)]
    power = np.where(UNIFORM[field(hashes, 0)] < CAR_CHANCE, CAR_WH, 0.0)
    charged = np.minimum(end[:, day], quarter + 1.0) - np.maximum(start[:, day], quarter)
    return np.asarray(np.maximum(charged, 0.0) * power[:, day])
