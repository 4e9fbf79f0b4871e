"""A moment: one look at one tenant, read in one read-only transaction. What a screen, an answer or a brief shows comes
from one moment and carries its grid time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from functools import cached_property, partial
from time import monotonic
from typing import Any

import sqlalchemy as sa

from gridlens_core.clock import DEFAULT_INTERVAL_MINUTES, day_start, local_day
from gridlens_core.clock import grid_now as grid_clock
from gridlens_core.database.event_log import latest_events
from gridlens_core.database.reads import Read, reads_of
from gridlens_core.database.schema import FEEDER_LOSS, KPI_VIEWS, SUSPICIOUS, Schema
from gridlens_core.explanation.days import ClosedDays
from gridlens_core.explanation.energy import FeederInterval, times_of
from gridlens_core.explanation.kpis import Kpis, ViewRows, by_role, kpis_from
from gridlens_core.explanation.receipts import Receipt, receipt_of
from gridlens_core.explanation.site import Site
from gridlens_core.explanation.trace import Observation
from gridlens_core.explanation.truth import LONGEST, Ledger, Truth, read_ledger, sum_of
from gridlens_core.explanation.why import Measured, Why, why_of
from gridlens_core.meters.events import Event
from gridlens_core.meters.fleet import Fleet
from gridlens_core.meters.rings import together
from gridlens_core.publishing.publisher import newest_interval

CHART_HOURS = 12
LOG_MOST = 500  # events; older ones are not looked at
LEDGER_HOURS = 24  # of grid time; what is over longer was accounted for before
MOST_RECEIPTS = 20
KPIS_HOLD = timedelta(hours=1)  # the longest interval: KPIs seen earlier are not those of a grid time

NOT_YET = "the effect of the events is being measured"

TruthUntil = Callable[[datetime], Truth]


@dataclass(frozen=True)
class Pulse:
    """What changes whenever anything a page shows has changed; cheap to ask for.

    taken_at : on the monotonic clock of this process, before the database was asked
    """

    grid_now: datetime
    latest_read_at: datetime | None
    events_version: tuple[Any, ...]
    taken_at: float = field(default=0.0, compare=False)


@dataclass(frozen=True, eq=False)
class Moment:
    """One look at one tenant.

    day, rows, kpis : the day whose KPIs are today's, and what the views say of it
    closed : the views' rows of the days before
    events : the log, in the order they were written
    balance : energy by feeder and interval over the chart's hours, oldest first
    latest : reads of the newest interval by meter
    ledger : of the events that are not over for long; `over` has what the others did
    history : what was seen before, this moment last
    supply_note : what is to be said of its supply and loss, empty where they are what the database says
    measured : with and without the events; None where none has touched the day, or `unmeasured` says why
    """

    tenant_id: str
    pulse: Pulse
    site: Site
    schema: Schema
    fleet: Fleet
    rows: ViewRows
    closed: ViewRows
    kpis: Kpis
    events: tuple[Event, ...]
    balance: tuple[FeederInterval, ...]
    latest: Mapping[str, Read]
    ledger: Ledger
    over: Mapping[tuple[Any, ...], TruthUntil]
    history: tuple[Observation, ...]
    tariff_usd_per_kwh: float
    measured: Measured | None = None
    unmeasured: str = ""
    supply_note: str = ""

    @property
    def grid_now(self) -> datetime:
        return self.pulse.grid_now

    @property
    def timezone(self) -> str:
        return self.fleet.timezone

    @property
    def midnight(self) -> datetime:
        """The beginning of the local day of the grid clock."""
        return day_start(local_day(self.grid_now, self.timezone), self.timezone)

    @property
    def running(self) -> list[Event]:
        """Events that are not over, in the order they were written."""
        return [one for one in self.events if one.ends_at > self.grid_now and one.starts_at < one.ends_at]

    @property
    def todays(self) -> list[Event]:
        """Events whose window touches the running day up to the grid clock."""
        return [one for one in self.events if one.overlaps(self.midnight, self.grid_now)]

    @property
    def evidence(self) -> dict[str, str | None]:
        """What the suspicious-meters view says of each meter it lists."""
        view = self.schema.views.get(SUSPICIOUS)
        rows = [] if view is None else by_role(view, self.rows[SUSPICIOUS])
        return {row["meter_id"]: row.get("evidence") for row in rows}

    @property
    def suspected(self) -> dict[str, str]:
        """Why a theft is suspected on a feeder, by feeder; {} where the views are not GridLens's own."""
        if not self.site.rule_is_known:
            return {}
        return {str(row["feeder_id"]): str(row["evidence"]) for row in self.rows[FEEDER_LOSS] if row["evidence"]}

    @property
    def is_being_measured(self) -> bool:
        """Whether what its KPIs are made of will be known in a while."""
        return self.unmeasured == NOT_YET

    @cached_property
    def shown(self) -> tuple[Event, ...]:
        """The log as screens show it: the events of a ring are one."""
        return tuple(together(self.events))

    def truth(self, event: Event) -> Truth:
        """What an event, or a ring of them, did so far."""
        return self._account_of(event)(self.grid_now)

    def why(self, kpi: str, feeder_id: str | None = None) -> Why | None:
        """What a KPI's change since before today's first event is made of; None where that is not known."""
        return None if self.measured is None else why_of(self.measured, kpi, feeder_id)

    @cached_property
    def receipts(self) -> tuple[Receipt, ...]:
        """What each of the latest events did, newest first."""
        chosen = [one for one in reversed(self.shown) if one.starts_at < one.ends_at][:MOST_RECEIPTS]
        return tuple(
            receipt_of(one, self._account_of(one), self.events, self.fleet, self.history, self.tariff_usd_per_kwh)
            for one in chosen
        )

    def _account_of(self, event: Event) -> TruthUntil:
        accounts = [self._account_of_one(one) for one in event.members]
        return lambda moment: sum_of([account(moment) for account in accounts])

    def _account_of_one(self, event: Event) -> TruthUntil:
        known = self.over.get(account_key(event))
        if known is not None:
            return known
        return lambda moment: self.ledger.truth(event, min(moment, self.grid_now))

    def with_measured(self, measured: Measured | None, unmeasured: str = "") -> Moment:
        """The same moment, once it is known what its KPIs are made of."""
        seen = Observation(self.grid_now, self.kpis, measured)
        return replace(self, measured=measured, unmeasured=unmeasured, history=(*self.history[:-1], seen))


def read_pulse(connection: sa.Connection, schema: Schema, tenant_id: str, wall: datetime) -> tuple[Pulse, list[Event]]:
    """How things stand: the grid clock, and the event log in the order it was written."""
    taken_at = monotonic()
    latest = newest_interval(connection, schema, tenant_id)
    log = latest_events(connection, tenant_id, LOG_MOST)[::-1] if schema.has_events else []
    version = tuple((one.id, one.starts_at, one.ends_at) for one in log)
    return Pulse(grid_clock(latest, wall, DEFAULT_INTERVAL_MINUTES), latest, version, taken_at), log


def account_key(event: Event) -> tuple[Any, ...]:
    """Names what an event did, as long as its window stays as it is."""
    return event.id, event.starts_at, event.ends_at


@dataclass(frozen=True)
class Keeper:
    """What one process remembers of one tenant from moment to moment, so that it is not asked for again.

    over : accounts of events that are over for long
    """

    days: ClosedDays = field(default_factory=ClosedDays)
    over: dict[tuple[Any, ...], TruthUntil] = field(default_factory=dict)


@dataclass(frozen=True)
class Question:
    """Whose moment it is to be.

    fleet : given the connection, the newest interval and the local day, the tenant's meters
    history : what was seen so far
    """

    tenant_id: str
    site: Site
    schema: Schema
    wall: datetime
    fleet: Callable[[sa.Connection, datetime | None, date], Fleet]
    history: Sequence[Observation]
    tariff_usd_per_kwh: float
    keeper: Keeper
    supply_note: str = ""


@dataclass(frozen=True)
class Said:
    """What the views say: the KPIs of today, the rows they are read from, and the rows of the days before."""

    kpis: Kpis
    rows: ViewRows = field(default_factory=lambda: dict.fromkeys(KPI_VIEWS, ()))
    closed: ViewRows = field(default_factory=lambda: dict.fromkeys(KPI_VIEWS, ()))


def read_moment(connection: sa.Connection, asked: Question) -> Moment:
    """The tenant's moment now, by a read-only transaction; ten statements, and more only for what is remembered."""
    pulse, log = read_pulse(connection, asked.schema, asked.tenant_id, asked.wall)
    day = asked.site.kpi_day(connection, asked.schema, asked.tenant_id, pulse.grid_now)
    rows, closed = {}, {}
    for view in KPI_VIEWS:
        rows[view], closed[view] = asked.keeper.days.read(connection, asked.schema, view, asked.tenant_id, day)
    kpis = kpis_from(asked.schema, day, rows)
    return _look(connection, asked, pulse, log, Said(kpis, rows, closed))


def moment_at(connection: sa.Connection, asked: Question, then: datetime) -> Moment:
    """The moment as it was at a grid time; its KPIs are those seen then, unknown where nobody looked."""
    pulse, log = read_pulse(connection, asked.schema, asked.tenant_id, asked.wall)
    seen = [one for one in asked.history if one.grid_now <= then]
    known = bool(seen) and then - seen[-1].grid_now <= KPIS_HOLD
    kpis = seen[-1].kpis if known else Kpis(local_day(then, asked.site.settings.timezone))
    begun = [one for one in log if one.starts_at < then]
    past = replace(asked, history=seen[:-1] if known else seen)
    look = _look(connection, past, replace(pulse, grid_now=then), begun, Said(kpis))
    return look.with_measured(seen[-1].measured if known else None)


def _look(connection: sa.Connection, asked: Question, pulse: Pulse, log: Sequence[Event], said: Said) -> Moment:
    """What stands beside the KPIs: energy, the newest reads, and what the events did."""
    schema, tenant_id, now = asked.schema, asked.tenant_id, pulse.grid_now
    fleet = asked.fleet(connection, pulse.latest_read_at, local_day(now, asked.site.settings.timezone))
    recent = [one for one in log if one.starts_at < now and one.ends_at > now - timedelta(hours=LEDGER_HOURS)]
    history = [one for one in asked.history if one.grid_now < now]
    balance = asked.site.balance(connection, schema, fleet, now - timedelta(hours=CHART_HOURS), now)
    meters = fleet.meter_ids if schema.newest_by_hops else None
    latest = {read.meter_id: read for read in reads_of(connection, schema, tenant_id, at=now, meters=meters)}
    return Moment(
        tenant_id=tenant_id,
        pulse=pulse,
        site=asked.site,
        schema=schema,
        fleet=fleet,
        rows=said.rows,
        closed=said.closed,
        kpis=said.kpis,
        events=tuple(log),
        balance=tuple(balance),
        latest=latest,
        ledger=read_ledger(connection, schema, fleet, recent, now, times_of(balance)),
        over=_accounts_of_the_past(connection, asked, fleet, log, now),
        history=(*history, Observation(now, said.kpis)),
        tariff_usd_per_kwh=asked.tariff_usd_per_kwh,
        supply_note=asked.supply_note,
    )


def _accounts_of_the_past(
    connection: sa.Connection, asked: Question, fleet: Fleet, log: Sequence[Event], now: datetime
) -> Mapping[tuple[Any, ...], TruthUntil]:
    """What the latest events did that are over for long: each is read back once, and remembered."""
    earliest = now - timedelta(hours=LEDGER_HOURS)
    shown = [one for one in together(log) if one.starts_at < one.ends_at][-MOST_RECEIPTS:]
    for event in (member for one in shown for member in one.members):
        if event.ends_at <= earliest and account_key(event) not in asked.keeper.over:
            beside = [one for one in log if one.overlaps(event.starts_at, event.ends_at)]
            ledger = read_ledger(connection, asked.schema, fleet, beside, event.ends_at + LONGEST)
            asked.keeper.over[account_key(event)] = partial(ledger.truth, event)
    return asked.keeper.over
