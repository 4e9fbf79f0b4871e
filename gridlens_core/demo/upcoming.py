"""What the next publish cycle of a tenant is about."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

import sqlalchemy as sa

from gridlens_core.clock import grid_now as grid_clock
from gridlens_core.demo.desk import KpiDesk
from gridlens_core.demo.session import Session
from gridlens_core.meters.emulator import Span
from gridlens_core.publishing.publisher import DEFAULT_BATCH_ROWS, Plan, lock_tenant, newest_interval


@dataclass(frozen=True)
class Upcoming:
    """The next cycle, as it stands under the tenant's lock.

    latest : the newest interval of the history, None where there is none; now : the grid clock; today : its local day
    """

    plan: Plan
    latest: datetime | None
    now: datetime
    today: date

    @property
    def span(self) -> Span:
        """The interval that it publishes."""
        return Span(self.now, self.plan.interval_minutes)


def upcoming(
    connection: sa.Connection,
    session: Session,
    desk: KpiDesk,
    tenant_id: str,
    minutes: int,
    batch_rows: int = DEFAULT_BATCH_ROWS,
) -> Upcoming:
    """Takes the tenant's lock, to the end of the transaction, and reads the grid clock and the fleet."""
    lock_tenant(connection, tenant_id)
    schema, wall = session.schema, session.wall(tenant_id)
    latest = newest_interval(connection, schema, tenant_id)
    now = grid_clock(latest, wall, minutes)
    today = desk.today(now)
    fleet = desk.fleet_on(connection, tenant_id, latest, today)
    return Upcoming(Plan(schema, fleet, wall, minutes, batch_rows, session.site.keeps_supply), latest, now, today)
