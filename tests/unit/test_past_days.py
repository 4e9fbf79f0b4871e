"""Days of the past from which a history goes on: whole, of the right kind, any read alone, bounded in memory."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridlens_core.meters.fleet import Fleet, synthetic_fleet
from gridlens_core.meters.learning import Past, learn
from gridlens_core.meters.past_days import FEWEST_DAYS, MOST_BYTES, MOST_DAYS, days_to_keep, past_day_wh, steps_of
from gridlens_core.publishing.history import habits_of

MONDAY = 20_605 * 86_400  # 1 June 2026, UTC
METERS, DAYS = 8, 14
BARE = synthetic_fleet("T", feeders=2, meters_per_feeder=METERS // 2, seed=7, timezone="UTC")


def reads_of(minutes: int, seed: int = 1) -> np.ndarray:
    """(METERS, DAYS, steps) restless reads [Wh]; its mean tells which day it was, weekends are three times higher."""
    rng = np.random.default_rng(seed)
    steps = 24 * 60 // minutes
    noise = rng.lognormal(sigma=0.6, size=(METERS, DAYS, steps))
    noise /= noise.mean(axis=2, keepdims=True)
    level = (1.0 + 0.1 * np.arange(DAYS)) * np.where(np.arange(DAYS) % 7 >= 5, 3.0, 1.0)
    return np.asarray(noise * level[:, None] * 100.0 * minutes / 15)


def past_of(wh: np.ndarray, minutes: int) -> Past:
    n = wh[0].size
    end = np.tile(MONDAY + 60 * minutes * np.arange(1, n + 1), len(wh))
    return Past.of(np.repeat(np.arange(len(wh)), n), end, wh.ravel() / 1000, np.full(end.shape, np.nan))


def continued(minutes: int = 15) -> Fleet:
    return BARE.with_habits(habits_of(BARE, past_of(reads_of(minutes), minutes)))


FLEET = continued()
FIRST = MONDAY // 900 + DAYS * 96
BLOCK = FLEET.honest_slots(FIRST, 21 * 96).energy_wh


@pytest.mark.parametrize("minutes", [5, 15, 20, 30, 60])
def test_days_go_on_as_whole_days_of_the_past_of_the_same_kind(minutes: int) -> None:
    wh = continued(minutes).honest_slots(FIRST, 14 * 96).energy_wh.reshape(METERS, 14, 96).sum(axis=2)
    real = reads_of(minutes).sum(axis=2)
    near = []
    for day in range(14):
        kind = np.flatnonzero((np.arange(DAYS) % 7 >= 5) == (day % 7 >= 5))
        off = np.abs(wh[:, day, None] / real[:, kind] - 1).min(axis=1)
        near += (off < 0.04).tolist()
    assert np.mean(near) > 0.95  # a read that is taken for an error code is put in as usual


def test_a_week_is_a_stretch_of_days_in_their_order() -> None:
    level = BLOCK.reshape(METERS, 21, 96).sum(axis=2)
    weekdays = np.array([day for day in range(DAYS) if day % 7 < 5])
    real = reads_of(15).sum(axis=2)[:, weekdays]
    which = np.abs(level[:, :5, None] / real[:, None, :] - 1).argmin(axis=2)
    assert (np.diff(which, axis=1) % len(weekdays) == 1).mean() > 0.85
    assert len(np.unique(which[:, 0])) > 2  # each meter begins with a day of its own


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, METERS - 1), min_size=1, unique=True), st.integers(0, 21 * 96 - 1), st.integers(1, 200))
def test_any_read_is_the_same_alone_as_in_a_block(meters: list[int], start: int, count: int) -> None:
    count = min(count, 21 * 96 - start)
    some = FLEET.take(np.isin(np.arange(METERS), meters)).honest_slots(FIRST + start, count).energy_wh
    assert np.array_equal(some, BLOCK[sorted(meters), start : start + count])


def test_no_day_comes_again_read_for_read() -> None:
    days = BLOCK.reshape(METERS, 21, 96)
    for one in range(21):
        for other in range(one):
            assert not (days[:, one] == days[:, other]).all(axis=1).any()


def test_scatter_memory_and_ramps_are_those_of_the_history() -> None:
    real, on = reads_of(15).reshape(METERS, -1), BLOCK[:, : DAYS * 96]
    for figure in (
        lambda x: x.std(axis=1) / x.mean(axis=1),
        lambda x: np.percentile(np.abs(np.diff(x, axis=1)), 99, axis=1) / x.mean(axis=1),
    ):
        assert np.median(figure(on)) == pytest.approx(np.median(figure(real)), rel=0.2)


def test_a_day_with_holes_is_filled_up_as_usual_and_one_with_too_many_is_left_out() -> None:
    wh = reads_of(15)
    full = past_of(wh, 15)
    hour = (full.end - MONDAY) // 3600
    few, many = hour == 5, (hour >= 24) & (hour < 30)  # an hour of the first day, six of the second
    days = learn(full.take(~few & ~many), METERS, "UTC").days
    assert days is not None
    assert days.weekdays.tolist() == [9] * METERS
    assert days.weekend_days.tolist() == [4] * METERS
    assert np.isfinite(days.share[:, :13]).all()


def test_one_meter_without_days_and_a_history_without_weekends_go_on_too() -> None:
    full = past_of(reads_of(15), 15)
    some = full.take(((full.end - MONDAY) // 86_400 < 5) & ((full.meter > 0) | (full.end < MONDAY + 86_400)))
    habits = habits_of(BARE, some)
    assert habits.days is not None
    assert habits.days.enough.tolist() == [False] + [True] * (METERS - 1)
    assert (habits.days.weekend_days == 0).all()
    wh = BARE.with_habits(habits).honest_slots(FIRST, 7 * 96).energy_wh
    assert (wh.reshape(METERS, 7, 96).sum(axis=2) > 0).all()


@pytest.mark.parametrize("minutes", [5, 15, 30, 60])
@pytest.mark.parametrize("meters", [1, 400, 25_000, 100_000, 1_000_000])
def test_what_is_kept_in_memory_is_bounded(meters: int, minutes: int) -> None:
    days = days_to_keep(meters, minutes)
    assert days == 0 or FEWEST_DAYS <= days <= MOST_DAYS
    assert meters * days * steps_of(minutes) * 2 <= MOST_BYTES
    assert days == MOST_DAYS or meters > 10_000


def test_an_empty_span_has_no_reads() -> None:
    assert FLEET.habits is not None
    assert FLEET.habits.days is not None
    none = past_day_wh(FLEET.habits.days, FLEET.traits.key, FLEET.habits.mean_wh, FIRST, np.zeros(0, np.int64))
    assert none.shape == (METERS, 0)
