"""What a cycle of the local database needs beforehand: no gap before it, and the nightly estimation for its day. That
is begun in the background as soon as a day is whole; the next publish does what is left."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import date, datetime, timedelta
from threading import Thread

from gridlens_core.clock import grid_now, local_day
from gridlens_core.demo.session import Session
from gridlens_core.errors import GridLensError
from gridlens_core.meters.fleet import Fleet
from gridlens_core.publishing.publisher import Cycle, Plan
from gridlens_core.publishing.seeding import catch_up, learn_ahead

log = logging.getLogger(__name__)


class Nightly:
    """Keeps the histories of one process ready for their next cycle; does nothing on an existing database."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._thread: Thread | None = None
        self._ready: dict[str, tuple[datetime, date]] = {}  # by tenant: published up to, and estimated for

    def prepare(self, tenant_id: str, minutes: int, fleet: Callable[[str], Fleet]) -> None:
        """Before a cycle; asks the database nothing where this process has done it already."""
        if not self._session.site.keeps_supply or self._is_ready(tenant_id, minutes):
            return
        plan = Plan(self._session.schema, fleet(tenant_id), self._session.wall(tenant_id), minutes)
        newest = catch_up(self._session, plan)
        self._ready[tenant_id] = newest, self._next_day(newest, minutes)

    def went_on(self, fleet: Fleet, cycle: Cycle) -> None:
        """After a cycle: the estimation for the next day is begun where the day is whole."""
        if not self._session.site.keeps_supply:
            return
        known = self._ready.get(fleet.tenant_id)
        if known is not None:
            self._ready[fleet.tenant_id] = cycle.read_at, known[1]
        whole = cycle.is_last_of_day(self._session.settings.timezone)
        if whole and (self._thread is None or not self._thread.is_alive()):
            self._thread = Thread(target=self._learn, args=(fleet, cycle.next_at), name="nightly", daemon=True)
            self._thread.start()

    def forget(self, tenant_id: str) -> None:
        """After a reset."""
        self._ready.pop(tenant_id, None)

    def wait(self) -> None:
        """Until what was begun is done."""
        if self._thread is not None:
            self._thread.join()

    def _is_ready(self, tenant_id: str, minutes: int) -> bool:
        if tenant_id not in self._ready:
            return False
        newest, day = self._ready[tenant_id]
        has_gap = grid_now(newest, self._session.wall(tenant_id), minutes) > newest
        return not has_gap and self._next_day(newest, minutes) == day

    def _next_day(self, newest: datetime, minutes: int) -> date:
        """The local day of the interval after the newest."""
        return local_day(newest + timedelta(minutes=minutes), self._session.settings.timezone)

    def _learn(self, fleet: Fleet, read_at: datetime) -> None:
        try:
            learn_ahead(self._session, fleet, read_at)
        except GridLensError as error:
            log.warning("The nightly estimation is left to the next publish: %s", error.message)
