"""What gives emulated reads away beyond their distribution: the second table of `python -m benchmarks.realism`.
Bands are from the same public data; the first three figures at 15 minutes, the others at 30 or 60."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

STRAIGHT = 0.02  # of the day's mean
ALIKE = 0.10  # of the step before
WEEK = 7


def step_figures(days: Floats) -> dict[str, float]:
    """How reads move from one to the next: days (n_meters, n_days, steps); medians over all days."""
    mean = days.mean(axis=2)
    shares = days[mean > 0] / mean[mean > 0][:, None]
    steps = np.diff(shares, axis=1)
    turns = (steps[:, 1:] * steps[:, :-1] < 0).mean(axis=1)
    straight = (np.abs(np.diff(steps, axis=1)) < STRAIGHT).mean(axis=1)
    alike = (np.abs(np.diff(steps, axis=1)) < ALIKE * np.abs(steps[:, :-1])).mean(axis=1)
    return {
        "turns_15": float(np.median(turns)),
        "straight_15": float(np.median(straight)),
        "alike_15": float(np.median(alike)),
    }


def day_figures(half_hours: Floats) -> dict[str, float]:
    """How a home's days differ: half_hours (n_meters, n_days, steps), from any weekday on, whole weeks are taken."""
    daily = half_hours.sum(axis=2)
    daily = daily[:, : daily.shape[1] // WEEK * WEEK]
    cv = daily.std(axis=1) / daily.mean(axis=1)
    low, high = np.percentile(cv, (10, 90))
    by_weekday = daily.reshape(len(daily), -1, WEEK).mean(axis=1)
    of_week = by_weekday / by_weekday.mean(axis=1, keepdims=True)
    return {
        "zero_homes": float((half_hours == 0).any(axis=(1, 2)).mean()),
        "acf_7days": float(np.median(_memory(daily, WEEK))),
        "cv_day_p90_p10": float(high / low),
        "weekday_spread": float(np.median(of_week.std(axis=1, ddof=1))),
    }


def _memory(values: Floats, lag: int) -> Floats:
    """Autocorrelation of each row at a lag."""
    left, right = values[:, :-lag], values[:, lag:]
    left = left - left.mean(axis=1, keepdims=True)
    right = right - right.mean(axis=1, keepdims=True)
    return np.asarray((left * right).sum(axis=1) / np.sqrt((left**2).sum(axis=1) * (right**2).sum(axis=1)))
