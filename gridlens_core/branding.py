"""A look at the control room with the names a utility gave its feeders. Only what is shown changes, nothing stored."""

from __future__ import annotations

from dataclasses import replace

from gridlens_core.control_room import ControlRoom
from gridlens_core.events import Event
from gridlens_core.story import Brand


def renamed(room: ControlRoom, brand: Brand) -> ControlRoom:
    """The same look, in which every feeder carries its name."""
    if not brand.feeders:
        return room

    def name(feeder_id: str) -> str:
        return brand.feeders.get(feeder_id, feeder_id)

    def event(one: Event) -> Event:
        return one if one.feeder_id is None else replace(one, feeder_id=name(one.feeder_id))

    return replace(
        room,
        feeder_id=None if room.feeder_id is None else name(room.feeder_id),
        shaded=tuple(event(one) for one in room.shaded),
        meters=tuple(replace(meter, feeder_id=name(meter.feeder_id)) for meter in room.meters),
        feeder_loss_pct={name(feeder): loss for feeder, loss in room.feeder_loss_pct.items()},
        running=tuple(replace(one, event=event(one.event), story=brand.in_words(one.story)) for one in room.running),
        story=brand.in_words(room.story),
        feeders=tuple(name(feeder) for feeder in room.feeders),
    )
