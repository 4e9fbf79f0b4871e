"""What the control room shows, gathered in one look at the database: cards, chart, grid, events, story."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from gridlens_core import words
from gridlens_core.clock import day_start, local_day
from gridlens_core.events import Event
from gridlens_core.fleet import Fleet
from gridlens_core.kpis import Kpis, by_role, day_rows
from gridlens_core.queries import query
from gridlens_core.schema import SUSPICIOUS, Schema
from gridlens_core.truth import LOW_VOLTAGE_V, Truth, event_truth, kwh_not_recorded

CHART_HOURS = 12
SPARK_POINTS = 24

# Which event types can move which KPI (DESIGN.md 10); what moves without one of them is natural drift.
MOVED_BY: Mapping[str, tuple[str, ...]] = {
    "loss_pct": ("theft",),
    "read_success_pct": ("comms-outage",),
    "voltage_compliance_pct": ("voltage-sag",),
    "suspicious_meters": ("theft", "voltage-sag"),
    "open_tasks": ("theft", "voltage-sag", "comms-outage"),
}
EVENT_WORDS = {"theft": "theft", "voltage-sag": "sag", "comms-outage": "outage"}


@dataclass(frozen=True)
class Card:
    """One KPI card; `cause` is the event type behind the change, None where nothing changed or none fits."""

    key: str
    label: str
    value: str
    change: str
    moved: bool
    cause: str | None
    spark: tuple[float, ...]
    help: str


@dataclass(frozen=True)
class IntervalEnergy:
    """Supplied and metered energy by interval, oldest first; supplied is None where the database has none."""

    read_at: tuple[datetime, ...]
    supplied_kwh: tuple[float, ...] | None
    metered_kwh: tuple[float, ...]


@dataclass(frozen=True)
class MeterState:
    """A meter as the grid picture shows it: normal, named, low-voltage or silent."""

    meter_id: str
    feeder_id: str
    state: str
    note: str


@dataclass(frozen=True)
class RunningEvent:
    """An event that is not over, with what it has done so far."""

    event: Event
    truth: Truth
    time_left: str


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
    before: Kpis | None  # at the start of the oldest running event; None where that was not seen
    history: Sequence[tuple[datetime, Kpis]]
    tariff_usd_per_kwh: float
    is_local: bool


def look(
    connection: sa.Connection, at: Look, events: Sequence[Event], feeder_id: str | None, *, follow: bool
) -> ControlRoom:
    """The control room of one tenant now.

    events : those of the chart's window and of today, oldest first
    feeder_id : the chart shows this feeder alone; with `follow`, the feeder of the newest running event
    """
    running_events = [event for event in events if event.ends_at > at.grid_now and event.starts_at < event.ends_at]
    if follow:
        feeder_id = next((event.feeder_id for event in reversed(running_events) if event.feeder_id), None)
    running = tuple(
        RunningEvent(
            event,
            event_truth(connection, at.schema, at.fleet, event, at.grid_now),
            words.span(event.ends_at - max(at.grid_now, event.starts_at)),
        )
        for event in running_events
    )
    timezone = at.fleet.timezone
    midnight = day_start(local_day(at.grid_now, timezone), timezone)
    stolen_kwh = kwh_not_recorded(connection, at.schema, at.fleet, events, midnight, at.grid_now)
    chart_start = at.grid_now - timedelta(hours=CHART_HOURS)
    balance = interval_rows(connection, at, None, chart_start)
    shown = balance if feeder_id is None else interval_rows(connection, at, feeder_id, chart_start)
    return ControlRoom(
        tenant_id=at.fleet.tenant_id,
        timezone=timezone,
        grid_now=at.grid_now,
        kpis=at.kpis,
        cards=_cards(at, running, stolen_kwh, balance),
        energy=_energy(shown),
        feeder_id=feeder_id,
        shaded=tuple(event for event in events if event.overlaps(chart_start, at.grid_now + timedelta(hours=2))),
        meters=meter_states(connection, at),
        feeder_loss_pct={feeder: float(loss) for feeder, loss in at.kpis.feeder_loss_pct.items()},
        running=running,
        story=_story(at, running, stolen_kwh),
        feeders=at.fleet.feeders,
    )


def interval_rows(connection: sa.Connection, at: Look, feeder_id: str | None, after: datetime) -> list[dict[str, Any]]:
    """Energy by interval since `after`; without a feeder supply table the metered energy alone."""
    timezone = at.fleet.timezone
    parameters = {
        "tenant_id": at.fleet.tenant_id,
        "feeder_id": feeder_id,
        "after": after,
        "first_day": local_day(after, timezone),
        "last_day": local_day(at.grid_now, timezone),
    }
    if at.is_local:
        return [dict(row) for row in connection.execute(query("reads.sql", "interval_energy"), parameters).mappings()]
    reads = at.schema.require_reads()
    one_feeder = f"AND {reads['feeder_id']} = CAST(:feeder_id AS {reads.type_of('feeder_id')})" if feeder_id else ""
    statement = sa.text(
        f"SELECT {reads.moment('read_at')} AS read_at, CAST(sum({reads['kwh']}) AS double precision) AS metered_kwh "
        f"FROM {reads.quoted} WHERE {reads.of_tenant()} "
        f"AND {reads['read_at']} > {reads.from_moment('read_at', ':after')} {one_feeder} GROUP BY 1 ORDER BY 1"
    )
    return [dict(row) for row in connection.execute(statement, parameters).mappings()]


def meter_states(connection: sa.Connection, at: Look) -> tuple[MeterState, ...]:
    """Every meter's state in the latest interval, in the fleet's order."""
    reads = at.schema.require_reads()
    volts_column = f"CAST({reads['voltage']} AS double precision)" if reads.has("voltage") else "NULL::float8"
    statement = sa.text(
        f"SELECT CAST({reads['meter_id']} AS text) AS meter_id, CAST({reads['kwh']} AS double precision) AS kwh, "
        f"{volts_column} AS volts FROM {reads.quoted} "
        f"WHERE {reads.of_tenant()} AND {reads['read_at']} = {reads.from_moment('read_at', ':read_at')}"
    )
    parameters = {"tenant_id": at.fleet.tenant_id, "read_at": at.grid_now}
    latest = {row.meter_id: row for row in connection.execute(statement, parameters)}
    view = at.schema.views.get(SUSPICIOUS)
    day = at.kpis.day
    rows = day_rows(connection, at.schema, SUSPICIOUS, at.fleet.tenant_id, day, day)
    named = {
        row["meter_id"]: row.get("evidence") or row.get("issue") or "named by the view"
        for row in (by_role(view, rows) if view else [])
    }
    return tuple(
        MeterState(meter, feeder, *_state(latest.get(meter), named.get(meter)))
        for meter, feeder in zip(at.fleet.meter_ids, at.fleet.feeder_ids, strict=True)
    )


def _state(read: Any, evidence: str | None) -> tuple[str, str]:
    if read is None:
        return "silent", "no read in the latest interval"
    volts = "" if read.volts is None else f", {read.volts:.1f} V"
    latest = f"{read.kwh:.2f} kWh{volts} in the latest interval"
    if read.volts is not None and read.volts < LOW_VOLTAGE_V:
        return "low-voltage", latest
    return ("named", evidence) if evidence else ("normal", latest)


def _energy(rows: Sequence[Mapping[str, Any]]) -> IntervalEnergy:
    supplied = tuple(row["supplied_kwh"] for row in rows) if rows and "supplied_kwh" in rows[0] else None
    return IntervalEnergy(
        tuple(row["read_at"] for row in rows), supplied, tuple(row["metered_kwh"] or 0.0 for row in rows)
    )


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
            "theft" if thefts else None, (),
            "Ground truth of the emulator, not a KPI view: energy delivered but not recorded, times the tariff of "
            f"${at.tariff_usd_per_kwh:.2f} per kWh; a year at this severity if nobody looks.",
        ),
        _kpi_card(at, running, "read_success_pct", "Read success", words.percent(kpis.read_success_pct, 1), balance,
                  "Reads received as a share of reads due, today so far. From the overview view."),
        _kpi_card(at, running, "voltage_compliance_pct", "Voltage in range",
                  words.percent(kpis.voltage_compliance_pct, 1), balance,
                  "Reads within 114 to 126 V (ANSI C84.1 Range A), today so far. From the overview view."),
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
    now: Decimal | None = getattr(at.kpis, kpi)
    then: Decimal | None = getattr(at.before, kpi) if at.before else None
    if balance and kpi in balance[0]:
        spark = [row[kpi] for row in balance[-SPARK_POINTS:] if row[kpi] is not None]
    else:
        spark = [float(value) for _, seen in at.history[-SPARK_POINTS:] if (value := getattr(seen, kpi)) is not None]
    if now is None:
        return Card(kpi, label, value, "not in this database", False, None, (), explanation)
    if not running:
        change, moved, cause = "no event running", False, None
    elif then is None:
        change, moved, cause = "since when is not known", False, None
    else:
        types = [event.event.event_type for event in running if event.event.event_type in MOVED_BY[kpi]]
        change, moved, cause = _change(kpi, now - then, list(dict.fromkeys(types)))
    return Card(kpi, label, value, change, moved, cause, tuple(spark), explanation)


def _change(kpi: str, change: Decimal, types: list[str]) -> tuple[str, bool, str | None]:
    digits = 2 if kpi == "loss_pct" else 1
    text = words.points(change, digits) if kpi.endswith("_pct") else words.count_change(change)
    if not any(digit in "123456789" for digit in text):
        return "no change", False, None
    cause = words.and_list([EVENT_WORDS[kind] for kind in types]) if types else "drift"
    return f"{text} {cause}", True, types[-1] if types else None


def _story(at: Look, running: Sequence[RunningEvent], stolen_kwh: float) -> str:
    """What just happened, in one or two sentences."""
    if not running:
        quiet = f"All quiet. {words.plural(len(at.fleet), 'meter')} on {words.plural(len(at.fleet.feeders), 'feeder')}"
        lost = at.kpis.loss_pct
        return f"{quiet}; loss today is {words.percent(lost)}." if lost is not None else f"{quiet}."
    return " ".join(_event_story(at, item) for item in running[-2:])


def _event_story(at: Look, item: RunningEvent) -> str:
    event, truth = item.event, item.truth
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
        cost = truth.kwh_not_recorded * at.tariff_usd_per_kwh
        return (
            f"Theft on {event.where} since {since}: {meters} record {1 - event.fraction:.0%} of what they use. "
            f"{_feeder_moved(at, event)}{words.energy(truth.kwh_not_recorded)} unrecorded so far, "
            f"{words.dollars(cost)}; {words.dollars(truth.kwh_a_year * at.tariff_usd_per_kwh)} a year if nobody looks. "
            f"Ends at {until}."
        )
    if event.event_type == "voltage-sag":
        return (
            f"Voltage sag on {event.where} since {since}: {words.count(truth.reads_low_voltage)} of "
            f"{words.count(truth.reads_due)} reads of {meters} under 114 V. "
            f"No energy is lost. Ends at {until}."
        )
    if event.event_type == "comms-outage":
        return (
            f"Comms outage on {event.where} since {since}: {words.count(truth.reads_missing)} of "
            f"{words.count(truth.reads_due)} reads of {meters} did not arrive. "
            f"{words.energy(truth.kwh_unread)} were delivered but not read, which is not a loss. Ends at {until}."
        )
    return f"{name} on {event.where} since {since}, until {until}: not a type GridLens emulates."


def _feeder_moved(at: Look, event: Event) -> str:
    """FEEDER_7's loss today went from 2.45 % to 9.80 %."""
    if event.feeder_id is None or at.before is None:
        return ""
    then, now = (kpis.feeder_loss_pct.get(event.feeder_id) for kpis in (at.before, at.kpis))
    if then is None or now is None:
        return ""
    return f"{event.feeder_id}'s loss today went from {words.percent(then)} to {words.percent(now)}. "
