"""What is proven of an existing database: before the first cycle that its losses are losses; within each local day's
first one that its history plays back, that reads stand as they were sent, and that the supply goes on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

import sqlalchemy as sa

from gridlens_core.clock import grid_now as grid_clock
from gridlens_core.database.reads import Read, reads_of
from gridlens_core.demo.desk import KpiDesk
from gridlens_core.demo.session import Session
from gridlens_core.explanation.ahead import Budget
from gridlens_core.explanation.kpis import Kpis
from gridlens_core.explanation.supply import supply_goes_on
from gridlens_core.explanation.under_theft import moves, no_loss, theft_of_all
from gridlens_core.meters.emulator import Span, emulate
from gridlens_core.meters.events import Event
from gridlens_core.publishing.playback import play_back_latest
from gridlens_core.publishing.publisher import Cycle, Plan, check_stands, lock_tenant, newest_interval, write_reads

Key = tuple[str, date]  # a tenant and its local day


@dataclass(frozen=True)
class Proof:
    """What one cycle is to prove.

    there : the reads of its interval before it; None where it is proven that reads stand
    supply : whether it is still to be proven that the supply goes on
    """

    key: Key
    span: Span
    there: Sequence[Read] | None
    supply: bool


class Proofs:
    """What has been proven in this process; what a view was too slow to show is asked again with the next cycle."""

    def __init__(self, session: Session, desk: KpiDesk) -> None:
        self._session = session
        self._desk = desk
        self._stand: set[Key] = set()
        self._supplied: set[Key] = set()
        self._losses: set[str] = set()

    def forget(self) -> None:
        """After a change of the database."""
        self._stand.clear()
        self._supplied.clear()
        self._losses.clear()

    def take_losses_as_they_are(self, tenant_id: str) -> None:
        """Lets a tenant's losses stand without a trial."""
        self._losses.add(tenant_id)

    def begin(
        self, connection: sa.Connection, plan: Plan, latest: datetime | None, now: datetime, today: date
    ) -> Proof:
        """What the next cycle is to prove; raises DatabaseRefusedError where the history does not play back.

        latest : the newest interval of the history, None where there is none; now : the grid clock
        """
        schema, fleet = plan.schema, plan.fleet
        key, span, there = (fleet.tenant_id, today), Span(now, plan.interval_minutes), None
        if key not in self._stand:
            if fleet.habits is not None and latest is not None:
                play_back_latest(connection, schema, fleet, latest, today).require()
            there = list(reads_of(connection, schema, fleet.tenant_id, at=span.end, meters=fleet.meter_ids))
        return Proof(key, span, there, supply=key not in self._supplied)

    def no_losses(self, tenant_id: str, minutes: int) -> dict[str, str]:
        """Before the first cycle, by view why its "loss" is none: an interval is tried clean and with everything
        stolen, and rolled back."""
        session = self._session
        if session.site.may_put_right or tenant_id in self._losses:
            return {}
        with session.transaction() as connection:
            lock_tenant(connection, tenant_id)
            wall, latest = session.wall(tenant_id), newest_interval(connection, session.schema, tenant_id)
            now = grid_clock(latest, wall, minutes)
            fleet = self._desk.fleet_on(connection, tenant_id, latest, self._desk.today(now))
            plan, span, budget = (
                Plan(session.schema, fleet, wall, minutes),
                Span(now, minutes),
                self._desk.budget(tenant_id),
            )
            clean, stolen = (
                self._tried(connection, plan, span, events, budget) for events in ([], [theft_of_all(fleet, span)])
            )
        if clean is None or stolen is None:
            return {}
        self._losses.add(tenant_id)
        return {view: no_loss(session.schema, view) for view, moved in moves(clean, stolen) if moved < 0}

    @staticmethod
    def _tried(
        connection: sa.Connection, plan: Plan, span: Span, events: Sequence[Event], budget: Budget
    ) -> Kpis | None:
        if not budget.fits():
            return None
        trial = connection.begin_nested()
        try:
            write_reads(connection, plan.schema, emulate(plan.fleet, span, events, 0.0))
            return budget.read(connection, span.end)
        finally:
            trial.rollback()

    def check(
        self,
        connection: sa.Connection,
        plan: Plan,
        proof: Proof,
        cycle: Cycle,
        looks: tuple[Kpis | None, Kpis | None],
    ) -> None:
        """Raises DatabaseRefusedError or DatabaseNotReadyError, with the remedy, where the cycle proves the contrary.

        looks : the KPIs before the cycle and after it, None where the views did not say them in time
        """
        if proof.there is None and not proof.supply:
            return
        sent = emulate(plan.fleet, proof.span, cycle.events, plan.fleet.missing_share)
        if proof.there is not None:
            check_stands(connection, plan.schema, sent, proof.there)
            self._stand.add(proof.key)
        if proof.supply and supply_goes_on(*looks, float((sent.recorded_mwh * sent.sent).sum()) / 1e6):
            self._supplied.add(proof.key)
