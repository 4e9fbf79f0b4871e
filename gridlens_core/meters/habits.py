"""What each meter of a history usually uses, and the honest reads that continue it.
Pure, like the load model; used where a tenant's meters have a history of their own."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from gridlens_core.meters.load_model import ACTIVITY, HonestReads, honest_reads
from gridlens_core.meters.noise import Flags, Hashes, Windows, counter_hash, field
from gridlens_core.meters.past_days import PastDays, past_day_wh
from gridlens_core.meters.profiles import QUARTERS_PER_DAY, SLOT_MINUTES, Floats, Ints, local_quarters
from gridlens_core.meters.traits import MeterTraits

# Coefficient of variation of `persistent_noise`, by how many slots it persists; a test measures them.
NOISE_CV = {1: 0.96, 2: 0.835, 3: 0.81, 5: 0.79}
PERSISTENT_FROM_CV = 0.3  # smaller scatter, as of averaged or smoothed reads, is white noise; that of homes persists
USUAL_MEMORY = 5  # slots, where a history says nothing of it
MODEL_MEAN_V = 122.3  # of the load model on a 120 V base; TARGETS of real feeders 120.9-123.5
HIGH_BASE_V = 150.0  # a history above this is not on a 120 V base


def is_weekend(local_quarter: Ints) -> Flags:
    """Whether local quarter hours since 1970 are of a Saturday or Sunday; 1 January 1970 was a Thursday."""
    return np.asarray((local_quarter // QUARTERS_PER_DAY + 3) % 7 >= 5, np.bool_)


@dataclass(frozen=True)
class Habits:
    """Learned from a meter's own recent reads; arrays are (n_meters,) unless said.

    mean_wh : (n_meters, 96) usual energy of each quarter hour of the local day [Wh]
    scatter : coefficient of variation of a read about its usual energy
    mean_v : usual voltage [V], NaN where the history has none
    noise_key : of the noise of small scatter; two neighbours share one
    mirrored : whether that noise is taken with the opposite sign, so that the two cancel in the feeder's sum
    missing_share : part of the reads that were due and did not arrive
    memory : slots over which a deviation of larger scatter lasts, one of NOISE_CV
    weekend : energy of a day of the weekend over that of a weekday
    minutes : interval of the history's newest reads, in most meters
    days : whole days of the past, from which meters of larger scatter go on; None where none are kept
    """

    mean_wh: Floats
    scatter: Floats
    mean_v: Floats
    noise_key: Hashes
    mirrored: Flags
    missing_share: float = 0.0
    memory: Ints | None = None
    weekend: Floats | None = None
    minutes: int = SLOT_MINUTES
    days: PastDays | None = None

    def take(self, index: Any) -> Habits:
        """Some of the meters."""
        return replace(
            self,
            mean_wh=self.mean_wh[index],
            scatter=self.scatter[index],
            mean_v=self.mean_v[index],
            noise_key=self.noise_key[index],
            mirrored=self.mirrored[index],
            memory=None if self.memory is None else self.memory[index],
            weekend=None if self.weekend is None else self.weekend[index],
            days=None if self.days is None else self.days.take(index),
        )

    @property
    def mean_wh_per_slot(self) -> Floats:
        """(n_meters,) long-run energy of a quarter hour [Wh]."""
        return np.asarray(self.mean_wh.mean(axis=1), dtype=np.float64)


def persistent_noise(traits: MeterTraits, first_slot: int, n_slots: int, length: int) -> Floats:
    """Noise of mean one that persists for about `length` slots: (n_meters, n_slots); see NOISE_CV."""
    windows = Windows.covering(traits.phase, first_slot, n_slots, length)
    hashes = counter_hash(traits.key, "habit_noise", windows.index, windows.number + 1)
    return windows.lines(ACTIVITY[field(hashes, 0)])


def habit_reads(traits: MeterTraits, habits: Habits, first_slot: int, n_slots: int, timezone: str) -> HonestReads:
    """Honest reads that continue a history: the meter's own past days where its reads scatter much, else the usual
    energy of the quarter hour times noise of the same scatter.

    The voltage is that of the load model, moved to the history's own mean, and scaled where its base is not 120 V.

    first_slot, n_slots, timezone : as of `load_model.honest_reads`
    Returns arrays (n_meters, n_slots).
    """
    local = local_quarters(first_slot, n_slots, timezone)
    wh = habits.mean_wh[:, local % QUARTERS_PER_DAY]
    if habits.weekend is not None:
        wh = wh * np.where(is_weekend(local), habits.weekend[:, None], 1.0)
    even = habits.scatter < PERSISTENT_FROM_CV
    if even.any():
        weight = np.where(habits.mirrored, -habits.scatter, habits.scatter)[even, None] / NOISE_CV[1]
        pair = replace(traits.take(even), key=habits.noise_key[even], phase=np.zeros(int(even.sum()), np.int64))
        wh[even] *= np.maximum(1.0 + weight * (persistent_noise(pair, first_slot, n_slots, 1) - 1.0), 0.0)
    again = ~even & (habits.days.enough if habits.days is not None else False)
    if habits.days is not None and again.any():
        days, mean_wh = habits.days.take(again), habits.mean_wh[again]
        wh[again] = past_day_wh(days, traits.key[again], mean_wh, first_slot, local)
    memory = np.full(len(wh), USUAL_MEMORY) if habits.memory is None else habits.memory
    rest = ~even & ~again
    for length in np.unique(memory[rest]).tolist():
        these = rest & (memory == length)
        weight = np.minimum(habits.scatter[these] / NOISE_CV[length], 1.0)[:, None]
        wh[these] *= 1.0 + weight * (persistent_noise(traits.take(these), first_slot, n_slots, length) - 1.0)
    voltage_dv = honest_reads(traits, first_slot, n_slots, timezone).voltage_dv
    base = np.where(np.isnan(habits.mean_v), MODEL_MEAN_V, habits.mean_v)[:, None]
    scale = np.where(base > HIGH_BASE_V, base / MODEL_MEAN_V, 1.0)
    moved = 10 * base + (voltage_dv - 10 * MODEL_MEAN_V) * scale
    return HonestReads(np.rint(wh).astype(np.int32), np.rint(moved).astype(np.int32))
