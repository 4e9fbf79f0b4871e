"""Honest reads that go on in the manner of a history: level, shape and scatter of each meter, evenly on a feeder."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from gridlens_core.meters.fleet import Fleet, synthetic_fleet
from gridlens_core.meters.habits import NOISE_CV, Habits, persistent_noise
from gridlens_core.publishing.history import _missing_share, _pairs

FIRST_SLOT, DAY = 2_000_000, 96


def fleet(scatter: float, meters: int = 40, volts: float = 120.0) -> Fleet:
    bare = synthetic_fleet("T", feeders=2, meters_per_feeder=meters // 2, seed=7, timezone="UTC")
    shape = 200 + 100 * np.sin(np.arange(DAY) / DAY * 2 * np.pi)
    key, mirrored = _pairs(bare, np.full(meters, 1.0))
    habits = Habits(
        np.outer(np.linspace(0.5, 2, meters), shape), np.full(meters, scatter), np.full(meters, volts), key, mirrored
    )
    return bare.with_habits(habits)


@pytest.mark.parametrize("scatter", [0.0, 0.08, 0.25, 0.6], ids=lambda value: f"scatter {value}")
def test_level_shape_and_scatter_are_those_of_the_history(scatter: float) -> None:
    meters = fleet(scatter)
    wh = meters.honest_slots(FIRST_SLOT, 60 * DAY).energy_wh
    usual = np.tile(meters.habits.mean_wh, 60)[:, : wh.shape[1]]
    first = FIRST_SLOT % DAY
    usual = np.roll(usual, -first, axis=1)
    assert wh.mean() == pytest.approx(usual.mean(), rel=0.03)
    assert (wh.min(), wh.dtype) >= (0, np.dtype(np.int32))
    seen = (wh / usual).std(axis=1).mean()
    assert seen == pytest.approx(scatter, rel=0.15, abs=0.01)


@pytest.mark.parametrize("length", NOISE_CV)
def test_persistent_noise_has_mean_one_and_the_scatter_it_is_scaled_by(length: int) -> None:
    noise = persistent_noise(fleet(0.1).traits, FIRST_SLOT, 200 * DAY, length)
    assert noise.mean() == pytest.approx(1.0, abs=0.01)
    assert noise.std(axis=1).mean() == pytest.approx(NOISE_CV[length], rel=0.03)


def test_a_feeder_of_small_scatter_goes_on_more_evenly_than_its_meters_alone_would() -> None:
    meters = fleet(0.1)
    alone = replace(meters, habits=replace(meters.habits, noise_key=meters.traits.key, mirrored=np.zeros(40, bool)))
    usual = meters.habits.mean_wh[:20].sum(axis=0)

    def unevenness(of: Fleet) -> float:
        sums = of.honest_slots(FIRST_SLOT - FIRST_SLOT % DAY, DAY).energy_wh[:20].sum(axis=0)
        return float((sums / usual).std())

    assert unevenness(meters) < unevenness(alone) / 3


def test_a_part_of_a_fleet_reads_the_same_as_in_the_whole() -> None:
    meters = fleet(0.1)
    chosen = np.arange(40) % 3 == 0
    whole, part = meters.honest_slots(FIRST_SLOT, 8), meters.take(chosen).honest_slots(FIRST_SLOT, 8)
    assert np.array_equal(whole.energy_wh[chosen], part.energy_wh)
    assert np.array_equal(whole.voltage_dv[chosen], part.voltage_dv)


@pytest.mark.parametrize("volts", [120.0, 240.0, 277.0])
def test_voltage_keeps_the_history_s_base(volts: float) -> None:
    assert fleet(0.1, volts=volts).honest_slots(FIRST_SLOT, DAY).voltage_dv.mean() / 10 == pytest.approx(
        volts, rel=0.02
    )


def test_without_a_voltage_history_the_model_s_own_stands() -> None:
    assert fleet(0.1, volts=np.nan).honest_slots(FIRST_SLOT, 4).voltage_dv.min() > 1000


def test_pairs_stay_on_their_feeder_and_nobody_is_in_two() -> None:
    bare = synthetic_fleet("T", feeders=3, meters_per_feeder=5, seed=7, timezone="UTC")
    key, mirrored = _pairs(bare, np.arange(15.0))
    assert mirrored.reshape(3, 5).sum(axis=1).tolist() == [2, 2, 2]
    shared = [np.flatnonzero((key == one).all(axis=-1) if key.ndim > 1 else key == one) for one in key[mirrored]]
    assert all(len(pair) == 2 and bare.feeder_ids[pair[0]] == bare.feeder_ids[pair[1]] for pair in shared)


@pytest.mark.parametrize(
    ("reads", "share"),
    [
        pytest.param([[8] * 24] * 4, 0.0, id="a whole history has no gaps"),
        pytest.param([[8] * 24, [8] * 24, [8] * 24, [8] * 12 + [7] * 12], 12 / (4 * 192), id="a few gaps go on"),
        pytest.param([[8] * 24, [8] * 24, [8] * 24, [2] * 24], 0.0, id="a meter that was away is no measure"),
    ],
)
def test_gaps_go_on_as_they_were(reads: list[list[int]], share: float) -> None:
    bare = synthetic_fleet("T", feeders=1, meters_per_feeder=4, seed=7, timezone="UTC")
    assert _missing_share(bare, np.array(reads, float)) == pytest.approx(share, abs=1e-5)
