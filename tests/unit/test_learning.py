"""What is learned from reads: each stretch's own interval, signs, scatter, memory and weekends; no code spoils it."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest

from gridlens_core.meters.fleet import Fleet, synthetic_fleet
from gridlens_core.meters.habits import NOISE_CV, persistent_noise
from gridlens_core.meters.learning import MEMORY, Past, interval_lengths, learn
from gridlens_core.publishing.history import _stays, first_and_last, habits_of

MONDAY = 1_780_876_800  # 2026-06-08 00:00 UTC
FLEET = synthetic_fleet("T", feeders=2, meters_per_feeder=4, seed=7, timezone="UTC")


def reads(meter: int, ends: np.ndarray, kwh: object = 0.3, volts: float = 120.0) -> tuple[np.ndarray, ...]:
    n = len(ends)
    return np.full(n, meter), ends, np.broadcast_to(kwh, n).astype(float), np.full(n, volts)


def past(*parts: tuple[np.ndarray, ...]) -> Past:
    return Past.of(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def every(minutes: int, days: float = 4, start: int = MONDAY) -> np.ndarray:
    return start + 60 * minutes * np.arange(1, int(days * 1440 / minutes) + 1)


@pytest.mark.parametrize("minutes", [2, 5, 15, 30, 60, 1440])
def test_a_meter_s_interval_is_its_own_and_its_day_s_energy_is_kept(minutes: int) -> None:
    found = learn(past(reads(0, every(minutes, 8), 24.0 * minutes / 1440)), 1, "UTC")
    assert found.minutes[0] == minutes
    assert found.mean_wh[0].sum() == pytest.approx(24_000, rel=1e-6)


def test_a_mixed_fleet_and_an_interval_that_was_shortened_keep_their_energy() -> None:
    changed = [reads(1, every(60, 4), 1.0), reads(1, every(15, 2, MONDAY + 4 * 86400), 0.25)]
    found = learn(past(reads(0, every(60), 1.0), *changed, reads(2, every(1440, 6), 24.0)), 3, "UTC")
    assert found.minutes.tolist() == [60, 15, 1440]
    assert found.mean_wh.sum(axis=1) == pytest.approx([24_000] * 3, rel=1e-6)


def test_gaps_are_no_long_intervals() -> None:
    ends = every(15)
    some = ends[np.random.default_rng(1).random(len(ends)) > 0.1]
    length, own = interval_lengths(past(reads(0, some)), 1)
    assert own[0] == 15
    assert (length == 15).mean() > 0.99


def test_one_code_among_seventeen_thousand_reads_spoils_nothing() -> None:
    kwh = np.random.default_rng(2).uniform(0.1, 0.6, 96 * 14)
    plain = [reads(m, every(15, 14), kwh) for m in range(8)]
    clean = learn(past(*plain), 8, "UTC")
    kwh = kwh.copy()
    kwh[777] = 2**32 / 1000
    spoiled = learn(past(reads(0, every(15, 14), kwh), *plain[1:]), 8, "UTC")
    assert spoiled.odd == 1
    assert spoiled.mean_wh[0] == pytest.approx(clean.mean_wh[0], rel=0.03)
    assert spoiled.scatter[0] == pytest.approx(clean.scatter[0], rel=0.05)


def test_solar_export_is_continued_negative_and_repeats_and_nulls_count_once_or_not_at_all() -> None:
    hour = every(15, 6) % 86400 / 3600
    net = 0.2 - 0.9 * np.exp(-(((hour - 12.5) / 2) ** 2)) * np.random.default_rng(3).uniform(0.8, 1.2, len(hour))
    once = past(reads(0, every(15, 6), net), reads(1, every(15, 6), np.where(hour < 3, np.nan, 0.3)))
    twice = past(*[reads(0, every(15, 6), net)] * 2, reads(1, every(15, 6), np.where(hour < 3, np.nan, 0.3)))
    found = learn(once, 2, "UTC")
    assert found.mean_wh[0, 50] < -500
    assert found.mean_wh[0].sum() / 1000 == pytest.approx(net.sum() / 6, rel=0.01)
    assert found.mean_wh[1].sum() == pytest.approx(0.3 * 96 * 1000, rel=0.01)
    assert np.array_equal(learn(twice, 2, "UTC").mean_wh, found.mean_wh)
    assert twice.doubtful == 0
    fleet = FLEET.take(np.arange(8) < 2)
    wh = fleet.with_habits(habits_of(fleet, once)).honest_slots(MONDAY // 900, 96 * 20).energy_wh
    assert wh[0].reshape(20, 96)[:, 50].max() < 0


def test_the_same_export_every_noon_is_a_habit_and_no_code() -> None:
    ends = every(15, 4)
    noon = (ends % 86400 > 10 * 3600) & (ends % 86400 <= 14 * 3600)
    found = learn(past(reads(0, ends, np.where(noon, -0.625, 0.2))), 1, "UTC")
    assert found.odd == 0
    assert found.mean_wh[0, 48] == pytest.approx(-625)


def test_weekends_and_memory_go_on_as_they_were() -> None:
    ends = every(15, 28)
    weekend = ((ends - 1) // 86400 + 3) % 7 >= 5
    for length, least in MEMORY:
        noise = persistent_noise(FLEET.traits, MONDAY // 900, len(ends), length)
        kwh = 0.3 * np.where(weekend, 1.5, 1.0) * noise
        found = learn(past(*[reads(m, ends, kwh[m]) for m in range(8)]), 8, "UTC")
        assert (found.memory == length).mean() > 0.8, least
        assert found.weekend.mean() == pytest.approx(1.5, rel=0.1)
        assert found.scatter == pytest.approx(NOISE_CV[length], rel=0.25)


def test_a_meter_without_volts_keeps_none() -> None:
    found = learn(past(reads(0, every(15)), reads(1, every(15), volts=np.nan)), 2, "UTC")
    assert found.mean_v[0] == 120
    assert np.isnan(found.mean_v[1])


@pytest.mark.parametrize(
    ("last_day", "outages", "stays"),
    [
        pytest.param(4.0, False, True, id="read to the end"),
        pytest.param(2.5, False, False, id="silent for longer than a day"),
        pytest.param(2.5, True, True, id="silenced by an outage"),
        pytest.param(3.5, False, True, id="silent for half a day"),
    ],
)
def test_who_fell_silent_is_not_continued(last_day: float, outages: bool, stays: bool) -> None:
    fleet: Fleet = FLEET.take(np.arange(8) < 2)
    seen = past(reads(0, every(15)), reads(1, every(15, last_day)))
    last = datetime.fromtimestamp(MONDAY + 4 * 86400, UTC)
    assert _stays(fleet, first_and_last(seen, 2), last, has_outages=outages).tolist() == [True, stays]


def test_an_exchanged_meter_stays_gone() -> None:
    fleet = FLEET.take(np.arange(8) < 2)
    seen = past(reads(0, every(15, 3.5)), reads(1, every(15, 0.5, MONDAY + int(3.5 * 86400))))
    last = datetime.fromtimestamp(MONDAY + 4 * 86400, UTC)
    assert _stays(fleet, first_and_last(seen, 2), last, has_outages=True).tolist() == [False, True]
