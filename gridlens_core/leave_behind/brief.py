"""The leave-behind: what was just shown, gathered from one moment for the one-page brief and the slides.
Every figure is the one that the pages show; nothing is computed again."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal

from gridlens_core.display.branding import Brand, renamed
from gridlens_core.display.control_room import ControlRoom, control_room
from gridlens_core.display.labels import Label
from gridlens_core.display.own_numbers import OwnNumbers, numbers_of
from gridlens_core.explanation.catalogue import ALL, CARD_KPIS, CATALOGUE, OF_FEEDERS
from gridlens_core.explanation.detection import Score, session_score
from gridlens_core.explanation.moment import Moment
from gridlens_core.explanation.money import Money, money_of
from gridlens_core.explanation.receipts import Receipt
from gridlens_core.explanation.why import Measured, Why, total, why_of
from gridlens_core.explanation.worth import Numbers, Worth, worth_of
from gridlens_core.meters.events import Event
from gridlens_core.words import MODELLED

SESSION_HOURS = 24  # of grid time; what is over longer was not just shown


@dataclass(frozen=True)
class KpiRow:
    """One KPI over what was shown: before + drift + effect = now, to the last digit.

    worst : the highest or lowest that was seen, whichever is worse for this KPI
    drift, effect : natural drift and all events together; None where that was not measured
    feeder_id : whose loss it is; None for a KPI of the whole tenant
    """

    kpi: str
    label: str
    before: Decimal | None
    worst: Decimal | None
    now: Decimal | None
    drift: Decimal | None
    effect: Decimal | None
    feeder_id: str | None = None
    why: Why | None = None


@dataclass(frozen=True)
class Brief:
    """What was just shown to one tenant's executives.

    database : what kind it is, in the words of the pages' header
    receipts : of the events of the last SESSION_HOURS of grid time that have begun, oldest first
    leading : the costliest theft, or without any theft the newest event; the chart and the waterfall are about it
    room : the control room, its chart of the leading event's feeder
    since, until : the part of the KPIs' day that `kpis` and `why` are about
    labels : what each event is called, by its id
    money : of all receipts together; worth : an estimate from the utility's numbers, of a year
    supply_note : what is to be said of supply and loss
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
    labels: Mapping[str, Label]
    money: Money
    score: Score | None
    worth: Worth
    supply_note: str = ""

    @property
    def label(self) -> str:
        """What every page and slide carries."""
        modelled = f"; {MODELLED}" if self.supply_note else ""
        return f"Simulated events on {self.tenant_id}{modelled}"


def brief_of(at: Moment, brand: Brand, numbers: Numbers | None = None) -> Brief:
    """The brief of a moment.

    numbers : what it is worth is worked out with them; None for those of the tenant and the usual ranges
    """
    numbers = numbers or numbers_of(OwnNumbers(), at.fleet, at.tariff_usd_per_kwh)
    receipts = just_shown(at.receipts, at.grid_now)
    leading = _leading(receipts)
    room = control_room(at, leading.event.feeder_id if leading else None)
    measured = _measured(at, receipts)
    begun = min((one.event.starts_at for one in receipts), default=at.grid_now)
    brief = Brief(
        brand=brand.name,
        tenant_id=at.tenant_id,
        timezone=at.timezone,
        grid_now=at.grid_now,
        database=at.site.title,
        meters=len(at.fleet),
        feeders=len(at.fleet.feeders),
        tariff_usd_per_kwh=at.tariff_usd_per_kwh,
        receipts=receipts,
        leading=leading,
        room=room,
        since=measured.since if measured else at.grid_now,
        until=measured.grid_now if measured else at.grid_now,
        kpis=_kpi_rows(at, measured, leading),
        why=_why(measured, leading) if measured and leading else None,
        labels=room.labels,
        money=money_of(receipts[::-1], begun, at.grid_now, at.tariff_usd_per_kwh),
        worth=worth_of(numbers),
        supply_note=at.supply_note,
        score=session_score([one.score for one in receipts if one.score is not None]),
    )
    return _branded(brief, brand)


def just_shown(receipts: Sequence[Receipt], grid_now: datetime) -> tuple[Receipt, ...]:
    """The receipts a brief is about, oldest first; without any there is nothing to leave behind."""
    earliest = grid_now - timedelta(hours=SESSION_HOURS)
    recent = [one for one in receipts if one.event.starts_at < grid_now and one.event.ends_at > earliest]
    return tuple(sorted(recent, key=lambda one: one.event.starts_at))


def file_stem(tenant_id: str, local_time: datetime) -> str:
    """gridlens-DEMO_TENANT-20261118-1430: a name that any file system accepts."""
    return f"gridlens-{re.sub(r'[^A-Za-z0-9_-]+', '_', tenant_id)[:60]}-{local_time:%Y%m%d-%H%M}"


def _measured(at: Moment, receipts: Sequence[Receipt]) -> Measured | None:
    """The moment as it was measured; the KPIs begin anew at midnight, so of older events the last one of their day."""
    if at.measured is not None and at.measured.event_ids:
        return at.measured
    ids = {str(one.event.id) for one in receipts}
    measured = (one.measured for one in reversed(at.history) if one.measured is not None)
    return next((one for one in measured if ids & set(one.event_ids)), None)


def _why(measured: Measured, leading: Receipt) -> Why | None:
    """What moved the KPI the leading event is about; its feeder's loss where the database has no loss of the whole."""
    why = why_of(measured, leading.event.kind.kpi)
    if why is None and leading.event.event_type == "theft" and leading.event.feeder_id is not None:
        return why_of(measured, OF_FEEDERS.name, leading.event.feeder_id)
    return why


def _branded(brief: Brief, brand: Brand) -> Brief:
    """With the names the utility gave its feeders."""
    if not brand.feeders:
        return brief

    def event(one: Event) -> Event:
        return replace(one, feeder_id=one.feeder_id and brand.in_words(one.feeder_id))

    receipts = tuple(replace(one, event=event(one.event)) for one in brief.receipts)
    room = renamed(brief.room, brand)
    return replace(
        brief,
        receipts=receipts,
        leading=_leading(receipts),
        room=room,
        kpis=tuple(
            replace(row, label=brand.in_words(row.label), feeder_id=row.feeder_id and brand.in_words(row.feeder_id))
            for row in brief.kpis
        ),
        labels=room.labels,
    )


def _leading(receipts: Sequence[Receipt]) -> Receipt | None:
    thefts = [one for one in receipts if one.event.event_type == "theft"]
    return max(thefts, key=lambda one: one.usd) if thefts else receipts[-1] if receipts else None


def _kpi_rows(at: Moment, measured: Measured | None, leading: Receipt | None) -> tuple[KpiRow, ...]:
    rows = [_kpi_row(at, measured, kpi, CATALOGUE[kpi].label, None) for kpi in CARD_KPIS]
    feeder = leading.event.feeder_id if leading and leading.event.event_type == "theft" else None
    if feeder is not None:
        rows.insert(1, _kpi_row(at, measured, OF_FEEDERS.name, f"{OF_FEEDERS.label}, {feeder}", feeder))
    return tuple(row for row in rows if row.now is not None)


def _kpi_row(at: Moment, measured: Measured | None, kpi: str, label: str, feeder_id: str | None) -> KpiRow:
    if measured is None:
        return KpiRow(kpi, label, None, None, at.kpis.of(kpi, feeder_id), None, None, feeder_id)
    now = measured.now
    shown = [one.kpis for one in at.history if measured.since <= one.grid_now and one.kpis.day == now.day]
    values = [value for kpis in (*shown, now) if (value := kpis.of(kpi, feeder_id)) is not None]
    worst = (min if ALL[kpi].falls_when_bad else max)(values) if values else None
    why = why_of(measured, kpi, feeder_id)
    if why is None:
        return KpiRow(kpi, label, None, worst, now.of(kpi, feeder_id), None, None, feeder_id)
    effect = total(one.change for one in why.effects)
    return KpiRow(kpi, label, why.before, worst, why.now, why.drift, effect, feeder_id, why)
