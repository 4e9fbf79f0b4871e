"""Hold a year of emulated reads to the figures of real meters: python -m benchmarks.realism [--seeds 11 12 13].
Bands are from public smart-meter data and from power-flow solutions of EPRI feeders; see `FIGURES`."""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from datetime import UTC, date, datetime

import numpy as np
from numpy.typing import NDArray

from benchmarks.fine_structure import day_figures, step_figures
from gridlens_core.meters.load_model import honest_reads
from gridlens_core.meters.profiles import SLOT_MINUTES
from gridlens_core.meters.traits import meter_traits
from gridlens_core.meters.voltage_limits import LOW_VOLTAGE_V

Floats = NDArray[np.float64]

SLOTS_PER_HOUR = 60 // SLOT_MINUTES
SLOTS_PER_DAY = 24 * SLOTS_PER_HOUR
METERS_PER_FEEDER = 40
COARSE_HOMES = 150  # homes taken for the half-hourly and hourly figures
COINCIDENCE_HOMES = (2, 5, 10, 20, 42)
COINCIDENCE_DRAWS = 150
STANDARD_TIME = "Etc/GMT+6"  # US Central standard time all year, as load research keeps it


@dataclass(frozen=True)
class Band:
    """A closed interval a figure must fall into, and what real meters show."""

    low: float
    high: float
    real: str

    def holds(self, value: float) -> bool:
        return self.low <= value <= self.high


# SGSC: Smart-Grid Smart-City, Australia; LCL: Low Carbon London; CA: CityLearn homes, California;
# US6, GE3: six US and three German homes; NL: Netherlands; ckt: EPRI test circuits.
FIGURES = {
    "kwh_day_mean": Band(26, 34, "EIA 29.3, CA 27.3, US6 31.7"),
    "sigma_ln_day": Band(0.50, 0.75, "SGSC .66, LCL .63, NL .55"),
    "gini_day": Band(0.26, 0.40, "SGSC .29-.35, LCL .33"),
    "cv15": Band(0.75, 1.30, "US6 .71-1.16, GE3 .84-1.30"),
    "cv15_p90_p10": Band(1.4, 2.6, "1.7-2.2"),
    "cv15_over_cv60": Band(1.10, 1.36, "US6 1.11-1.30, GE3 1.21-1.34"),
    "skew15": Band(1.4, 4.5, "US6 .85-2.3, GE3 2.6-4.5"),
    "zero15": Band(0, 0.06, "mostly 0, SGSC mean .056"),
    "p99_15": Band(3.5, 7.2, "US6 2.9-5.0, GE3 4.9-7.2"),
    "lf15_year": Band(0.04, 0.12, "GE3 .04-.10"),
    "lf15_day": Band(0.18, 0.40, "US6 .23-.43, GE3 .15-.23"),
    "base": Band(0.15, 0.35, "SGSC .13, LCL .26, CA .27, US6 .17-.34"),
    "acf1_15": Band(0.50, 0.80, "US6 .45-.81, GE3 .51-.67"),
    "acf1h_15": Band(0.20, 0.45, "GE3 .22-.42"),
    "acfday_15": Band(0.11, 0.35, "GE3 .11-.34"),
    "acf1_30": Band(0.38, 0.70, "SGSC .38, LCL .60, GE3 .47-.64"),
    "acf1_60": Band(0.35, 0.75, "SGSC .35, GE3 .43-.65, CA .70"),
    "acfday_60": Band(0.17, 0.50, "SGSC .23, GE3 .17-.50, CA .50"),
    "prof_r2_15": Band(0.06, 0.18, "GE3 .08-.10, CA .16"),
    "cv_day": Band(0.28, 0.50, "LCL .30, SGSC .40, CA .40"),
    "acf_dayday": Band(0.30, 0.80, "SGSC .53, CA .70, GE3 .31-.85"),
    "r_pair_60": Band(0.04, 0.25, "SGSC .05, CA .22"),
    "cf30_2": Band(0.62, 0.80, "SGSC .71, CA .76"),
    "cf30_5": Band(0.42, 0.60, "SGSC .46, CA .59"),
    "cf30_10": Band(0.30, 0.52, "SGSC .34, CA .51"),
    "cf30_20": Band(0.24, 0.46, "SGSC .27, CA .46"),
    "cf30_42": Band(0.19, 0.40, "SGSC .22"),
    "peak_hour": Band(17, 20, "SGSC 19, LCL 19, US6 18, ckt5 18-19"),
    "peak_over_mean": Band(1.28, 1.56, "ckt5 1.34, SGSC 1.40, LCL 1.52"),
    "min_over_mean": Band(0.50, 0.72, "SGSC .50, LCL .54, ckt5 .69"),
    "we_over_wd": Band(0.96, 1.09, "ckt5 .965, SGSC 1.05, CA 1.08"),
    "month_max_min": Band(1.25, 1.85, "SGSC 1.43, CA 1.79"),
    "f_lf": Band(0.38, 0.65, "ckt5 .42, ckt24 .48, ckt7 .63"),
    "f_lf_day": Band(0.70, 0.90, ".72-.89"),
    "f_acf1h": Band(0.94, 0.985, ".965-.977"),
    "f_acf24h": Band(0.80, 0.95, ".82-.91"),
    "f_min_mean": Band(0.34, 0.64, ".41-.62"),
    "f_cv_day": Band(0.10, 0.30, ".13-.28"),
    "v_mean": Band(120.9, 123.5, "ckt7 121.0, ckt5 122.6, ckt24 123.4"),
    "v_sd": Band(1.0, 2.2, "1.03-2.13"),
    "v_meter_sd_time": Band(0.75, 1.9, ".79-1.89"),
    "v_sd_meters": Band(0.20, 0.85, ".23-.81"),
    "v_swing_day": Band(1.8, 5.7, "1.84-5.65"),
    "v_corr_load": Band(-1, -0.65, "-1 to -.67"),
    "v_resid_sd": Band(0.30, 0.75, ".45-.50"),
    "v_light_minus_peak": Band(2.5, 6.5, "2.9-6.3"),
    "v_lt114": Band(0, 0.001, "0 to 9e-4"),
    "v_gt126": Band(0, 0.0005, "0"),
    "turns_15": Band(0.55, 0.62, "GE3, US6 .57-.60"),
    "straight_15": Band(0.03, 0.08, "GE3, US6 .06"),
    "alike_15": Band(0.02, 0.04, "GE3 .02-.04"),
    "zero_homes": Band(0.5, 0.8, "SGSC .70, CA .71"),
    "acf_7days": Band(0.28, 0.46, "SGSC .31, CA .44"),
    "cv_day_p90_p10": Band(1.8, 3.0, "CA 1.80, SGSC 2.96"),
    "weekday_spread": Band(0.050, 0.062, "SGSC .054, CA .058"),
}


@dataclass(frozen=True)
class Sample:
    """Reads of whole local days: kwh, voltage (n_meters, n_slots) [kWh, V]; left_out (n_meters,) are no homes, or
    homes with panels, which the measured ones are not."""

    kwh: Floats
    voltage: Floats
    left_out: NDArray[np.bool_]
    first_day: date


def emulated(seed: int, tenant_id: str, n_meters: int, first_day: date, n_days: int) -> Sample:
    """The emulator's honest reads from local midnight of `first_day`."""
    meters = [f"MTR-{1 + number:05d}" for number in range(n_meters)]
    feeders = [f"FEEDER_{1 + number // METERS_PER_FEEDER}" for number in range(n_meters)]
    traits = meter_traits(seed, tenant_id, meters, feeders)
    midnight = datetime(first_day.year, first_day.month, first_day.day, 6, tzinfo=UTC)
    first_slot = int(midnight.timestamp()) // (60 * SLOT_MINUTES)
    reads = honest_reads(traits, first_slot, n_days * SLOTS_PER_DAY, STANDARD_TIME)
    left_out = traits.commercial | traits.exports
    return Sample(reads.energy_wh / 1000.0, reads.voltage_dv / 10.0, left_out, first_day)


def figures(sample: Sample) -> dict[str, float]:
    """All figures of `FIGURES`, by name."""
    homes = sample.kwh[~sample.left_out]
    return {
        **level_figures(homes),
        **shape_figures(homes),
        **memory_figures(homes),
        **diversity_figures(homes),
        **calendar_figures(sample, homes),
        **feeder_figures(hourly(sample.kwh).sum(axis=0)),
        **voltage_figures(sample.voltage, hourly(sample.kwh).sum(axis=0)),
        **step_figures(by_day(homes, SLOTS_PER_DAY)),
        **day_figures(by_day(summed(homes, SLOTS_PER_HOUR // 2), SLOTS_PER_DAY // 2)),
    }


def summed(values: Floats, k: int) -> Floats:
    """Sums of k consecutive slots: (n, slots) -> (n, slots // k)."""
    whole = values.shape[1] // k * k
    return np.asarray(values[:, :whole].reshape(len(values), -1, k).sum(axis=2))


def hourly(values: Floats) -> Floats:
    return summed(values, SLOTS_PER_HOUR)


def by_day(values: Floats, steps_per_day: int) -> Floats:
    """(n, slots) -> (n, days, steps_per_day)."""
    return values.reshape(len(values), -1, steps_per_day)


def spread(values: Floats) -> Floats:
    """Coefficient of variation of each row."""
    return np.asarray(values.std(axis=1) / values.mean(axis=1))


def correlation(left: Floats, right: Floats) -> Floats:
    """Pearson correlation along the last axis, rows broadcast."""
    left = left - left.mean(axis=-1, keepdims=True)
    right = right - right.mean(axis=-1, keepdims=True)
    product = (left * right).sum(axis=-1)
    return np.asarray(product / np.sqrt((left**2).sum(axis=-1) * (right**2).sum(axis=-1)))


def memory(values: Floats, lag: int) -> Floats:
    """Autocorrelation of each row at a lag."""
    return correlation(values[..., :-lag], values[..., lag:])


def level_figures(homes: Floats) -> dict[str, float]:
    """How much homes use, and how unequal they are."""
    level = np.sort(homes.mean(axis=1) * SLOTS_PER_DAY)
    rank = np.arange(1, len(level) + 1)
    return {
        "kwh_day_mean": level.mean(),
        "sigma_ln_day": np.log(level).std(ddof=1),
        "gini_day": ((2 * rank - len(level) - 1) * level).sum() / (len(level) * level.sum()),
    }


def shape_figures(homes: Floats) -> dict[str, float]:
    """The distribution of a home's reads."""
    mean = homes.mean(axis=1)
    cv = spread(homes)
    third_moment = ((homes - mean[:, None]) ** 3).mean(axis=1)
    days = by_day(homes, SLOTS_PER_DAY)
    low, high = np.percentile(cv, (10, 90))
    return {
        "cv15": np.median(cv),
        "cv15_p90_p10": high / low,
        "cv15_over_cv60": (cv[:COARSE_HOMES] / spread(hourly(homes[:COARSE_HOMES]))).mean(),
        "skew15": np.median(third_moment / homes.std(axis=1) ** 3),
        "zero15": (homes == 0).mean(),
        "p99_15": np.median(np.percentile(homes, 99, axis=1) / mean),
        "lf15_year": np.median(mean / homes.max(axis=1)),
        "lf15_day": np.median(np.median(days.mean(axis=2) / days.max(axis=2), axis=1)),
        "base": np.median(days.min(axis=2).mean(axis=1) / mean),
    }


def memory_figures(homes: Floats) -> dict[str, float]:
    """How far a home's reads follow from earlier ones and from the time of day."""
    some = homes[:COARSE_HOMES]
    half_hours, hours = summed(some, SLOTS_PER_HOUR // 2), hourly(some)
    days = by_day(homes, SLOTS_PER_DAY)
    off_profile = days - days.mean(axis=1, keepdims=True)
    daily = days.sum(axis=2)
    return {
        "acf1_15": np.median(memory(homes, 1)),
        "acf1h_15": np.median(memory(homes, SLOTS_PER_HOUR)),
        "acfday_15": np.median(memory(homes, SLOTS_PER_DAY)),
        "acf1_30": np.median(memory(half_hours, 1)),
        "acf1_60": np.median(memory(hours, 1)),
        "acfday_60": np.median(memory(hours, 24)),
        "prof_r2_15": np.median(1 - off_profile.var(axis=(1, 2)) / days.var(axis=(1, 2))),
        "cv_day": np.median(spread(daily)),
        "acf_dayday": np.median(memory(daily, 1)),
    }


def diversity_figures(homes: Floats) -> dict[str, float]:
    """Diversity of homes: pairwise correlation, and peak of a group over the sum of its peaks."""
    pairs = np.atleast_2d(np.corrcoef(hourly(homes[:COARSE_HOMES])))
    half_hours = summed(homes, SLOTS_PER_HOUR // 2)
    peaks = half_hours.max(axis=1)
    rng = np.random.default_rng(0)

    def coincidence(n_homes: int) -> float:
        groups = [rng.choice(len(homes), n_homes, replace=False) for _ in range(COINCIDENCE_DRAWS)]
        return float(np.mean([half_hours[group].sum(axis=0).max() / peaks[group].sum() for group in groups]))

    return {
        "r_pair_60": float(np.median(pairs[np.triu_indices(len(pairs), 1)])),
        **{f"cf30_{n_homes}": coincidence(n_homes) for n_homes in COINCIDENCE_HOMES if n_homes < len(homes)},
    }


def calendar_figures(sample: Sample, homes: Floats) -> dict[str, float]:
    """The mean day of homes, and the months of all meters."""
    relative = (homes / homes.mean(axis=1, keepdims=True)).mean(axis=0)
    days = relative.reshape(-1, 24, SLOTS_PER_HOUR).mean(axis=2)
    dates = np.datetime64(sample.first_day, "D") + np.arange(len(days))
    weekend = np.is_busday(dates, weekmask="Sat Sun")
    weekday = days[~weekend].mean(axis=0)
    month = dates.astype("datetime64[M]").astype(int) % 12
    daily = sample.kwh.sum(axis=0).reshape(-1, SLOTS_PER_DAY).mean(axis=1)
    monthly = np.array([daily[month == number].mean() for number in np.unique(month)])
    return {
        "peak_hour": float(weekday.argmax()),
        "peak_over_mean": weekday.max() / weekday.mean(),
        "min_over_mean": weekday.min() / weekday.mean(),
        "we_over_wd": days[weekend].mean() / weekday.mean(),
        "month_max_min": monthly.max() / monthly.min(),
    }


def feeder_figures(load: Floats) -> dict[str, float]:
    """The hourly load of all meters together, (n_hours,)."""
    days = load.reshape(-1, 24)
    return {
        "f_lf": load.mean() / load.max(),
        "f_lf_day": np.median(days.mean(axis=1) / days.max(axis=1)),
        "f_acf1h": float(memory(load, 1)),
        "f_acf24h": float(memory(load, 24)),
        "f_min_mean": load.min() / load.mean(),
        "f_cv_day": days.sum(axis=1).std() / days.sum(axis=1).mean(),
    }


def voltage_figures(voltage: Floats, load: Floats) -> dict[str, float]:
    """Service voltage (n_meters, n_slots) [V], beside the hourly load of all meters (n_hours,)."""
    hours = hourly(voltage) / SLOTS_PER_HOUR
    load_swing = load - load.mean()
    volt_swing = hours - hours.mean(axis=1, keepdims=True)
    slope = volt_swing @ load_swing / (load_swing @ load_swing)
    swing = np.ptp(by_day(hours, 24), axis=2)
    light, peak = np.percentile(load, (1, 99))
    return {
        "v_mean": voltage.mean(),
        "v_sd": voltage.std(),
        "v_meter_sd_time": np.median(hours.std(axis=1)),
        "v_sd_meters": hours.mean(axis=1).std(),
        "v_swing_day": np.median(swing),
        "v_corr_load": np.median(correlation(hours[::3], load)),
        "v_resid_sd": np.median((volt_swing - slope[:, None] * load_swing).std(axis=1)),
        "v_light_minus_peak": hours[:, load <= light].mean() - hours[:, load >= peak].mean(),
        "v_lt114": (voltage < LOW_VOLTAGE_V).mean(),
        "v_gt126": (voltage > 126).mean(),
    }


def print_table(columns: dict[int, dict[str, float]]) -> int:
    """Figures by seed, those outside their band starred; returns how many are outside."""
    print(f"{'figure':20s}{'band':>17s}" + "".join(f"{f'seed {seed}':>12s}" for seed in columns) + "   real meters")
    outside = 0
    for name, band in FIGURES.items():
        values = [column[name] for column in columns.values()]
        outside += sum(not band.holds(value) for value in values)
        cells = "".join(f"{value:11.4f}{' ' if band.holds(value) else '*'}" for value in values)
        print(f"{name:20s}{band.low:8g} to {band.high:<5g}{cells}   {band.real}")
    inside = len(FIGURES) * len(columns) - outside
    print(f"{inside} of {inside + outside} inside")
    return outside


def main() -> int:
    """Returns 1 if any figure is outside its band."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--meters", type=int, default=330)
    parser.add_argument("--seeds", type=int, nargs="+", default=[11, 12, 13])
    parser.add_argument("--first-day", type=date.fromisoformat, default=date(2026, 1, 1))
    parser.add_argument("--days", type=int, default=365)
    asked = parser.parse_args()
    columns = {
        seed: figures(emulated(seed, f"TENANT_{seed}", asked.meters, asked.first_day, asked.days))
        for seed in asked.seeds
    }
    return int(print_table(columns) > 0)


if __name__ == "__main__":
    sys.exit(main())
