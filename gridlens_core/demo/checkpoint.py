"""Going back to an earlier grid time of the local database: what was published since is taken back, and the events are
as they were. Much cheaper than a reset and all the cycles since."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from gridlens_core.database.event_log import all_events, put_events_back
from gridlens_core.demo.demo import Demo
from gridlens_core.meters.events import Event
from gridlens_core.publishing import baseline
from gridlens_core.publishing.publisher import lock_tenant


@dataclass(frozen=True)
class Checkpoint:
    """How a tenant stood: the grid clock, and every event with the end it had then."""

    grid_now: datetime
    events: tuple[Event, ...]


def checkpoint(demo: Demo, tenant_id: str) -> Checkpoint | None:
    """How a tenant stands; None where nothing published may be taken back."""
    if not demo.session.site.may_put_right:
        return None
    with demo.session.transaction(one_moment=True) as connection:
        return Checkpoint(demo.happenings.grid_now(connection, tenant_id), tuple(all_events(connection, tenant_id)))


def go_back(demo: Demo, tenant_id: str, to: Checkpoint) -> bool:
    """Takes a tenant back; False, and nothing is changed, where what is there no longer goes on from the checkpoint."""
    demo.auto.stop(tenant_id)
    with demo.session.transaction() as connection:
        lock_tenant(connection, tenant_id)
        if not _goes_on_from(to, connection, demo, tenant_id):
            return False
        baseline.forget_after(connection, tenant_id, to.grid_now, demo.desk.today(to.grid_now))
        put_events_back(connection, tenant_id, to.events)
    with demo.after.optional(tenant_id, "The memory of after a step back"):
        demo.nightly.forget(tenant_id)
        demo.desk.forget(tenant_id, after=to.grid_now)
    return True


def _goes_on_from(to: Checkpoint, connection: sa.Connection, demo: Demo, tenant_id: str) -> bool:
    """Whether the intervals up to the checkpoint are those that were there then: nobody took the clock back before it,
    and no other event can have touched them."""
    there = all_events(connection, tenant_id)
    before = _begun(there, to.grid_now) == _begun(to.events, to.grid_now)
    return before and demo.happenings.grid_now(connection, tenant_id) >= to.grid_now


def _begun(events: Sequence[Event], moment: datetime) -> set[object]:
    return {one.id for one in events if one.starts_at < moment}
