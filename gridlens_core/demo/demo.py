"""What a presenter can do: publish, trigger, rehearse, end, reset, and look at a moment.
The dashboard, the HTTP API and the command line all call this, and only this."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from uuid import UUID

import sqlalchemy as sa

from gridlens_core.clock import (
    DEFAULT_INTERVAL_MINUTES,
    INTERVAL_MINUTES,
    Clock,
    check_interval,
    floor_to_interval,
)
from gridlens_core.clock import grid_now as grid_clock
from gridlens_core.database.embedded import start_embedded
from gridlens_core.database.event_log import end_all_events
from gridlens_core.database.queries import query
from gridlens_core.demo.afterwards import Afterwards
from gridlens_core.demo.case_desk import CaseDesk
from gridlens_core.demo.desk import KpiDesk
from gridlens_core.demo.event_desk import EventDesk
from gridlens_core.demo.keys import KeyCheck
from gridlens_core.demo.lifeline import Lifeline, not_over
from gridlens_core.demo.nightly import Nightly
from gridlens_core.demo.proofs import Proofs
from gridlens_core.demo.session import Session, StartDatabase
from gridlens_core.demo.upcoming import upcoming
from gridlens_core.errors import BadInputError
from gridlens_core.explanation.ahead import publish_measured
from gridlens_core.explanation.kpis import Kpis
from gridlens_core.explanation.rehearsal import Rehearsal, rehearse
from gridlens_core.explanation.trace import Observation
from gridlens_core.meters.events import Event, EventRequest
from gridlens_core.meters.fleet import Fleet
from gridlens_core.publishing import baseline, seeding
from gridlens_core.publishing.auto import AutoPublishers, AutoState
from gridlens_core.publishing.publisher import (
    DEFAULT_BATCH_ROWS,
    Cycle,
    Plan,
    lock_tenant,
    publish_cycle,
)
from gridlens_core.settings import Settings

MAX_CYCLES = 96  # of one call: a day of 15-minute intervals


@dataclass(frozen=True)
class Published:
    """The cycles of one publish, with the KPIs before the first and after the last; None where the views did not say
    them in time."""

    cycles: tuple[Cycle, ...]
    before: Kpis | None
    after: Kpis | None


class Demo:
    """One running demo: its session with the database, its KPI desk, and the commands."""

    def __init__(
        self, settings: Settings, clock: Clock | None = None, start_database: StartDatabase = start_embedded
    ) -> None:
        self.settings = settings
        self.session = Session(settings, clock, start_database)
        self.desk = KpiDesk(self.session)
        self.happenings = EventDesk(self.session, self.desk)
        self.cases = CaseDesk(self.session)
        self.after = Afterwards(self.desk, self.cases)
        self.nightly = Nightly(self.session)
        self.keys = KeyCheck()
        self.auto = AutoPublishers(lambda tenant_id, minutes: self.publish(tenant_id, interval_minutes=minutes))
        self.lifeline = Lifeline(self.session, self.auto)
        self._proofs = Proofs(self.session, self.desk)
        self.resets: Counter[str] = Counter()  # by tenant; a story that was under way begins anew

    def stop(self) -> None:
        """Stops the timers, and the session."""
        self.auto.stop_all()
        self.nightly.wait()
        self.lifeline.close()
        self.session.stop()

    def look_again(self) -> None:
        """Goes on with what an existing database has now, if anything came or went since the start."""
        if not self.session.site.may_put_right and self.session.adopt(self.session.look_again(self.session.database)):
            self.desk.forget()
            self._proofs.forget()

    def events(self, tenant_id: str, *, active: bool = False) -> list[Event]:
        """The event log, newest first; with `active`, those not over yet."""
        self.session.check_tenant(tenant_id)
        self.session.require_events()
        pulse, log = self.desk.log(tenant_id)
        return not_over(pulse, log) if active else log[::-1]

    def auto_state(self, tenant_id: str) -> AutoState:
        """Whether the tenant is published on a timer."""
        self.session.check_tenant(tenant_id)
        with self.session.transaction(read_only=True) as connection:
            return self.auto.state(connection, tenant_id)

    def publish(
        self,
        tenant_id: str,
        *,
        interval_minutes: int | None = None,
        cycles: int = 1,
        batch_rows: int = DEFAULT_BATCH_ROWS,
    ) -> Published:
        """Publishes the next intervals, each a transaction of its own; None for the interval of the history."""
        if interval_minutes is not None:
            check_interval(interval_minutes)
        if not 1 <= cycles <= MAX_CYCLES:
            raise BadInputError.of("cycles", cycles, f"1 to {MAX_CYCLES}")
        self.session.check_tenant(tenant_id)
        self.session.require_events()
        minutes = interval_minutes or self.usual_interval(tenant_id)
        for view_name, why in self._proofs.no_losses(tenant_id, minutes).items():
            self.no_loss(view_name, why)
        done = [self._cycle(tenant_id, minutes, batch_rows, is_last=one == cycles) for one in range(1, cycles + 1)]
        after: Kpis | None = None
        with self.after.optional(tenant_id, "The KPIs after a publish"):
            after = self.desk.kpis_at(tenant_id, done[-1][0].read_at, self.settings.explain_budget_s)
        return Published(tuple(cycle for cycle, _ in done), done[0][1], after)

    def usual_interval(self, tenant_id: str) -> int:
        """The interval that publishing goes on with: that of the tenant's history."""
        if self.session.site.may_put_right and self.session.tenants.loaded(tenant_id) is None:
            return DEFAULT_INTERVAL_MINUTES
        minutes = self.desk.fleet(tenant_id).interval_minutes
        return minutes if minutes in INTERVAL_MINUTES else DEFAULT_INTERVAL_MINUTES

    def no_loss(self, view_name: str, why: str) -> None:
        """From now on the view's "loss" is not shown as one, and what was read of it is forgotten."""
        if self.session.no_loss(view_name, why):
            self.desk.forget()

    def _cycle(self, tenant_id: str, minutes: int, batch_rows: int, *, is_last: bool) -> tuple[Cycle, Kpis | None]:
        """One cycle with the KPIs before it. It does not wait for views that do not answer in time.

        is_last : the KPIs after it are read with the moment that viewers will see
        """
        trace = self.desk.trace(tenant_id)
        self.nightly.prepare(tenant_id, minutes, self.desk.fleet)
        with self.session.transaction() as connection:
            coming = upcoming(connection, self.session, self.desk, tenant_id, minutes, batch_rows)
            plan, now, seen = coming.plan, coming.now, None
            proof = self._proofs.begin(connection, coming)
            budget, last = self.desk.budget(tenant_id), trace.at(now)
            before = budget.read(connection, now) if last is None else last.kpis
            if self.session.site.may_put_right:
                cycle = publish_cycle(connection, plan, grid_now=now, lock=False)
            else:
                last = last or (None if before is None else Observation(now, before))
                cycle, seen = publish_measured(connection, plan, self.desk.book(tenant_id), last, budget, now)
            after = None if seen is None else seen.kpis
            if after is None and (proof is not None or not is_last):
                after = (budget if proof is None else self.desk.budget(tenant_id)).read(connection, cycle.read_at)
            if proof is not None:
                self._proofs.check(connection, plan, proof, cycle, (before, after))
            if seen is None and after is not None and not is_last:
                seen = Observation(cycle.read_at, after)
        plan.schema.published[tenant_id] = cycle.read_at
        with self.after.optional(tenant_id, "What was seen of a cycle"):
            if seen is not None:
                trace.observe(seen)
            if cycle.is_last_of_day(self.settings.timezone):
                self.desk.close_day(tenant_id)
            self.nightly.went_on(plan.fleet, cycle)
        return cycle, before

    def why_not(self, event_type: str) -> str | None:
        """Why an event of this type cannot be shown in this database; None where it can."""
        return self.happenings.why_not(event_type)

    def trigger(self, tenant_id: str, request: EventRequest) -> Event:
        """Writes an event that begins at the grid clock unless told otherwise."""
        return self.happenings.write(tenant_id, [request])[0]

    def rehearse(
        self, tenant_id: str, *requests: EventRequest, cycles: int = 4, interval_minutes: int | None = None
    ) -> Rehearsal:
        """The path the KPIs would take with an event, or with those of a ring; everything is rolled back."""
        fleet = self.happenings.check(tenant_id, *requests)
        site, wall = self.session.site, self.session.wall(tenant_id)
        minutes = check_interval(interval_minutes or self.usual_interval(tenant_id))
        plan = Plan(self.session.schema, fleet, wall, minutes, supply=site.keeps_supply)
        with self.session.transaction() as connection:
            now = plan.grid_now(connection)
            events = [request.checked(tenant_id, now) for request in requests]
            return rehearse(connection, plan, events, self.desk.reader(tenant_id), cycles)

    def end(self, event_id: str | UUID) -> Event:
        """Ends an event at the grid clock; one that is over stays as it was."""
        return self.happenings.end([event_id])[0]

    def reset(self, tenant_id: str) -> int:
        """Ends the tenant's events; on the local database also restores the baseline. Returns events ended.

        The baseline is what the emulator would have published without any event, up to the wall clock.
        """
        fleet = self.desk.fleet(tenant_id)
        self.session.require_events()
        self.auto.stop(tenant_id)
        restores = self.session.site.may_put_right
        with self.session.transaction(statement_timeout_s=seeding.SEEDING_TIMEOUT_S) as connection:
            lock_tenant(connection, tenant_id)
            ended = end_all_events(connection, tenant_id, self.happenings.grid_now(connection, tenant_id))
            if restores:
                self._back_to_baseline(connection, fleet)
        self.resets[tenant_id] += 1
        if restores:
            self.after.forget(tenant_id, self.nightly, self.desk, self.cases)
        return ended

    def _back_to_baseline(self, connection: sa.Connection, fleet: Fleet) -> None:
        """Forgets the events and all that came after the first of them, or after the wall clock, and fills up again.

        In one transaction: nobody sees half of it, and no other process publishes in between.
        """
        tenant, wall = {"tenant_id": fleet.tenant_id}, self.session.wall(fleet.tenant_id)
        end = grid_clock(None, wall, DEFAULT_INTERVAL_MINUTES)
        first_event = connection.execute(query("events.sql", "earliest_event_start"), tenant).scalar_one()
        moment = floor_to_interval(min(first_event or end, end), DEFAULT_INTERVAL_MINUTES)
        loaded = self.session.tenants.loaded(fleet.tenant_id)
        moment = moment if loaded is None else max(moment, loaded.ends_at)
        baseline.forget_after(connection, fleet.tenant_id, moment, self.desk.today(moment))
        connection.execute(query("events.sql", "delete_events"), tenant)
        seeding.fill_up(connection, self.session.schema, fleet, self.settings, wall)
