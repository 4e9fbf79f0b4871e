"""Presets: events with names an executive understands. The table is data; below it is what it means on a fleet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from gridlens_core.meters.customers import (
    METERS_OF_A_TRANSFORMER,
    customer_of,
    largest_customer,
    neighbours,
)
from gridlens_core.meters.events import EventRequest, EventType
from gridlens_core.meters.fleet import Fleet


@dataclass(frozen=True)
class Preset:
    """One preset; it is about whole feeders unless it names a customer or neighbours.

    says : what happens, in a sentence
    severity : a fraction, over 0 to 1
    feeders : how many, from the chosen one on
    customer : one customer of this kind
    neighbours : so many meters in a row
    """

    key: str
    title: str
    says: str
    event_type: EventType
    severity: float
    minutes: int
    feeders: int = 1
    customer: str = ""
    neighbours: int = 0


PRESETS = (
    Preset(
        "bypass-at-a-workshop", "Meter bypass at a workshop",
        "A workshop leads most of its energy around the meter, day and night.",
        "theft", 0.8, 240, customer="workshop",
    ),
    Preset(
        "tapped-street", "A street with tapped lines",
        "Eight neighbours take part of their energy from the line before their meters.",
        "theft", 0.6, 240, neighbours=METERS_OF_A_TRANSFORMER,
    ),
    Preset(
        "storm", "Storm: communications lost on two feeders",
        "The meters of two feeders fall silent; the energy still flows.",
        "comms-outage", 1.0, 120, feeders=2,
    ),
    Preset(
        "weak-transformer", "Weak transformer in the evening",
        "The voltage of eight neighbours falls as it does when a transformer carries the load of an evening. It begins "
        "now, whatever the hour.",
        "voltage-sag", 0.6, 120, neighbours=METERS_OF_A_TRANSFORMER,
    ),
)  # fmt: skip
BY_KEY = {preset.key: preset for preset in PRESETS}


@dataclass(frozen=True)
class Chosen:
    """What a preset means on a fleet.

    feeder_id : the first feeder it is about
    meter_ids : the meters it is about; () for whole feeders
    instead : what it is about other than its name says, as a sentence; empty where it is as named
    """

    requests: tuple[EventRequest, ...]
    feeder_id: str
    meter_ids: tuple[str, ...]
    instead: str = ""


def choose(preset: Preset, fleet: Fleet, feeder_id: str) -> Chosen:
    """The events of a preset, on the chosen feeder or where there is what it needs."""
    if preset.customer:
        return _at_a_customer(preset, fleet, feeder_id)
    if preset.neighbours:
        return _chosen(preset, feeder_id, neighbours(fleet, feeder_id, preset.neighbours))
    order = _from(fleet, feeder_id)[: preset.feeders]
    requests = tuple(_request(preset, feeder) for feeder in order)
    alone = f"{fleet.tenant_id} has no other feeder, so it is {feeder_id} alone."
    return Chosen(requests, feeder_id, (), "" if len(order) == preset.feeders else alone)


def _at_a_customer(preset: Preset, fleet: Fleet, feeder_id: str) -> Chosen:
    for feeder in _from(fleet, feeder_id):
        meter = customer_of(fleet, feeder, preset.customer)
        if meter is not None:
            elsewhere = f"{feeder_id} has no {preset.customer}; the next one is on {feeder}."
            return _chosen(preset, feeder, [meter], "" if feeder == feeder_id else elsewhere)
    meter = largest_customer(fleet, feeder_id)
    unknown = f"This tenant has no {preset.customer} that is known; {meter} is the largest customer on {feeder_id}."
    return _chosen(preset, feeder_id, [meter], unknown)


def _chosen(preset: Preset, feeder_id: str, meters: Sequence[str], instead: str = "") -> Chosen:
    return Chosen(at_each(_request(preset, feeder_id), meters), feeder_id, tuple(meters), instead)


def at_each(request: EventRequest, meters: Sequence[str]) -> tuple[EventRequest, ...]:
    """The same event at each of these meters; of the whole feeder where there are none."""
    return tuple(replace(request, meter_id=meter) for meter in meters) or (request,)


def _request(preset: Preset, feeder_id: str) -> EventRequest:
    return EventRequest(
        preset.event_type, feeder_id=feeder_id, severity=preset.severity, duration_minutes=preset.minutes
    )


def _from(fleet: Fleet, feeder_id: str) -> tuple[str, ...]:
    """The fleet's feeders, from one of them on."""
    first = fleet.feeders.index(feeder_id)
    return (*fleet.feeders[first:], *fleet.feeders[:first])
