"""Rings, kinds of customer and presets: what is chosen on a fleet, and how events written together read."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import numpy as np
import pytest
from helpers import FROZEN, TENANT, event

from gridlens_core.display.labels import labels_of
from gridlens_core.meters.customers import (
    customer_of,
    largest_customer,
    meters_on,
    neighbours,
    ring_of,
)
from gridlens_core.meters.events import EVENT_TYPES, Event
from gridlens_core.meters.fleet import Fleet, fleet_of, synthetic_fleet
from gridlens_core.meters.presets import BY_KEY, PRESETS, choose
from gridlens_core.meters.rings import Ring, together


@pytest.fixture(scope="module")
def fleet() -> Fleet:
    return synthetic_fleet(TENANT, feeders=10, meters_per_feeder=40, seed=7, timezone="America/Chicago")


def member(number: int, **changes: object) -> Event:
    """An event of one meter, written at FROZEN with its like."""
    return replace(event(meter=f"MTR-{number:05d}"), **({"id": UUID(int=number), "created_at": FROZEN} | changes))  # type: ignore[arg-type]


def test_events_of_meters_written_together_are_one_ring() -> None:
    alone = replace(event("voltage-sag", feeder="FEEDER_3"), id=UUID(int=9), created_at=FROZEN)
    shown = together([alone, *map(member, (1, 2, 3))])
    assert shown[0] is alone
    (ring,) = shown[1:]
    assert isinstance(ring, Ring)
    assert (ring.title, ring.label) == ("theft, ring of 3 on FEEDER_7",) * 2
    assert ring.ids == tuple(str(UUID(int=number)) for number in (1, 2, 3))
    assert [one.meter_id for one in ring.members] == ["MTR-00001", "MTR-00002", "MTR-00003"]


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"created_at": FROZEN + timedelta(seconds=1)}, id="written later"),
        pytest.param({"created_at": None}, id="not known when it was written"),
        pytest.param({"feeder_id": "FEEDER_8"}, id="on another feeder"),
        pytest.param({"event_type": "comms-outage"}, id="of another type"),
        pytest.param({"meter_id": None}, id="of a whole feeder"),
    ],
)
def test_what_was_not_written_together_stays_apart(changes: dict[str, object]) -> None:
    assert len(together([member(1), replace(member(2), **changes)])) == 2  # type: ignore[arg-type]


def test_a_ring_ends_with_the_last_of_its_events() -> None:
    (ring,) = together([member(1, ends_at=FROZEN + timedelta(hours=1)), member(2)])
    assert ring.ends_at == FROZEN + timedelta(hours=2)
    assert ring.where == "ring of 2 on FEEDER_7"


def test_each_event_of_a_ring_has_the_rings_label_and_two_rings_are_told_apart() -> None:
    later = FROZEN + timedelta(hours=1)
    second = [member(number, created_at=later, starts_at=later) for number in (4, 5)]
    labels = labels_of([member(1), member(2), *second], "America/Chicago")
    texts = [labels[str(UUID(int=number))].text for number in (1, 2, 4, 5)]
    assert texts == [
        *["theft, ring of 2 on FEEDER_7 since Wed 12:00"] * 2,
        *["theft, ring of 2 on FEEDER_7 since Wed 13:00"] * 2,
    ]


def test_a_ring_is_chosen_blind_and_stays_the_same(fleet: Fleet) -> None:
    ring = ring_of(fleet, "FEEDER_7", 8)
    assert len(set(ring)) == 8
    assert set(ring) <= set(meters_on(fleet, "FEEDER_7"))
    assert ring == ring_of(fleet, "FEEDER_7", 8)
    assert set(ring_of(fleet, "FEEDER_7", 3)) < set(ring)
    assert ring != meters_on(fleet, "FEEDER_7")[:8]


def test_those_chosen_by_hand_are_in_the_ring(fleet: Fleet) -> None:
    last = meters_on(fleet, "FEEDER_7")[-1]
    ring = ring_of(fleet, "FEEDER_7", 3, [last])
    assert last in ring
    assert len(ring) == 3
    assert ring_of(fleet, "FEEDER_7", 1, [last]) == [last]


def test_a_feeder_with_fewer_meters_gives_them_all() -> None:
    small = fleet_of(TENANT, ["a", "b"], ["F", "F"], seed=7, timezone="UTC")
    assert ring_of(small, "F", 8) == ["a", "b"]
    assert neighbours(small, "F", 8) == ["a", "b"]


def test_neighbours_stand_in_a_row(fleet: Fleet) -> None:
    chosen = neighbours(fleet, "FEEDER_7", 8)
    places = [fleet.meter_ids.index(meter) for meter in chosen]
    assert places == list(range(places[0], places[0] + 8))


def test_kinds_of_customer_are_those_the_load_model_draws(fleet: Fleet) -> None:
    kinds = tuple(fleet.customers.values())
    assert {"home", "shop", "school", "workshop"} == set(kinds)
    commercial = np.array([kind != "home" for kind in kinds])
    assert np.array_equal(commercial, fleet.traits.commercial)
    workshop = customer_of(fleet, "FEEDER_3", "workshop")
    assert workshop is not None
    assert fleet.customers[workshop] == "workshop"
    assert customer_of(fleet, "FEEDER_7", "workshop") is None


def test_presets_are_acceptable_events_on_any_fleet(fleet: Fleet) -> None:
    assert len(BY_KEY) == len(PRESETS)
    for preset in PRESETS:
        chosen = choose(preset, fleet, "FEEDER_7")
        assert preset.event_type in EVENT_TYPES
        for request in chosen.requests:
            request.checked(TENANT, FROZEN)
            fleet.check_target(request.feeder_id, request.meter_id)


def test_a_bypass_is_at_a_workshop_of_the_feeder_or_of_the_next_that_has_one(fleet: Fleet) -> None:
    preset = BY_KEY["bypass-at-a-workshop"]
    here = choose(preset, fleet, "FEEDER_3")
    assert (here.feeder_id, here.instead) == ("FEEDER_3", "")
    there = choose(preset, fleet, "FEEDER_7")
    assert there.feeder_id == "FEEDER_3"  # after FEEDER_10 it goes on with FEEDER_1
    assert there.instead == "FEEDER_7 has no workshop; the next one is on FEEDER_3."
    assert {fleet.customers[meter] for one in (here, there) for meter in one.meter_ids} == {"workshop"}


def test_where_no_workshop_is_known_the_preset_says_whom_it_takes() -> None:
    fleet = fleet_of(TENANT, ["a", "b", "c"], ["F"] * 3, seed=7, timezone="UTC")
    chosen = choose(BY_KEY["bypass-at-a-workshop"], fleet, "F")
    assert chosen.meter_ids == (largest_customer(fleet, "F"),)
    assert chosen.instead.endswith(f"{chosen.meter_ids[0]} is the largest customer on F.")
    assert "no workshop" in chosen.instead


def test_a_storm_silences_two_feeders_or_says_that_there_is_one(fleet: Fleet) -> None:
    storm = BY_KEY["storm"]
    assert [one.feeder_id for one in choose(storm, fleet, "FEEDER_10").requests] == ["FEEDER_10", "FEEDER_1"]
    lonely = choose(storm, fleet_of(TENANT, ["a"], ["F"], seed=7, timezone="UTC"), "F")
    assert ([one.feeder_id for one in lonely.requests], lonely.instead) == (
        ["F"], f"{TENANT} has no other feeder, so it is F alone.",
    )  # fmt: skip
