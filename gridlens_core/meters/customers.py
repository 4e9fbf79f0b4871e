"""Whom an event is aimed at: which meters of a feeder are chosen, blind, in a row or by the kind of customer."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gridlens_core.meters.fleet import Fleet
from gridlens_core.meters.noise import counter_hash
from gridlens_core.meters.profiles import Ints

METERS_OF_A_TRANSFORMER = 8  # neighbours: as many as a street's transformer usually serves
HOME = "home"


def meters_on(fleet: Fleet, feeder_id: str) -> list[str]:
    """The meters of a feeder, in the fleet's order."""
    return [fleet.meter_ids[number] for number in _on(fleet, feeder_id)]


def ring_of(fleet: Fleet, feeder_id: str, size: int, by_hand: Sequence[str] = ()) -> list[str]:
    """Meters of a feeder for a ring of so many: those chosen by hand, and the rest blind, by each meter's counter hash.

    The same fleet gives the same ring; a feeder with fewer meters gives them all.
    """
    blind = [meter for meter in _blindly(fleet, feeder_id) if meter not in by_hand]
    chosen = {*by_hand, *blind[: max(0, size - len(by_hand))]}
    return [meter for meter in meters_on(fleet, feeder_id) if meter in chosen]


def neighbours(fleet: Fleet, feeder_id: str, size: int) -> list[str]:
    """So many meters of a feeder that stand in a row, from a place that follows from the feeder's counter hash."""
    meters = meters_on(fleet, feeder_id)
    first = min(meters.index(_blindly(fleet, feeder_id)[0]), max(0, len(meters) - size))
    return meters[first : first + size]


def customer_of(fleet: Fleet, feeder_id: str, kind: str) -> str | None:
    """The customer of a kind on a feeder that the counter hash comes to first; None where it has none."""
    return next((meter for meter in _blindly(fleet, feeder_id) if fleet.customers.get(meter) == kind), None)


def largest_customer(fleet: Fleet, feeder_id: str) -> str:
    """The meter of a feeder that records most energy in the long run."""
    on = _on(fleet, feeder_id)
    return str(fleet.meter_ids[on[int(np.argmax(fleet.mean_wh_per_slot[on]))]])


def _blindly(fleet: Fleet, feeder_id: str) -> list[str]:
    """A feeder's meters in an order that follows from each one's counter hash alone."""
    on = _on(fleet, feeder_id)
    order = np.argsort(counter_hash(fleet.traits.key[on], "ring", 0, 1)[:, 0], kind="stable")
    return [fleet.meter_ids[number] for number in on[order]]


def _on(fleet: Fleet, feeder_id: str) -> Ints:
    """Positions of a feeder's meters in the fleet."""
    return np.flatnonzero(np.array(fleet.feeder_ids) == feeder_id)
