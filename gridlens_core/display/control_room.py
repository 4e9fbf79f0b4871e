"""What the control room shows of a moment: cards, chart, grid, events, story. Pure; drawing is left to the pages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from gridlens_core import words
from gridlens_core.database.reads import Read
from gridlens_core.display import sentences
from gridlens_core.display.cards import Card, cards_of
from gridlens_core.display.figures import IntervalEnergy, energy_of
from gridlens_core.display.labels import Label, labels_of
from gridlens_core.explanation.kpis import Kpis
from gridlens_core.explanation.moment import CHART_HOURS, Moment
from gridlens_core.explanation.truth import Truth
from gridlens_core.meters.events import Event
from gridlens_core.meters.voltage_limits import RANGE_A

AHEAD_SHADED = timedelta(hours=2)  # windows of events that the chart's right edge may reach into


@dataclass(frozen=True)
class MeterState:
    """A meter as the grid picture shows it: normal, named, low-voltage or silent."""

    meter_id: str
    feeder_id: str
    state: str
    note: str


@dataclass(frozen=True)
class RunningEvent:
    """An event or a ring that is not over, with what it has done so far, in numbers, in a sentence or two and in one
    line."""

    event: Event
    label: str
    truth: Truth
    time_left: str
    story: str
    line: str


@dataclass(frozen=True)
class ControlRoom:
    """One look at one tenant.

    labels : what each event is called, by its id
    """

    tenant_id: str
    timezone: str
    grid_now: datetime
    kpis: Kpis
    cards: tuple[Card, ...]
    energy: IntervalEnergy
    feeder_id: str | None
    shaded: tuple[Event, ...]
    meters: tuple[MeterState, ...]
    feeder_loss_pct: Mapping[str, float]
    running: tuple[RunningEvent, ...]
    story: str
    feeders: tuple[str, ...]
    labels: Mapping[str, Label]


def control_room(at: Moment, feeder_id: str | None = None, *, follow: bool = False) -> ControlRoom:
    """The control room of a moment.

    feeder_id : the chart shows this feeder alone; with `follow`, the feeder of the newest running event
    """
    if follow:
        feeder_id = next((event.feeder_id for event in reversed(at.running) if event.feeder_id), None)
    labels = labels_of(at.events, at.timezone)
    open_events = [event for event in at.shown if event.ends_at > at.grid_now and event.starts_at < event.ends_at]
    running = tuple(_running(at, event, labels) for event in open_events)
    chart_start = at.grid_now - timedelta(hours=CHART_HOURS)
    return ControlRoom(
        tenant_id=at.tenant_id,
        timezone=at.timezone,
        grid_now=at.grid_now,
        kpis=at.kpis,
        cards=cards_of(at),
        energy=energy_of(at.balance, at.fleet, feeder_id, chart_start),
        feeder_id=feeder_id,
        shaded=tuple(event for event in at.shown if event.overlaps(chart_start, at.grid_now + AHEAD_SHADED)),
        meters=meter_states(at),
        feeder_loss_pct={feeder: float(loss) for feeder, loss in at.kpis.feeder_loss_pct.items()},
        running=running,
        story=" ".join(item.story for item in reversed(running)) or sentences.quiet(at),
        feeders=at.fleet.feeders,
        labels=labels,
    )


def _running(at: Moment, event: Event, labels: Mapping[str, Label]) -> RunningEvent:
    left = words.span(event.ends_at - max(at.grid_now, event.starts_at))
    label = labels[str(event.id)].text
    story, line = sentences.of_event(at, event, labels), sentences.line_of(at, event)
    return RunningEvent(event, label, at.truth(event), left, story, line)


def meter_states(at: Moment) -> tuple[MeterState, ...]:
    """Every meter's state in the latest interval, in the fleet's order."""
    return tuple(
        MeterState(meter, feeder, *_state(at.latest.get(meter), at.kpis.named.get(meter), RANGE_A[0] * nominal_v))
        for meter, feeder, nominal_v in zip(
            at.fleet.meter_ids, at.fleet.feeder_ids, at.fleet.nominal_v.tolist(), strict=True
        )
    )


def _state(read: Read | None, evidence: str | None, limit_v: float) -> tuple[str, str]:
    if read is None:
        return "silent", "no read in the latest interval"
    volts = "" if read.volts is None else f", {read.volts:.1f} V"
    kwh = "no energy" if read.kwh is None else f"{read.kwh:.2f} kWh"
    latest = f"{kwh}{volts} in the latest interval"
    if read.volts is not None and read.volts < limit_v:
        return "low-voltage", latest
    return ("named", evidence) if evidence else ("normal", latest)
