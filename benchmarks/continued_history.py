"""Can a classifier tell a continued history from the real next week? python -m benchmarks.continued_history FILE...
FILE : homes' reads [Wh] as CSV, a column a home, any first columns of time, 30 or 60 minutes a row; none is kept here.

Two weeks of each home are learned, and the third is emulated. A logistic classifier on features of a day, with their
squares and products, is trained on half of the homes and scored on the others: area under its ROC curve, .5 by
chance."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gridlens_core.meters.emulator import Span, honest_intervals
from gridlens_core.meters.fleet import fleet_of
from gridlens_core.meters.learning import Past
from gridlens_core.publishing.history import habits_of

Floats = NDArray[np.float64]

LEARNED_DAYS, WEEK = 14, 7
STARTS = range(14, 340, 21)  # days of the year from which a week is continued
MINUTES = {17_520: 30, 8_760: 60}
RIDGE, STEPS = 3.0, 25
FIRST = datetime(2013, 1, 1, tzinfo=UTC)  # the local clock is taken for UTC


@dataclass(frozen=True)
class Weeks:
    """(n_weeks, steps) of homes that are whole: the two weeks learned from, the real next one, the emulated one."""

    learned: Floats
    real: Floats
    emulated: Floats
    home: NDArray[np.int64]


def homes_of(path: Path) -> tuple[Floats, int]:
    """(n_homes, n_reads) [Wh], NaN where one is missing, and the minutes of a read."""
    table = pd.read_csv(path)
    values = table.iloc[:, 1:].to_numpy(np.float64).T
    return values, MINUTES[values.shape[1] // (24 * 365) * 24 * 365]


def weeks_of(values: Floats, minutes: int) -> Weeks:
    steps = 24 * 60 // minutes
    found: list[tuple[Floats, Floats, Floats, NDArray[np.int64]]] = []
    for start in STARTS:
        before = values[:, (start - LEARNED_DAYS) * steps : start * steps]
        after = values[:, start * steps : (start + WEEK) * steps]
        whole = ~np.isnan(before).any(axis=1) & ~np.isnan(after).any(axis=1)
        whole &= (before[:, -WEEK * steps :].mean(axis=1) > 0) & (after.mean(axis=1) > 0)  # not an empty home
        if whole.any():
            on = continued(before[whole], start, minutes)
            found.append((before[whole], after[whole], on, np.flatnonzero(whole)))
    return Weeks(*(np.concatenate(part) for part in zip(*found, strict=True)))


def continued(before: Floats, start: int, minutes: int) -> Floats:
    """The week after: (n_homes, reads) [Wh], learned and emulated as publishing does."""
    n_homes, n_reads = before.shape
    meters = [f"M{number}" for number in range(n_homes)]
    fleet = fleet_of(f"T{start}", meters, ["WEST"] * n_homes, seed=7, timezone="UTC")
    first = FIRST + timedelta(days=start - LEARNED_DAYS)
    end = np.tile(int(first.timestamp()) + 60 * minutes * np.arange(1, n_reads + 1), n_homes)
    past = Past.of(np.repeat(np.arange(n_homes), n_reads), end, before.ravel() / 1000.0, np.full(end.shape, np.nan))
    span = Span(FIRST + timedelta(days=start), minutes, WEEK * 24 * 60 // minutes)
    wh, _ = honest_intervals(fleet.with_habits(habits_of(fleet, past)), span)
    return wh.astype(np.float64)


def memory(rows: Floats, lag: int = 1) -> Floats:
    centred = rows - rows.mean(axis=-1, keepdims=True)
    spread = np.maximum((centred**2).sum(axis=-1), 1e-9)
    return np.asarray((centred[..., lag:] * centred[..., :-lag]).sum(axis=-1) / spread)


def day_features(week: Floats, learned: Floats) -> Floats:
    """(n_weeks * 7, n_features), of each day beside the home's level of the weeks before."""
    level = learned.mean(axis=1)[:, None, None]
    days = week.reshape(len(week), WEEK, -1) / level
    quarters = days.reshape(len(week), WEEK, 4, -1).mean(axis=3)
    mean = np.maximum(days.mean(axis=2), 1e-6)
    steps = np.abs(np.diff(days, axis=2)) / mean[:, :, None]
    turns = (np.diff(days, axis=2)[:, :, 1:] * np.diff(days, axis=2)[:, :, :-1] < 0).mean(axis=2)
    rows = [
        np.log(mean), days.std(axis=2) / mean, np.log1p(days.max(axis=2) / mean), days.min(axis=2) / mean,
        np.median(days, axis=2) / mean, memory(days), memory(days, 2), np.log1p(np.percentile(steps, 99, axis=2)),
        np.median(steps, axis=2), turns, (days == 0).mean(axis=2), (steps < 0.02).mean(axis=2),
        *np.moveaxis(quarters / mean[:, :, None], 2, 0)[:3],
    ]  # fmt: skip
    return np.stack(rows, axis=2).reshape(-1, len(rows))


def auc(positive: Floats, negative: Floats) -> float:
    """Chance that a positive score is the higher one."""
    scores = np.concatenate([positive, negative])
    rank = pd.Series(scores).rank().to_numpy()[: len(positive)]
    return float((rank.sum() - len(positive) * (len(positive) + 1) / 2) / (len(positive) * len(negative)))


def told_apart(one: Floats, other: Floats, home: NDArray[np.int64]) -> float:
    """AUC on homes that were not trained on, both halves in turn; one, other : (n_days, n_features)."""
    found = []
    for half in (0, 1):
        train = home % 2 == half
        x, y = np.concatenate([one[train], other[train]]), np.repeat([1.0, 0.0], train.sum())
        middle, scale = x.mean(axis=0), x.std(axis=0) + 1e-9
        weights = _logistic(_expanded((x - middle) / scale), y)
        scored = [_expanded((part[~train] - middle) / scale) @ weights for part in (one, other)]
        found.append(auc(scored[0], scored[1]))
    return float(np.mean(found))


def _expanded(x: Floats) -> Floats:
    """With a constant, squares and products."""
    x = np.clip(x, -4, 4)
    upper = np.triu_indices(x.shape[1])
    return np.concatenate([np.ones((len(x), 1)), x, x[:, upper[0]] * x[:, upper[1]]], axis=1)


def _logistic(x: Floats, y: Floats) -> Floats:
    """Weights by Newton's method, held small by RIDGE."""
    weights = np.zeros(x.shape[1])
    for _ in range(STEPS):
        chance = 1 / (1 + np.exp(-np.clip(x @ weights, -30, 30)))
        slope = x.T @ (y - chance) - RIDGE * weights
        curve = (x * (chance * (1 - chance))[:, None]).T @ x + RIDGE * np.eye(x.shape[1])
        weights = weights + np.linalg.solve(curve, slope)
    return weights


def week_figures(week: Floats, minutes: int) -> dict[str, Floats]:
    """Of each home's week, (n_weeks,)."""
    daily = week.reshape(len(week), WEEK, -1).sum(axis=2)
    mean = np.maximum(week.mean(axis=1), 1.0)
    return {
        "lag 1": memory(week),
        "cv": week.std(axis=1) / mean,
        "p99 ramp/mean": np.percentile(np.abs(np.diff(week, axis=1)), 99, axis=1) / mean,
        "ln level": np.log(mean),
        "max/mean of days": daily.max(axis=1) / np.maximum(daily.mean(axis=1), 1.0),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", type=Path, nargs="+")
    for path in parser.parse_args().files:
        values, minutes = homes_of(path)
        weeks = weeks_of(values, minutes)
        earlier = weeks.learned[:, -weeks.real.shape[1] :]
        features = {
            name: day_features(week, weeks.learned)
            for name, week in (("real", weeks.real), ("emulated", weeks.emulated), ("earlier", earlier))
        }
        home = np.repeat(weeks.home, WEEK)
        print(f"\n{path.name}: {len(np.unique(weeks.home))} homes, {len(weeks.real)} weeks, {minutes} minutes")
        print(
            f"AUC, emulated against the real next week: {told_apart(features['emulated'], features['real'], home):.3f}"
        )
        print(
            f"AUC, the real week before against it:     {told_apart(features['earlier'], features['real'], home):.3f}"
        )
        print(f"{'medians':18s}{'history':>9s}{'next':>9s}{'emulated':>9s}{'r(next)':>9s}{'r(emul.)':>9s}")
        figures = [week_figures(week, minutes) for week in (earlier, weeks.real, weeks.emulated)]
        for name in figures[0]:
            before, real, emulated = (one[name] for one in figures)
            likeness = [float(np.corrcoef(before, other)[0, 1]) for other in (real, emulated)]
            cells = "".join(f"{float(np.median(one)):9.2f}" for one in (before, real, emulated))
            print(f"{name:18s}{cells}" + "".join(f"{value:9.2f}" for value in likeness))


if __name__ == "__main__":
    main()
