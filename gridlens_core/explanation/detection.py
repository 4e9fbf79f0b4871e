"""Blind detection, scored: what the suspicious-meters view named against what the events really touched.
The view cannot see the events; this module can, and counts what the view misses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from gridlens_core.clock import DEFAULT_INTERVAL_MINUTES
from gridlens_core.explanation.trace import Observation
from gridlens_core.meters.emulator import event_meters
from gridlens_core.meters.events import Event
from gridlens_core.meters.fleet import Fleet

# A view names meters by its last intervals: a name stays for a while after the event that earned it.
LINGERING = timedelta(hours=1)


@dataclass(frozen=True)
class Score:
    """How well one event, or all of a session together, was found.

    meters : meters the events touched; found : of those, how many were named while an event ran
    wrongly_named : named for the same kind of thing while it ran, though no event touched them
    cycles_to_detection : publish cycles until the first right name; None where there was none
    detected_at : the grid time of that cycle
    """

    event: Event | None
    meters: int
    found: int
    wrongly_named: int
    cycles: int
    cycles_to_detection: int | None
    detected_at: datetime | None

    @property
    def precision(self) -> float | None:
        """Of those named, the share that was right; None where nobody was named."""
        named = self.found + self.wrongly_named
        return self.found / named if named else None

    @property
    def recall(self) -> float | None:
        """Of those touched, the share that was named; None before the first cycle."""
        return self.found / self.meters if self.meters and self.cycles else None


def score_event(event: Event, events: Sequence[Event], fleet: Fleet, seen: Sequence[Observation]) -> Score | None:
    """The score of one event; None for an event that nobody is to be named for.

    events : all that may have run beside it or just before it, whose meters are not wrongly named
    """
    if event.event_type not in ("theft", "voltage-sag"):
        return None
    touched = _meters(event, fleet)
    during = [one for one in seen if event.overlaps(*_interval(one, seen))]
    excused = set().union(
        *(_meters(other, fleet) for other in events if other.event_type == event.event_type and _together(event, other))
    )
    named_by_cycle = [_named_for(event, one.kpis.named) for one in during]
    named = set().union(*named_by_cycle)
    first = next((number for number, names in enumerate(named_by_cycle) if names & touched), None)
    return Score(
        event=event,
        meters=len(touched),
        found=len(named & touched),
        wrongly_named=len(named - touched - excused),
        cycles=len(during),
        cycles_to_detection=None if first is None else first + 1,
        detected_at=None if first is None else during[first].grid_now,
    )


def session_score(scores: Sequence[Score]) -> Score | None:
    """All events together, a meter counted once for each event it was touched by; None where there is nothing
    to score."""
    if not scores:
        return None
    to_detection = [score.cycles_to_detection for score in scores if score.cycles_to_detection is not None]
    return Score(
        event=None,
        meters=sum(score.meters for score in scores),
        found=sum(score.found for score in scores),
        wrongly_named=sum(score.wrongly_named for score in scores),
        cycles=sum(score.cycles for score in scores),
        cycles_to_detection=round(sum(to_detection) / len(to_detection)) if to_detection else None,
        detected_at=None,
    )


def is_voltage_issue(issue: str) -> bool:
    """Whether an issue of the view speaks of voltage; every other one speaks of consumption."""
    return "VOLT" in issue.upper()


def _named_for(event: Event, named: Mapping[str, str]) -> set[str]:
    wanted = event.event_type == "voltage-sag"
    return {meter for meter, issue in named.items() if is_voltage_issue(issue) == wanted}


def _meters(event: Event, fleet: Fleet) -> set[str]:
    touched = np.logical_or.reduce([event_meters(one, fleet) for one in event.members])
    return {fleet.meter_ids[number] for number in np.flatnonzero(touched)}


def _together(one: Event, other: Event) -> bool:
    return one.starts_at < other.ends_at + LINGERING and other.starts_at < one.ends_at


def _interval(one: Observation, seen: Sequence[Observation]) -> tuple[datetime, datetime]:
    """What was published between the look before and this one."""
    before = [other.grid_now for other in seen if other.grid_now < one.grid_now]
    return max(before, default=one.grid_now - timedelta(minutes=DEFAULT_INTERVAL_MINUTES)), one.grid_now
