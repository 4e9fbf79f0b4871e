"""How realistic the emulated reads are: a few figures of a tenant's emulated homes beside measured bands.
The whole table over a year is `python -m benchmarks.realism`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np

from gridlens_core.meters.emulator import Span, honest_intervals
from gridlens_core.meters.fleet import Fleet
from gridlens_core.meters.profiles import QUARTERS_PER_DAY, SLOT_MINUTES, Floats
from gridlens_core.meters.voltage_limits import RANGE_A_V

DAYS = 28
MOST_HOMES = 330
COINCIDENT_HOMES = 20


@dataclass(frozen=True)
class Figure:
    """One figure of the emulated homes, the band of real homes, low to high, and where the band was measured."""

    name: str
    emulated: float
    low: float
    high: float
    source: str

    @property
    def inside(self) -> bool:
        return self.low <= self.emulated <= self.high


@dataclass(frozen=True)
class RealDay:
    """A measured day: (96,) energy of each quarter hour over the day's mean, and its source."""

    values: tuple[float, ...]
    what: str
    source: str


@cache
def real_day() -> RealDay:
    """One real home's day, as shares of its mean."""
    said: dict[str, Any] = json.loads((files(__package__) / "real_day.json").read_text(encoding="utf-8"))["day"]
    return RealDay(tuple(said["values"]), said["what"], said["source"])


def emulated_day(fleet: Fleet, day_start: datetime) -> tuple[float, ...]:
    """(96,) a day of the home whose level is nearest to the median, over that day's mean."""
    level = fleet.mean_wh_per_slot
    plain = ~fleet.traits.commercial & ~fleet.traits.exports
    homes = np.flatnonzero(plain) if plain.any() else np.arange(len(fleet))
    typical = homes[np.argmin(np.abs(level[homes] - np.median(level[homes])))]
    wh, _ = honest_intervals(
        fleet.take(np.arange(len(fleet)) == typical), Span(day_start, SLOT_MINUTES, QUARTERS_PER_DAY)
    )
    return tuple((wh[0] / max(wh[0].mean(), 1)).tolist())


def figures(fleet: Fleet, end: datetime) -> Sequence[Figure]:
    """Figures of homes without panels, as the measured ones are, over the four weeks before `end`, a local midnight."""
    chosen = np.flatnonzero(~fleet.traits.commercial & ~fleet.traits.exports)[:MOST_HOMES]
    homes = fleet.take(np.isin(np.arange(len(fleet)), chosen))
    wh, dv = honest_intervals(homes, Span(end - timedelta(days=DAYS), SLOT_MINUTES, DAYS * QUARTERS_PER_DAY))
    energy = wh.astype(np.float64)
    daily = energy.reshape(len(energy), DAYS, QUARTERS_PER_DAY).sum(axis=2)
    low, high = RANGE_A_V
    outside = ((dv < 10 * low) | (dv > 10 * high)).mean()
    # Bands: medians over meters of measured sets, of a year; four weeks in one season scatter a little more.
    return (
        Figure("Energy of a home, kWh a day", float(daily.mean() / 1000), 20, 45, "EIA 29.3, California 27.3"),
        Figure("Spread between homes, sigma of ln kWh a day", _sigma_ln(daily), 0.50, 0.75,
               "Australia .66, London .63, Netherlands .55"),
        Figure("Scatter within a home, standard deviation over mean", _median_cv(energy), 0.75, 1.30,
               "US .71 to 1.16, Germany .84 to 1.30"),
        Figure("Likeness of one quarter hour to the next", _median_memory(energy), 0.50, 0.80, "US .45 to .81"),
        Figure("Quarter hours after which the load turns, %", 100 * _turns(energy), 55, 62, "Germany and US 57 to 60"),
        Figure(f"Peak of {COINCIDENT_HOMES} homes together over the sum of their peaks", _coincidence(energy),
               0.24, 0.46, "Australia .27, California .46"),
        Figure("Correlation of two homes, hourly", _pair_correlation(energy), 0.04, 0.25,
               "Australia .05, California .22"),
        Figure(f"Reads outside {low:.0f} to {high:.0f} V, %", float(100 * outside), 0.0, 0.1,
               "solved US feeders 0 to .09"),
    )  # fmt: skip


def _sigma_ln(daily: Floats) -> float:
    return float(np.log(daily.mean(axis=1)).std(ddof=1))


def _median_cv(energy: Floats) -> float:
    return float(np.median(energy.std(axis=1) / energy.mean(axis=1)))


def _median_memory(energy: Floats) -> float:
    """Correlation of each read with the next, the median over homes."""
    centred = energy - energy.mean(axis=1, keepdims=True)
    return float(np.median((centred[:, 1:] * centred[:, :-1]).mean(axis=1) / centred.var(axis=1)))


def _turns(energy: Floats) -> float:
    """Share of steps that go the other way than the step before, the median over days."""
    steps = np.diff(energy.reshape(-1, QUARTERS_PER_DAY), axis=1)
    return float(np.median((steps[:, 1:] * steps[:, :-1] < 0).mean(axis=1)))


def _coincidence(energy: Floats) -> float:
    """Half-hour peak of groups of homes over the sum of their own peaks, the mean over groups."""
    half_hours = energy.reshape(len(energy), -1, 2).sum(axis=2)
    groups = len(half_hours) // COINCIDENT_HOMES
    grouped = half_hours[: groups * COINCIDENT_HOMES].reshape(groups, COINCIDENT_HOMES, -1)
    return float((grouped.sum(axis=1).max(axis=1) / grouped.max(axis=2).sum(axis=1)).mean()) if groups else float("nan")


def _pair_correlation(energy: Floats) -> float:
    """Median over pairs of homes."""
    hourly = energy[:150].reshape(min(len(energy), 150), -1, 4).sum(axis=2)
    pairs = np.corrcoef(hourly)[np.triu_indices(len(hourly), 1)]
    return float(np.median(pairs))
