"""Rings: events of several meters that were written together, shown as one. In ami_events each keeps its row and id."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gridlens_core.meters.events import Event


@dataclass(frozen=True)
class Ring(Event):
    """Several meters of one feeder. It has the id of its first event, and ends when the last of them ends."""

    of: tuple[Event, ...] = ()

    @property
    def members(self) -> tuple[Event, ...]:
        """The events it stands for, in the order they were written."""
        return self.of

    @property
    def where(self) -> str:
        """ring of 3 on FEEDER_7"""
        return f"ring of {len(self.of)} on {self.feeder_id}"

    @property
    def label(self) -> str:
        """theft, ring of 3 on FEEDER_7"""
        return f"{self.name}, {self.where}"

    @property
    def title(self) -> str:
        """theft, ring of 3 on FEEDER_7"""
        return self.label


def together(events: Sequence[Event]) -> list[Event]:
    """The events in their order, those of several meters that were written together as one ring."""
    groups: dict[object, list[Event]] = {}
    for event in events:
        groups.setdefault(_written_with(event), []).append(event)
    return [some[0] if len(some) == 1 else _ring(some) for some in groups.values()]


def _written_with(event: Event) -> object:
    """The same for events of meters that one transaction wrote; for any other event its own."""
    if event.meter_id is None or event.created_at is None:
        return object()
    return event.created_at, event.event_type, event.feeder_id, event.starts_at, event.fraction, event.pattern


def _ring(events: Sequence[Event]) -> Ring:
    first = events[0]
    return Ring(
        id=first.id,
        tenant_id=first.tenant_id,
        feeder_id=first.feeder_id,
        meter_id=None,
        event_type=first.event_type,
        severity=first.severity,
        starts_at=first.starts_at,
        ends_at=max(event.ends_at for event in events),
        created_at=first.created_at,
        of=tuple(events),
    )
