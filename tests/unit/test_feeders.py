"""How the feeders of a synthetic fleet differ, and what is behind some of its meters."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from gridlens_core.display import labels
from gridlens_core.meters.emulator import Span, emulate
from gridlens_core.meters.feeders import KINDS, PLAIN, feeder_kind, feeder_name, feeder_sizes
from gridlens_core.meters.fleet import synthetic_fleet

ZONE = "America/Chicago"
FLEET = synthetic_fleet("ANY_TENANT", feeders=10, meters_per_feeder=40, seed=2024, timezone=ZONE)
JUNE = datetime(2026, 6, 15, 5, tzinfo=UTC)  # a local midnight


@pytest.mark.parametrize(("feeders", "each"), [(10, 40), (10, 20), (20, 13), (3, 40), (12, 3), (25, 1000)])
def test_sizes_add_up_to_what_was_asked_for(feeders: int, each: int) -> None:
    sizes = feeder_sizes(feeders, each)
    assert (len(sizes), sum(sizes)) == (feeders, feeders * each)
    assert min(sizes) > 0


def test_the_usual_fleet_has_feeders_of_12_to_80_meters_and_the_seventh_is_a_plain_one() -> None:
    assert sorted(FLEET.meters_by_feeder)[0] == 12
    assert sorted(FLEET.meters_by_feeder)[-1] == 80
    assert FLEET.meters_by_feeder[6] == 40
    assert feeder_kind("FEEDER_7") == KINDS[6]
    assert {name: getattr(KINDS[6], name) for name in vars(PLAIN) if name != "name"} == {
        name: value for name, value in vars(PLAIN).items() if name != "name"
    }


def test_other_names_are_plain_and_only_ours_have_a_name() -> None:
    assert [feeder_kind(feeder) for feeder in ("WEST-1", "FEEDER_0", "feeder_1", "FEEDER_01")] == [PLAIN] * 4
    assert [feeder_name(feeder) for feeder in ("FEEDER_7", "FEEDER_17", "WEST-1")] == ["Oak Hill", "Oak Hill 2", ""]
    assert len({feeder_name(f"FEEDER_{number}") for number in range(1, 100)}) == 99
    assert labels.feeder_name("FEEDER_7", is_local=True) == "Oak Hill"
    assert labels.feeder_name("FEEDER_7", is_local=False) == ""


def test_technical_losses_range_from_1_5_to_6_percent_of_the_supply() -> None:
    supplied, lost = np.zeros(10), np.zeros(10)
    for day in range(0, 360, 30):
        reads = emulate(FLEET, Span(JUNE + timedelta(days=day), 15, 96), [])
        supplied += reads.supplied_wh.sum(axis=1)
        lost += (reads.supplied_wh - FLEET.sum_by_feeder(reads.honest_wh)).sum(axis=1)
    loss_pct = 100 * lost / supplied
    assert 1.4 < loss_pct.min() < 2.0
    assert 4.0 < loss_pct.max() < 6.0
    assert 2.0 < 100 * lost.sum() / supplied.sum() < 3.5


def test_large_customers_are_on_the_feeders_that_have_one() -> None:
    largest = [FLEET.mean_wh_per_slot[FLEET.feeder_index == number].max() for number in range(10)]
    median = np.median(FLEET.mean_wh_per_slot)
    for number, kind in enumerate(KINDS):
        if kind.customers:
            assert largest[number] > 4 * median


def test_panels_export_at_noon_and_cars_charge_in_the_evening() -> None:
    wh = emulate(FLEET, Span(JUNE, 15, 14 * 96), []).honest_wh.reshape(len(FLEET), 14, 96)
    traits = FLEET.traits
    homes = (~traits.commercial).sum()
    assert 0.05 < traits.exports.sum() / homes < 0.15
    assert (wh[traits.exports][:, :, 46:58] < 0).mean() > 0.3
    assert (wh[traits.exports][:, :, :16] >= 0).all()
    assert (wh[~traits.exports] >= 0).all()
    cars = traits.car_wh > 0
    assert 0.02 < cars.sum() / homes < 0.12
    evening, morning = wh[cars][:, :, 72:92].mean(), wh[cars][:, :, 28:48].mean()
    assert evening > morning + 400
    assert np.median(wh[cars].max(axis=(1, 2))) > 1750
