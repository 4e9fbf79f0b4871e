"""What an event is called where several stand together, and what a feeder is called beside its id.
An event is its id: equal labels get the events' times."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gridlens_core import words
from gridlens_core.meters import feeders
from gridlens_core.meters.events import Event
from gridlens_core.meters.rings import together

SEVERAL = "several events"


@dataclass(frozen=True)
class Label:
    """An event's label and its type, which gives the colour; `ring` is the id of the ring that it belongs to."""

    text: str
    event_type: str
    ring: str = ""


def feeder_name(feeder_id: str, *, is_local: bool) -> str:
    """What a utility would call a feeder of the local database, Oak Hill; an existing database's ids stand alone."""
    return feeders.feeder_name(feeder_id) if is_local else ""


def labels_of(events: Sequence[Event], timezone: str) -> Mapping[str, Label]:
    """Event id -> its label: theft FEEDER_3, or theft FEEDER_3 since 17:00 where there are two of that name. The events
    of a ring have one."""
    shown = together(events)
    texts = {str(one.id): one.label for one in shown}
    texts = _told_apart(texts, {str(one.id): f"since {words.clock_time(one.starts_at, timezone)}" for one in shown})
    texts = _told_apart(texts, {str(one.id): words.share(one.fraction) for one in shown})
    texts = _told_apart(texts, {str(one.id): f"({str(one.id)[:8]})" for one in shown})
    return {
        row: Label(texts[str(one.id)], one.event_type, str(one.id) if len(one.ids) > 1 else "")
        for one in shown
        for row in one.ids
    }


def _told_apart(texts: Mapping[str, str], more: Mapping[str, str]) -> dict[str, str]:
    often = Counter(texts.values())
    return {key: text if often[text] == 1 else f"{text} {more[key]}" for key, text in texts.items()}
