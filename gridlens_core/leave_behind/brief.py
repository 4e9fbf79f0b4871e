"""The leave-behind: what was just shown, gathered once for the one-page brief and the slides.
Every figure comes from where the pages have theirs; nothing is computed anew for paper."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import takewhile

from gridlens_core import words
from gridlens_core.clock import day_start
from gridlens_core.demo.demo import Demo
from gridlens_core.display.branding import Brand, renamed
from gridlens_core.display.control_room import NATURAL_DRIFT, ControlRoom, Look, Why, why_moved
from gridlens_core.explanation.detection import Score, session_score
from gridlens_core.explanation.kpis import Kpis
from gridlens_core.explanation.money import Money, money_of
from gridlens_core.explanation.movement import total, value_of
from gridlens_core.explanation.receipts import RECEIPT_KPIS, Receipt
from gridlens_core.explanation.trace import Observation
from gridlens_core.meters.events import Event

SESSION_HOURS = 24  # of grid time; what is over longer was not just shown
ATTEMPTS = 3  # to gather everything between two publish cycles
FEEDER_LOSS = "feeder_loss_pct"
FALLS_WHEN_BAD = ("read_success_pct", "voltage_compliance_pct")


@dataclass(frozen=True)
class KpiRow:
    """One KPI over what was shown: before + drift + effect = now, to the last digit.

    worst : the highest or lowest that was seen, whichever is worse for this KPI
    drift, effect : natural drift and all events together; None where a cycle was not measured
    """

    kpi: str
    label: str
    before: Decimal | None
    worst: Decimal | None
    now: Decimal | None
    drift: Decimal | None
    effect: Decimal | None


@dataclass(frozen=True)
class Brief:
    """What was just shown to one tenant's executives.

    database : what kind it is, in the words of the pages' header
    receipts : of the events of the last SESSION_HOURS of grid time that have begun, oldest first
    leading : the costliest theft, or without any theft the newest event; the chart and the waterfall are about it
    room : the control room, its chart of the leading event's feeder
    since, until : the part of the KPIs' day that `kpis` and `why` are about
    money : of all receipts together
    """

    brand: str
    tenant_id: str
    timezone: str
    grid_now: datetime
    database: str
    meters: int
    feeders: int
    tariff_usd_per_kwh: float
    receipts: tuple[Receipt, ...]
    leading: Receipt | None
    room: ControlRoom
    since: datetime
    until: datetime
    kpis: tuple[KpiRow, ...]
    why: Why | None
    money: Money
    score: Score | None

    @property
    def label(self) -> str:
        """What every page and slide carries."""
        return f"Simulated events on {self.tenant_id}"


def make_brief(demo: Demo, brand: Brand, tenant_id: str) -> Brief:
    """Everything of one moment: gathered again when a publish cycle came in between."""
    pulse = demo.pulse(tenant_id)
    for _ in range(ATTEMPTS):
        brief, before = _gather(demo, brand, tenant_id), pulse
        pulse = demo.pulse(tenant_id)
        if pulse == before:
            break
    return brief


def just_shown(receipts: Sequence[Receipt], grid_now: datetime) -> tuple[Receipt, ...]:
    """The receipts a brief is about, oldest first; without any there is nothing to leave behind."""
    earliest = grid_now - timedelta(hours=SESSION_HOURS)
    recent = [one for one in receipts if one.event.starts_at < grid_now and one.event.ends_at > earliest]
    return tuple(sorted(recent, key=lambda one: one.event.starts_at))


def file_stem(tenant_id: str, local_time: datetime) -> str:
    """gridlens-DEMO_TENANT-20261118-1430: a name that any file system takes."""
    return f"gridlens-{re.sub(r'[^A-Za-z0-9_-]+', '_', tenant_id)[:60]}-{local_time:%Y%m%d-%H%M}"


def _gather(demo: Demo, brand: Brand, tenant_id: str) -> Brief:
    grid_now = demo.pulse(tenant_id).grid_now
    fleet, events = demo.fleet(tenant_id), demo.events(tenant_id)
    receipts = just_shown(demo.receipts(tenant_id), grid_now)
    leading = _leading(receipts)
    room = demo.control_room(tenant_id, leading.event.feeder_id if leading else None)
    seen = demo.trace(tenant_id).all()
    kpis, history = _day_shown(room.kpis, seen, [one.event for one in receipts])
    at = Look(
        schema=demo.schema,
        fleet=fleet,
        grid_now=grid_now,
        kpis=kpis,
        events=events,
        kpis_of=grid_now,
        history=history,
        tariff_usd_per_kwh=demo.settings.tariff_usd_per_kwh,
        is_local=demo.database.is_local,
    )
    begun = min((one.event.starts_at for one in receipts), default=grid_now)
    since = max(begun, day_start(kpis.day, fleet.timezone)) if receipts else grid_now
    shown = [one.event for one in receipts]
    brief = Brief(
        brand=brand.name,
        tenant_id=tenant_id,
        timezone=fleet.timezone,
        grid_now=grid_now,
        database="Local database" if demo.database.is_local else "Existing database",
        meters=len(fleet),
        feeders=len(fleet.feeders),
        tariff_usd_per_kwh=at.tariff_usd_per_kwh,
        receipts=receipts,
        leading=leading,
        room=room,
        since=since,
        until=history[-1].grid_now if history else grid_now,
        kpis=_kpi_rows(at, shown, since, leading),
        why=_why(at, shown, leading.event) if leading else None,
        money=money_of(receipts[::-1], begun, grid_now, at.tariff_usd_per_kwh),
        score=session_score([one.score for one in receipts if one.score is not None]),
    )
    return _branded(brief, brand)


def _why(at: Look, shown: Sequence[Event], leading: Event) -> Why | None:
    """What moved the KPI the leading event is about; its feeder's loss where the database has no loss of the whole."""
    why = why_moved(at, shown, leading.kind.kpi)
    if why is None and leading.event_type == "theft" and leading.feeder_id is not None:
        return why_moved(at, shown, FEEDER_LOSS, leading.feeder_id)
    return why


def _branded(brief: Brief, brand: Brand) -> Brief:
    """With the names the utility gave its feeders."""
    if not brand.feeders:
        return brief

    def event(one: Event) -> Event:
        return replace(one, feeder_id=one.feeder_id and brand.in_words(one.feeder_id))

    receipts = tuple(replace(one, event=event(one.event)) for one in brief.receipts)
    steps = [replace(step, label=brand.in_words(step.label)) for step in brief.why.steps] if brief.why else []
    return replace(
        brief,
        receipts=receipts,
        leading=_leading(receipts),
        room=renamed(brief.room, brand),
        kpis=tuple(replace(row, label=brand.in_words(row.label)) for row in brief.kpis),
        why=brief.why and replace(brief.why, steps=tuple(steps)),
    )


def _leading(receipts: Sequence[Receipt]) -> Receipt | None:
    thefts = [one for one in receipts if one.event.event_type == "theft"]
    return max(thefts, key=lambda one: one.usd) if thefts else receipts[-1] if receipts else None


def _day_shown(now: Kpis, seen: Sequence[Observation], events: Sequence[Event]) -> tuple[Kpis, Sequence[Observation]]:
    """The KPIs begin anew at midnight: those of the last day an event was in, and what was seen up to its end."""
    ids = {str(event.id) for event in events}
    touched = [one.kpis.day for one in seen if any(ids & set(step_id.split("+")) for step_id, _ in one.steps)]
    if not touched or touched[-1] == now.day:
        return now, seen
    history = list(takewhile(lambda one: one.kpis.day <= touched[-1], seen))
    return history[-1].kpis, history


def _kpi_rows(at: Look, events: Sequence[Event], since: datetime, leading: Receipt | None) -> tuple[KpiRow, ...]:
    rows = [_kpi_row(at, events, since, kpi, words.KPI_WORDS[kpi][0], None) for kpi in RECEIPT_KPIS]
    feeder = leading.event.feeder_id if leading and leading.event.event_type == "theft" else None
    if feeder is not None:
        rows.insert(1, _kpi_row(at, events, since, FEEDER_LOSS, f"Loss today, {feeder}", feeder))
    return tuple(row for row in rows if row.now is not None)


def _kpi_row(at: Look, events: Sequence[Event], since: datetime, kpi: str, label: str, feeder_id: str | None) -> KpiRow:
    now = value_of(at.kpis, kpi, feeder_id)
    why = why_moved(at, events, kpi, feeder_id)
    of_day = [one for one in at.history if one.kpis.day == at.kpis.day]
    earlier = [one for one in of_day if one.grid_now <= since]
    values = [value_of(one.kpis, kpi, feeder_id) for one in [*earlier[-1:], *of_day[len(earlier) :]]]
    known = [value for value in [*values, now] if value is not None]
    worst = (min if kpi in FALLS_WHEN_BAD else max)(known) if events and known else None
    if why is None:
        return KpiRow(kpi, label, values[0] if events and values else None, worst, now, None, None)
    drift = total(step.change for step in why.steps if step.label == NATURAL_DRIFT)
    effect = total(step.change for step in why.steps if step.label != NATURAL_DRIFT)
    return KpiRow(kpi, label, why.before, worst, now, drift, effect)
