"""What the control room shows, gathered in one look at the database: cards, chart, grid, events, story."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

import numpy as np
import sqlalchemy as sa

from gridlens_core import words
from gridlens_core.clock import DEFAULT_INTERVAL_MINUTES, as_utc, day_start, local_day
from gridlens_core.database.queries import query
from gridlens_core.database.schema import Schema
from gridlens_core.explanation.kpis import Kpis, why_absent
from gridlens_core.explanation.movement import movement_since, value_of
from gridlens_core.explanation.trace import Observation
from gridlens_core.explanation.truth import Truth, event_truth, kwh_not_recorded
from gridlens_core.meters.emulator import Span, honest_intervals
from gridlens_core.meters.events import Event, kind_of
from gridlens_core.meters.fleet import Fleet
from gridlens_core.meters.voltage_limits import LOW_VOLTAGE_V, RANGE_A_V

CHART_HOURS = 12
SPARK_POINTS = 24
SPARK_STEP = timedelta(minutes=DEFAULT_INTERVAL_MINUTES)
# A sparkline shows at least this range of its KPI, so that one silent meter does not look like news.
SPARK_RANGE: Mapping[str, tuple[float, float]] = {
    "loss_pct": (0, 6),
    "read_success_pct": (90, 100),
    "voltage_compliance_pct": (90, 100),
    "suspicious_meters": (0, 10),
    "open_tasks": (0, 5),
}

NATURAL_DRIFT = "natural drift"


@dataclass(frozen=True)
class Step:
    """A part of a movement as a waterfall shows it; `cause` is the event type, None for natural drift."""

    label: str
    cause: str | None
    change: Decimal


@dataclass(frozen=True)
class Why:
    """A KPI from before the oldest running event to now: before + the steps = now, to the last digit."""

    kpi: str
    since: datetime
    before: Decimal
    steps: tuple[Step, ...]
    now: Decimal


@dataclass(frozen=True)
class Card:
    """One KPI card; `cause` is the event type behind the change, None where nothing changed or none fits.

    why : what the change is made of; None where nothing runs or a cycle was not measured
    spark : the KPI by interval, the latest last, None where it was not seen; empty where `note` stands instead
    """

    key: str
    label: str
    value: str
    change: str
    moved: bool
    cause: str | None
    help: str
    spark: tuple[float | None, ...] = ()
    spark_range: tuple[float, float] = (0, 1)
    note: str = ""
    why: Why | None = None


@dataclass(frozen=True)
class IntervalEnergy:
    """Energy by interval, oldest first; supplied and unread are None where the database has no supply."""

    read_at: tuple[datetime, ...]
    metered_kwh: tuple[float, ...]
    unread_kwh: tuple[float, ...] | None
    supplied_kwh: tuple[float, ...] | None
    honest_kwh: tuple[float, ...] | None = None  # what would have been metered without any event


@dataclass(frozen=True)
class MeterState:
    """A meter as the grid picture shows it: normal, named, low-voltage or silent."""

    meter_id: str
    feeder_id: str
    state: str
    note: str


@dataclass(frozen=True)
class RunningEvent:
    """An event that is not over, with what it has done so far, in numbers and in a sentence or two."""

    event: Event
    truth: Truth
    time_left: str
    story: str


@dataclass(frozen=True)
class ControlRoom:
    """One look at one tenant."""

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


@dataclass(frozen=True)
class Look:
    """What a look needs to know beside the database."""

    schema: Schema
    fleet: Fleet
    grid_now: datetime
    kpis: Kpis
    events: Sequence[Event]  # of today and of the chart's window, oldest first
    kpis_of: datetime  # the grid time the KPIs are of; older than grid_now where the views are slow
    history: Sequence[Observation]
    tariff_usd_per_kwh: float
    is_local: bool


def look(connection: sa.Connection, at: Look, feeder_id: str | None, *, follow: bool) -> ControlRoom:
    """The control room of one tenant now.

    feeder_id : the chart shows this feeder alone; with `follow`, the feeder of the newest running event
    """
    running_events = [event for event in at.events if event.ends_at > at.grid_now and event.starts_at < event.ends_at]
    if follow:
        feeder_id = next((event.feeder_id for event in reversed(running_events) if event.feeder_id), None)
    running = tuple(_running(connection, at, event, running_events) for event in running_events)
    timezone = at.fleet.timezone
    midnight = day_start(local_day(at.grid_now, timezone), timezone)
    stolen_kwh = kwh_not_recorded(connection, at.schema, at.fleet, at.events, midnight, at.grid_now)
    chart_start = at.grid_now - timedelta(hours=CHART_HOURS)
    balance = interval_rows(connection, at, None, chart_start)
    shown = balance if feeder_id is None else interval_rows(connection, at, feeder_id, chart_start)
    return ControlRoom(
        tenant_id=at.fleet.tenant_id,
        timezone=timezone,
        grid_now=at.grid_now,
        kpis=at.kpis,
        cards=_cards(at, running, stolen_kwh, balance),
        energy=_energy(at, shown, feeder_id),
        feeder_id=feeder_id,
        shaded=tuple(event for event in at.events if event.overlaps(chart_start, at.grid_now + timedelta(hours=2))),
        meters=meter_states(connection, at),
        feeder_loss_pct={feeder: float(loss) for feeder, loss in at.kpis.feeder_loss_pct.items()},
        running=running,
        story=" ".join(item.story for item in reversed(running)) or _quiet_story(connection, at),
        feeders=at.fleet.feeders,
    )


def _running(connection: sa.Connection, at: Look, event: Event, running: Sequence[Event]) -> RunningEvent:
    truth = event_truth(connection, at.schema, at.fleet, event, at.grid_now)
    left = words.span(event.ends_at - max(at.grid_now, event.starts_at))
    return RunningEvent(event, truth, left, _event_story(at, event, truth, running))


def interval_rows(connection: sa.Connection, at: Look, feeder_id: str | None, after: datetime) -> list[dict[str, Any]]:
    """Energy by interval since `after`; without a feeder supply table the metered energy alone."""
    timezone = at.fleet.timezone
    parameters: dict[str, Any] = {
        "tenant_id": at.fleet.tenant_id,
        "feeder_id": feeder_id,
        "after": after,
        "first_day": local_day(after, timezone),
        "last_day": local_day(at.grid_now, timezone),
    }
    if at.is_local:
        return _until_now(at, connection.execute(query("reads.sql", "interval_energy"), parameters))
    reads = at.schema.require_reads()
    one_feeder = f"AND {reads['feeder_id']} = CAST(:feeder_id AS {reads.type_of('feeder_id')})" if feeder_id else ""
    statement = sa.text(
        f"SELECT {reads.moment('read_at')} AS read_at, CAST(sum({reads['kwh']}) AS double precision) AS metered_kwh "
        f"FROM {reads.quoted} WHERE {reads.of_tenant()} "
        f"AND {reads['read_at']} > {reads.from_moment('read_at', ':after')} {one_feeder} {at.schema.of_meters()} "
        "GROUP BY 1 ORDER BY 1"
    )
    parameters["meters"] = list(at.fleet.meter_ids)
    return _until_now(at, connection.execute(statement, parameters))


def _until_now(at: Look, rows: sa.Result[Any]) -> list[dict[str, Any]]:
    """A look may be of an earlier time than the last interval in the database."""
    return [dict(row) for row in rows.mappings() if as_utc(row["read_at"]) <= at.grid_now]


def meter_states(connection: sa.Connection, at: Look) -> tuple[MeterState, ...]:
    """Every meter's state in the latest interval, in the fleet's order."""
    reads = at.schema.require_reads()
    volts_column = f"CAST({reads['voltage']} AS double precision)" if reads.has("voltage") else "NULL::float8"
    statement = sa.text(
        f"SELECT CAST({reads['meter_id']} AS text) AS meter_id, CAST({reads['kwh']} AS double precision) AS kwh, "
        f"{volts_column} AS volts FROM {reads.quoted} "
        f"WHERE {reads.of_tenant()} AND {reads['read_at']} = {reads.from_moment('read_at', ':read_at')} "
        f"{at.schema.of_meters()}"
    )
    parameters = {"tenant_id": at.fleet.tenant_id, "read_at": at.grid_now, "meters": list(at.fleet.meter_ids)}
    latest = {row.meter_id: row for row in connection.execute(statement, parameters)}
    return tuple(
        MeterState(meter, feeder, *_state(latest.get(meter), at.kpis.named.get(meter)))
        for meter, feeder in zip(at.fleet.meter_ids, at.fleet.feeder_ids, strict=True)
    )


def _state(read: Any, evidence: str | None) -> tuple[str, str]:
    if read is None:
        return "silent", "no read in the latest interval"
    volts = "" if read.volts is None else f", {read.volts:.1f} V"
    kwh = "no energy" if read.kwh is None else f"{read.kwh:.2f} kWh"
    latest = f"{kwh}{volts} in the latest interval"
    if read.volts is not None and read.volts < LOW_VOLTAGE_V:
        return "low-voltage", latest
    return ("named", evidence) if evidence else ("normal", latest)


def _energy(at: Look, rows: Sequence[Mapping[str, Any]], feeder_id: str | None) -> IntervalEnergy:
    balanced = bool(rows) and "supplied_kwh" in rows[0]
    times = tuple(as_utc(row["read_at"]) for row in rows)
    return IntervalEnergy(
        read_at=times,
        metered_kwh=tuple(row["metered_kwh"] or 0.0 for row in rows),
        unread_kwh=tuple(row["unread_kwh"] or 0.0 for row in rows) if balanced else None,
        supplied_kwh=tuple(row["supplied_kwh"] or 0.0 for row in rows) if balanced else None,
        honest_kwh=_honest_kwh(at, times, feeder_id),
    )


def _honest_kwh(at: Look, times: Sequence[datetime], feeder_id: str | None) -> tuple[float, ...] | None:
    """What the meters would have recorded without any event; None where the intervals are not even."""
    steps = {later - earlier for earlier, later in pairwise(times)}
    if len(steps) != 1:
        return None
    step = steps.pop()
    fleet = at.fleet if feeder_id is None else at.fleet.take(np.array(at.fleet.feeder_ids) == feeder_id)
    span = Span(times[0] - step, int(step.total_seconds()) // 60, len(times))
    honest_wh, _ = honest_intervals(fleet, span)
    return tuple((honest_wh.sum(axis=0) / 1000).tolist())


def _cards(
    at: Look, running: Sequence[RunningEvent], stolen_kwh: float, balance: Sequence[Mapping[str, Any]]
) -> tuple[Card, ...]:
    kpis = at.kpis
    thefts = [event for event in running if event.event.event_type == "theft"]
    a_year = sum(event.truth.kwh_a_year for event in thefts) * at.tariff_usd_per_kwh
    return (
        _kpi_card(at, running, "loss_pct", "Loss today", words.percent(kpis.loss_pct), balance,
                  "Supplied minus metered energy, as a share of supplied, today so far. From the overview view."),
        Card(
            "at_risk", "Lost to theft today", words.dollars(stolen_kwh * at.tariff_usd_per_kwh),
            f"{words.dollars(a_year)} a year" if thefts else "no theft running", bool(thefts),
            "theft" if thefts else None,
            "Ground truth of the emulator, not a KPI view: energy delivered but not recorded, times the tariff; "
            "a year at this severity if nobody looks.",
            note=f"unrecorded energy at {words.dollars(at.tariff_usd_per_kwh)} per kWh",
        ),
        _kpi_card(at, running, "read_success_pct", "Read success", words.percent(kpis.read_success_pct, 1), balance,
                  "Reads received as a share of reads due, today so far. From the overview view."),
        _kpi_card(at, running, "voltage_compliance_pct", "Voltage in range",
                  words.percent(kpis.voltage_compliance_pct, 1), balance,
                  f"Reads within {RANGE_A_V[0]:.0f} to {RANGE_A_V[1]:.0f} V (ANSI C84.1 Range A), today so far. "
                  "From the overview view."),
        _kpi_card(at, running, "suspicious_meters", "Suspicious meters", words.count(kpis.suspicious_meters), balance,
                  "Meters named by the suspicious-meters view, which cannot see the events."),
        _kpi_card(at, running, "open_tasks", "Open field tasks", words.count(kpis.open_tasks), balance,
                  "Dispatches in the field-operations view: power quality, revenue and comms."),
    )  # fmt: skip


def _kpi_card(
    at: Look,
    running: Sequence[RunningEvent],
    kpi: str,
    label: str,
    value: str,
    balance: Sequence[Mapping[str, Any]],
    explanation: str,
) -> Card:
    if getattr(at.kpis, kpi) is None:
        reason = why_absent(at.schema, kpi)
        there = reason.endswith("yet.")
        change = "no value yet" if there else "not in this database"
        return Card(kpi, label, value, change, False, None, explanation, note=reason)
    why = why_moved(at, [item.event for item in running], kpi)
    if not running:
        change, moved, cause = "no event running", False, None
    elif why is None:
        change, moved, cause = "not measured", False, None
    else:
        change, moved, cause = _change(why)
    if balance and kpi in balance[0]:
        seen = {row["read_at"]: row[kpi] for row in balance}
    else:
        seen = {one.grid_now: getattr(one.kpis, kpi) for one in at.history}
    spark = _spark(seen, at.grid_now)
    low, high = SPARK_RANGE[kpi]
    drawn = [value for value in spark if value is not None]
    return Card(
        kpi, label, value, change, moved, cause, explanation, spark, (min([low, *drawn]), max([high, *drawn])), why=why
    )


def _spark(seen: Mapping[datetime, Any], grid_now: datetime) -> tuple[float | None, ...]:
    """Values in slots of one interval, the grid clock's last; what was not seen stays None."""
    slots: list[float | None] = [None] * SPARK_POINTS
    for moment, value in seen.items():
        back = (grid_now - moment) // SPARK_STEP
        if 0 <= back < SPARK_POINTS and value is not None:
            slots[-1 - back] = float(value)
    return tuple(slots)


def why_moved(at: Look, running: Sequence[Event], kpi: str, feeder_id: str | None = None) -> Why | None:
    """What a KPI's change since the oldest running event is made of; None where that is not known."""
    now = value_of(at.kpis, kpi, feeder_id)
    if not running or now is None:
        return None
    since = min(event.starts_at for event in running)
    movement = movement_since(at.history, since, kpi, feeder_id)
    if movement is None:
        nothing_since = all(one.grid_now <= since for one in at.history)
        return Why(kpi, since, now, (), now) if nothing_since else None
    known = {str(event.id): event for event in at.events}
    steps = [Step(NATURAL_DRIFT, None, movement.drift)]
    for event_id in dict.fromkeys(part.event_id for part in movement.parts if part.event_id is not None):
        event = known.get(event_id)
        label = f"{event.name} {event.where}" if event else "several events"
        steps.append(Step(label, event.event_type if event else None, movement.effect_of(event_id)))
    return Why(kpi, since, movement.before, tuple(steps), movement.after)


def _change(why: Why) -> tuple[str, bool, str | None]:
    """The whole change with the causes that pull its way, the largest first; the first gives the colour."""
    change = why.now - why.before
    text = words.change_of(why.kpi, change)
    if not words.shows_change(text):
        return "no change", False, None
    pulling = [
        step
        for step in sorted(why.steps, key=lambda step: abs(step.change), reverse=True)
        if step.change * change > 0 and words.shows_change(words.change_of(why.kpi, step.change))
    ]
    causes = [step for step in pulling if step.label != NATURAL_DRIFT or step is pulling[0]]
    named = dict.fromkeys(_cause_word(step) for step in causes)
    return f"{text} {words.and_list(list(named)) or 'drift'}", True, causes[0].cause if causes else None


def _cause_word(step: Step) -> str:
    if step.cause is not None:
        return kind_of(step.cause).word
    return "drift" if step.label == NATURAL_DRIFT else "several events"


def _quiet_story(connection: sa.Connection, at: Look) -> str:
    """What the latest event has cost, now that it is over, and that all is quiet."""
    quiet = f"{words.plural(len(at.fleet), 'meter')} on {words.plural(len(at.fleet.feeders), 'feeder')}"
    loss = "" if at.kpis.loss_pct is None else f"; loss today is {words.percent(at.kpis.loss_pct)}"
    over = [event for event in at.events if event.starts_at < event.ends_at <= at.grid_now]
    if not over:
        return f"All quiet. {quiet}{loss}."
    latest = max(over, key=lambda event: event.ends_at)
    ended = words.clock_time(latest.ends_at, at.fleet.timezone, beside=at.grid_now)
    truth = event_truth(connection, at.schema, at.fleet, latest, at.grid_now)
    return f"{latest.name.capitalize()} on {latest.where} ended at {ended}{_cost(at, latest, truth)}. {quiet}{loss}."


def _cost(at: Look, event: Event, truth: Truth) -> str:
    if event.event_type == "theft":
        cost = words.dollars(truth.kwh_not_recorded * at.tariff_usd_per_kwh)
        return f": {words.energy(truth.kwh_not_recorded)} went unrecorded, {cost}"
    if event.event_type == "voltage-sag":
        return f": {words.plural(truth.reads_low_voltage, 'read')} under {LOW_VOLTAGE_V:.0f} V"
    if event.event_type == "comms-outage":
        return f": {words.plural(truth.reads_missing, 'read')} did not arrive, which is not a loss"
    return ""


def _event_story(at: Look, event: Event, truth: Truth, running: Sequence[Event]) -> str:
    """What an event that is not over does, in one or two sentences."""
    timezone = at.fleet.timezone
    since = words.clock_time(event.starts_at, timezone, beside=at.grid_now)
    until = words.clock_time(event.ends_at, timezone, beside=at.grid_now)
    name = event.name.capitalize()
    if event.starts_at > at.grid_now:
        return f"{name} on {event.where} begins at {since} and ends at {until}."
    if truth.reads_due == 0:
        return f"{name} on {event.where} starts with the next interval and ends at {until}."
    meters = words.plural(truth.meters, "meter")
    if event.event_type == "theft":
        cost = words.dollars(truth.kwh_not_recorded * at.tariff_usd_per_kwh)
        a_year = words.dollars(truth.kwh_a_year * at.tariff_usd_per_kwh)
        return (
            f"{_loss_story(at, event, running, since)}{meters}, {words.energy(truth.kwh_not_recorded)} unrecorded, "
            f"{cost} so far, {a_year} a year if nobody looks. Ends at {until}."
        )
    if event.event_type == "voltage-sag":
        return (
            f"Voltage sag on {event.where} since {since}: {words.count(truth.reads_low_voltage)} of "
            f"{words.count(truth.reads_due)} reads of {meters} under {LOW_VOLTAGE_V:.0f} V. "
            f"No energy is lost. Ends at {until}."
        )
    if event.event_type == "comms-outage":
        return (
            f"Comms outage on {event.where} since {since}: {words.count(truth.reads_missing)} of "
            f"{words.count(truth.reads_due)} reads of {meters} did not arrive. "
            f"{words.energy(truth.kwh_unread)} were delivered but not read, which is not a loss. Ends at {until}."
        )
    return f"{name} on {event.where} since {since}, until {until}: not a type GridLens emulates."


def _loss_story(at: Look, event: Event, running: Sequence[Event], since: str) -> str:
    """FEEDER_7's loss today went from 2.45 % to 9.80 %, +7.31 pt from the theft since 14:00 and +0.04 pt from ..."""
    begun = f"{event.name[0].upper() + event.name[1:]} on {event.where} since {since}: "
    feeder = event.feeder_id
    why = why_moved(at, running, "loss_pct" if feeder is None else "feeder_loss_pct", feeder)
    effect = (
        next((step.change for step in why.steps if step.label == f"{event.name} {event.where}"), None) if why else None
    )
    if why is None or effect is None:
        return begun
    if effect < 0:
        return (
            f"{begun}the loss column of this database falls by {words.number(abs(effect))} points under theft, "
            "for it follows the metered energy and is no loss; "
        )
    whose = "Loss" if feeder is None else f"{feeder}'s loss"
    rest = words.points(why.now - why.before - effect)
    alone = all(step.label in (NATURAL_DRIFT, f"{event.name} {event.where}") for step in why.steps)
    others = NATURAL_DRIFT if alone else f"{NATURAL_DRIFT} and other events"
    beside = f" and {rest} from {others}" if words.shows_change(rest) else ""
    return (
        f"{whose} today went from {words.percent(why.before)} to {words.percent(why.now)}, "
        f"{words.points(effect)} from the {event.name} since {since}{beside}: "
    )
