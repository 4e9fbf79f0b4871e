"""The KPI desk: what the views say at a moment, read once and shared by all viewers of a tenant."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import partial
from threading import Lock
from time import monotonic
from typing import Any

import sqlalchemy as sa

from gridlens_core.clock import DEFAULT_INTERVAL_MINUTES, local_day
from gridlens_core.clock import grid_now as grid_clock
from gridlens_core.database.connection import STATEMENT_TIMEOUT_S
from gridlens_core.database.reads import read_times
from gridlens_core.demo.latest import Answer, Latest
from gridlens_core.demo.measuring import Improve, Measurer
from gridlens_core.demo.session import Session, kept_in
from gridlens_core.errors import DatabaseBusyError, GridLensError
from gridlens_core.explanation.ahead import Budget, PathBook
from gridlens_core.explanation.evidence import MeterEvidence, Told, meter_evidence
from gridlens_core.explanation.kpis import Kpis, ReadKpis, by_role, kpis_from, read_rows
from gridlens_core.explanation.moment import (
    Keeper,
    Moment,
    Pulse,
    Question,
    moment_at,
    read_moment,
    read_pulse,
)
from gridlens_core.explanation.trace import Observation, Trace
from gridlens_core.meters.events import Event
from gridlens_core.meters.fleet import Fleet
from gridlens_core.publishing.publisher import newest_interval

PATIENCE_S = 0.8  # a page waits this long for a newer moment before it shows the last one
ANSWER_PATIENCE_S = 30.0  # an answer of the API waits this long for the moment it is of
EXPLAIN_PATIENCE_S = 0.4  # a moment waits this long for what it is made of, so that cards need not change twice
LOOK_BACK = timedelta(days=1)  # of published intervals that pages offer to go back to

log = logging.getLogger(__name__)


@dataclass
class _Tenant:
    """What the desk remembers of one tenant."""

    trace: Trace
    book: PathBook
    measurer: Measurer
    keeper: Keeper = field(default_factory=Keeper)
    fleets: dict[date | None, Fleet] = field(default_factory=dict)
    view_seconds: float = 0.0


class KpiDesk:
    """Moments of the tenants of one session. Safe to share between threads."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._moments: Latest[Moment] = Latest()
        self._tenants: dict[str, _Tenant] = {}
        self._lock = Lock()

    # --- what is remembered -----------------------------------------------------------------------------

    def trace(self, tenant_id: str) -> Trace:
        """KPIs seen so far, by grid time."""
        return self._of(tenant_id).trace

    def book(self, tenant_id: str) -> PathBook:
        """Paths rehearsed for the tenant."""
        return self._of(tenant_id).book

    def budget(self, tenant_id: str) -> Budget:
        """What the next publish cycle may spend on the views."""
        return Budget(self.reader(tenant_id), self._session.settings.explain_budget_s, self.view_seconds(tenant_id))

    def view_seconds(self, tenant_id: str) -> float:
        """How long the views took when they were last read, with what is shown beside them [s]."""
        return self._of(tenant_id).view_seconds

    def forget(self, tenant_id: str | None = None, *, after: datetime | None = None) -> None:
        """Drops what was learned of a tenant, or of all; what was seen up to a grid time `after` stays."""
        for one in self._session.tenants.names if tenant_id is None else (tenant_id,):
            self._moments.forget(one)
            with self._lock:
                known = self._tenants.pop(one, None)
            if tenant_id is not None and known is not None:
                known.trace.forget(after)
                known.book.forget()

    def _of(self, tenant_id: str) -> _Tenant:
        self._session.check_tenant(tenant_id)
        with self._lock:
            if tenant_id not in self._tenants:
                self._tenants[tenant_id] = _tenant(self._session, tenant_id, partial(self._moments.improve, tenant_id))
            return self._tenants[tenant_id]

    # --- asking -----------------------------------------------------------------------------------------

    def pulse(self, tenant_id: str) -> Pulse:
        """Grid clock and versions of what the tenant's pages show."""
        self._session.check_tenant(tenant_id)
        return self.log(tenant_id)[0]

    def log(self, tenant_id: str) -> tuple[Pulse, list[Event]]:
        """The pulse with the event log it was taken with, in the order it was written."""
        with self._session.transaction(read_only=True) as connection:
            return read_pulse(connection, self._session.schema, tenant_id, self._session.wall(tenant_id))

    def stamp(self, tenant_id: str) -> float | None:
        """Changes whenever another moment is known, or more of the same one."""
        known = self._moments.known(tenant_id)
        return None if known is None else known.pulse.taken_at + (not known.is_being_measured)

    def known(self, tenant_id: str) -> Moment | None:
        """The last moment that is known, without asking."""
        return self._moments.known(tenant_id)

    def moment(self, tenant_id: str, pulse: Pulse | None = None, patience_s: float = PATIENCE_S) -> Answer[Moment]:
        """The moment of a pulse or a later one if it comes in time, else the last one that is known, whole."""
        wanted = pulse or self.pulse(tenant_id)
        return self._moments.get(
            tenant_id,
            lambda known: known.pulse == wanted or known.pulse.taken_at >= wanted.taken_at,
            lambda: self._ask(tenant_id),
            patience_s=patience_s,
            first_patience_s=max(patience_s, STATEMENT_TIMEOUT_S),
        )

    def fresh(self, tenant_id: str, patience_s: float | None = None) -> Moment:
        """The moment now, for an answer that must not be of an earlier one; raises DatabaseBusyError."""
        found = self.moment(tenant_id, patience_s=patience_s or ANSWER_PATIENCE_S)
        if not found.current:
            raise DatabaseBusyError("The KPI views did not answer in time; the last figures are of an earlier moment.")
        return found.value

    def kpis_at(self, tenant_id: str, grid_now: datetime, patience_s: float) -> Kpis | None:
        """The KPIs of just this grid time; None where the views do not say them in time, or do not answer."""
        wanted = monotonic()
        try:
            found = self._moments.get(
                tenant_id,
                lambda known: known.grid_now >= grid_now and known.pulse.taken_at >= wanted,
                lambda: self._ask(tenant_id),
                patience_s=patience_s,
                first_patience_s=patience_s,
            )
        except GridLensError as error:
            log.info("The KPIs after a publish were not read: %s", error.message)
            return None
        return found.value.kpis if found.current and found.value.grid_now == grid_now else None

    def close_day(self, tenant_id: str) -> None:
        """Measures what the day's events did before the KPIs begin anew, if that is quick enough."""
        seconds = self._session.settings.explain_budget_s
        with suppress(GridLensError):
            self.explained(tenant_id, seconds)

    def explained(self, tenant_id: str, patience_s: float | None = None) -> Moment:
        """Like `fresh`, once it is known what the KPIs are made of, or why that is not known."""
        moment = self.fresh(tenant_id, patience_s)
        known = self._moments.wait(tenant_id, lambda one: not one.is_being_measured, patience_s or ANSWER_PATIENCE_S)
        return known or moment

    def at(self, tenant_id: str, then: datetime) -> Moment:
        """The moment as it was at a grid time of the last day."""
        with self._session.transaction(read_only=True) as connection:
            return moment_at(connection, self._question(tenant_id), then)

    def published(self, moment: Moment) -> list[datetime]:
        """The ends of the intervals published in the day of grid time before a moment, oldest first."""
        with self._session.transaction(read_only=True) as connection:
            first, meters = moment.grid_now - LOOK_BACK, moment.fleet.meter_ids
            return read_times(connection, moment.schema, moment.tenant_id, meters, first, moment.grid_now)

    def evidence(self, moment: Moment, meter_id: str) -> MeterEvidence:
        """Why a meter is named at a moment, or why it is not."""
        moment.fleet.check_target(None, meter_id)
        told = Told(moment.evidence, moment.suspected, moment.site.rule_is_known)
        with self._session.transaction(read_only=True) as connection:
            found = moment.site.expected(connection, moment.schema, moment.fleet, meter_id, moment.grid_now)
        return meter_evidence(meter_id, found, moment.fleet, moment.kpis, moment.grid_now, told)

    # --- on a connection --------------------------------------------------------------------------------

    def fleet(self, tenant_id: str) -> Fleet:
        """The tenant's meters."""
        self._session.check_tenant(tenant_id)
        with self._session.transaction(read_only=True) as connection:
            latest = newest_interval(connection, self._session.schema, tenant_id)
            now = grid_clock(latest, self._session.wall(tenant_id), DEFAULT_INTERVAL_MINUTES)
            return self.fleet_on(connection, tenant_id, latest, self.today(now))

    def fleet_on(self, connection: sa.Connection, tenant_id: str, latest: datetime | None, today: date) -> Fleet:
        """The tenant's meters, found by a connection where they are not known yet."""
        fleets, site = self._of(tenant_id).fleets, self._session.site
        key = site.fleet_key(today, latest)
        if key not in fleets:
            found = site.fleet(connection, self._session.schema, tenant_id, latest, today)
            begun = fleets.get(None)  # of a tenant whose first reads come from here; an outage may silence some meters
            fleets[key] = begun if begun is not None and set(found.meter_ids) <= set(begun.meter_ids) else found
        return fleets[key]

    def today(self, grid_now: datetime) -> date:
        """The utility's local day at the grid clock."""
        return local_day(grid_now, self._session.settings.timezone)

    def reader(self, tenant_id: str) -> ReadKpis:
        """Reads what the views say now on a connection."""
        known, schema, site = self._of(tenant_id), self._session.schema, self._session.site

        def read(connection: sa.Connection, moment: datetime, before_each: Callable[[], None] | None = None) -> Kpis:
            began = monotonic()
            day = site.kpi_day(connection, schema, tenant_id, moment)
            kpis = kpis_from(schema, day, read_rows(connection, schema, tenant_id, day, before_each))
            known.view_seconds = monotonic() - began
            return kpis

        return read

    # --- in the background ------------------------------------------------------------------------------

    def _question(self, tenant_id: str) -> Question:
        known, session = self._of(tenant_id), self._session
        loaded = session.tenants.loaded(tenant_id)

        def fleet(connection: sa.Connection, latest: datetime | None, today: date) -> Fleet:
            return self.fleet_on(connection, tenant_id, latest, today)

        return Question(
            tenant_id=tenant_id,
            site=session.site,
            schema=session.schema,
            wall=session.wall(tenant_id),
            fleet=fleet,
            history=known.trace.all(),
            tariff_usd_per_kwh=session.settings.tariff_usd_per_kwh,
            keeper=known.keeper,
            supply_note="" if loaded is None else loaded.note,
        )

    def _ask(self, tenant_id: str) -> Moment:
        """Reads the moment, with what its KPIs are made of where that is quick; else that comes after it."""
        question, known = self._question(tenant_id), self._of(tenant_id)
        with self._session.transaction(read_only=True) as connection:
            began = monotonic()
            moment = read_moment(connection, question)
            known.view_seconds = monotonic() - began
        known.trace.observe(Observation(moment.grid_now, moment.kpis))
        return known.measurer.measured(moment, self.reader(tenant_id), EXPLAIN_PATIENCE_S)


def rows_of(moment: Moment, view_name: str) -> list[dict[str, Any]]:
    """A KPI view's rows under GridLens's names, newest day first; shares in percent."""
    view = moment.schema.views.get(view_name)
    if view is None:
        return []
    rows: Sequence[Any] = (*moment.rows[view_name], *moment.closed[view_name])
    return by_role(view, rows)


def _tenant(session: Session, tenant_id: str, improve: Improve) -> _Tenant:
    """What earlier processes remembered of a tenant in this data directory, and with it when they published last."""
    trace = Trace(kept_in(session, tenant_id, "trace", "jsonl"))
    book = PathBook(kept_in(session, tenant_id, "ahead", "json"))
    if seen := trace.all():
        session.schema.published.setdefault(tenant_id, seen[-1].grid_now)
    return _Tenant(trace, book, Measurer(session, trace, improve))
