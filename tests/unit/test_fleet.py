from __future__ import annotations

from dataclasses import fields
from datetime import timedelta

import numpy as np
import pytest
from helpers import FROZEN, TENANT

from gridlens_core.errors import UnknownFeederError, UnknownMeterError
from gridlens_core.meters.emulator import Span, emulate
from gridlens_core.meters.fleet import Fleet, fleet_of, natural_key, synthetic_fleet
from gridlens_core.meters.traits import SHARED_TRAITS

ZONE = "America/Chicago"
DAY = Span(FROZEN - timedelta(days=1), 15, 96)


@pytest.fixture(scope="module")
def fleet() -> Fleet:
    return synthetic_fleet(TENANT, feeders=12, meters_per_feeder=3, seed=7, timezone=ZONE)


def test_feeders_are_in_the_order_people_count(fleet: Fleet) -> None:
    assert fleet.feeders == tuple(f"FEEDER_{number}" for number in range(1, 13))


@pytest.mark.parametrize(
    "names",
    [
        ["A2", "A10", "B1"],
        ["9", "9A", "10", "FEEDER"],
        ["F-1-2", "F-1-10", "F-2-1"],
        ["", "0", "x", "x²"],
    ],
)
def test_natural_order(names: list[str]) -> None:
    backwards = names[::-1]
    assert sorted(backwards, key=natural_key) == names


def test_each_meter_stands_beside_its_feeder(fleet: Fleet) -> None:
    assert len(fleet) == 36
    assert len(set(fleet.meter_ids)) == 36
    assert fleet.meters_by_feeder.tolist() == [3] * 12
    assert [fleet.feeders[index] for index in fleet.feeder_index] == list(fleet.feeder_ids)


def test_sums_by_feeder_are_exact_whole_numbers(fleet: Fleet) -> None:
    values = np.arange(72).reshape(36, 2) + 2**40
    by_hand = [[int(values[3 * feeder : 3 * feeder + 3, column].sum()) for column in (0, 1)] for feeder in range(12)]
    assert fleet.sum_by_feeder(values).tolist() == by_hand


def test_the_chosen_meters_send_what_they_sent_among_the_others(fleet: Fleet) -> None:
    chosen = np.arange(36) % 5 == 2
    alone, among = emulate(fleet.take(chosen), DAY, []), emulate(fleet, DAY, [])
    assert alone.fleet.meter_ids == tuple(np.array(fleet.meter_ids)[chosen])
    for name in ("honest_wh", "recorded_mwh", "voltage_dv", "sent"):
        assert np.array_equal(getattr(alone, name), getattr(among, name)[chosen]), name


def test_a_meter_s_traits_follow_from_seed_tenant_and_its_own_id(fleet: Fleet) -> None:
    order = np.random.default_rng(1).permutation(36)
    shuffled = fleet_of(
        TENANT,
        [fleet.meter_ids[i] for i in order],
        [fleet.feeder_ids[i] for i in order],
        seed=7,
        timezone=ZONE,
    )
    assert np.array_equal(shuffled.traits.mean_wh_per_slot, fleet.traits.mean_wh_per_slot[order])
    for other in ({"tenant_id": "OTHER"}, {"seed": 8}):
        arguments = {"tenant_id": TENANT, "seed": 7, **other}
        differs = fleet_of(meter_ids=fleet.meter_ids, feeder_ids=fleet.feeder_ids, timezone=ZONE, **arguments)
        assert not np.array_equal(differs.traits.mean_wh_per_slot, fleet.traits.mean_wh_per_slot)


def test_more_meters_leave_the_first_ones_as_they_were(fleet: Fleet) -> None:
    larger = synthetic_fleet(TENANT, feeders=15, meters_per_feeder=3, seed=7, timezone=ZONE)
    assert larger.meter_ids[:36] == fleet.meter_ids
    for field in fields(fleet.traits):
        if field.name not in SHARED_TRAITS:
            assert np.array_equal(getattr(larger.traits, field.name)[:36], getattr(fleet.traits, field.name))


@pytest.mark.parametrize(
    ("feeder", "meter"),
    [
        pytest.param(None, None, id="every feeder"),
        pytest.param("FEEDER_7", None, id="one feeder"),
        pytest.param("FEEDER_7", "MTR-00019", id="a meter on its feeder"),
        pytest.param(None, "MTR-00019", id="a meter, wherever it is"),
    ],
)
def test_targets_that_are_there(fleet: Fleet, feeder: str | None, meter: str | None) -> None:
    fleet.check_target(feeder, meter)


@pytest.mark.parametrize("feeder", ["FEEDER_13", "feeder_7", "", "FEEDER_7 "])
def test_an_unknown_feeder_is_answered_with_the_feeders(fleet: Fleet, feeder: str) -> None:
    with pytest.raises(UnknownFeederError, match="FEEDER_1, FEEDER_2") as raised:
        fleet.check_target(feeder)
    assert raised.value.details["feeders"] == list(fleet.feeders)


@pytest.mark.parametrize(("feeder", "meter"), [("FEEDER_7", "MTR-00001"), ("FEEDER_7", ""), (None, "MTR-99999")])
def test_an_unknown_meter_is_answered_with_the_feeder_s_meters(fleet: Fleet, feeder: str | None, meter: str) -> None:
    with pytest.raises(UnknownMeterError) as raised:
        fleet.check_target(feeder, meter)
    on_feeder = [m for m, f in zip(fleet.meter_ids, fleet.feeder_ids, strict=True) if feeder in (None, f)]
    assert raised.value.details["meters"] == on_feeder
    assert f"run from {on_feeder[0]} to {on_feeder[-1]}" in raised.value.message
