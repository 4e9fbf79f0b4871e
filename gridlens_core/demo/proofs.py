"""What is proven of an existing database: before the first cycle that its losses are losses; within each local day's
first one that its history plays back, that reads stand as they were sent, and that the supply goes on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import sqlalchemy as sa

from gridlens_core.database.reads import Read, reads_of
from gridlens_core.demo.desk import KpiDesk
from gridlens_core.demo.session import Session
from gridlens_core.demo.upcoming import Upcoming, upcoming
from gridlens_core.explanation.ahead import Budget
from gridlens_core.explanation.kpis import Kpis
from gridlens_core.explanation.supply import supply_goes_on
from gridlens_core.explanation.under_theft import moves, no_loss, theft_of_all
from gridlens_core.meters.emulator import Span, emulate
from gridlens_core.meters.events import Event
from gridlens_core.publishing.playback import play_back_latest
from gridlens_core.publishing.publisher import Cycle, Plan, check_stands, write_reads

Key = tuple[str, date]  # a tenant and its local day


@dataclass(frozen=True)
class Proof:
    """What one cycle is to prove: one of the two at the least.

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

    def begin(self, connection: sa.Connection, cycle: Upcoming) -> Proof | None:
        """What the next cycle is to prove, None for nothing; raises DatabaseRefusedError where the history cannot be
        played back."""
        schema, fleet, there = cycle.plan.schema, cycle.plan.fleet, None
        key = (fleet.tenant_id, cycle.today)
        if self._session.site.may_put_right or key in self._stand & self._supplied:
            return None
        if key not in self._stand:
            if fleet.habits is not None and cycle.latest is not None:
                play_back_latest(connection, schema, fleet, cycle.latest, cycle.today).require()
            there = list(reads_of(connection, schema, fleet.tenant_id, at=cycle.span.end, meters=fleet.meter_ids))
        return Proof(key, cycle.span, there, supply=key not in self._supplied)

    def no_losses(self, tenant_id: str, minutes: int) -> dict[str, str]:
        """Before the first cycle, by view why its "loss" is none: an interval is tried clean and with everything
        stolen, and rolled back."""
        session = self._session
        if session.site.may_put_right or tenant_id in self._losses:
            return {}
        with session.transaction() as connection:
            cycle, budget = upcoming(connection, session, self._desk, tenant_id, minutes), self._desk.budget(tenant_id)
            theft = theft_of_all(cycle.plan.fleet, cycle.span)
            clean, stolen = (self._tried(connection, cycle, events, budget) for events in ([], [theft]))
        if clean is None or stolen is None:
            return {}
        self._losses.add(tenant_id)
        return {view: no_loss(session.schema, view) for view, moved in moves(clean, stolen) if moved < 0}

    @staticmethod
    def _tried(connection: sa.Connection, cycle: Upcoming, events: Sequence[Event], budget: Budget) -> Kpis | None:
        if not budget.fits():
            return None
        trial = connection.begin_nested()
        try:
            write_reads(connection, cycle.plan.schema, emulate(cycle.plan.fleet, cycle.span, events, 0.0))
            return budget.read(connection, cycle.span.end)
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
        sent = emulate(plan.fleet, proof.span, cycle.events, plan.fleet.missing_share)
        if proof.there is not None:
            check_stands(connection, plan.schema, sent, proof.there)
            self._stand.add(proof.key)
        if proof.supply and supply_goes_on(*looks, float((sent.recorded_mwh * sent.sent).sum()) / 1e6):
            self._supplied.add(proof.key)
