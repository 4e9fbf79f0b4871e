"""Publishing on a timer. One publisher per tenant across processes: the database holds the lock."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from threading import Event, Lock, Thread
from time import monotonic

import sqlalchemy as sa

from gridlens_core.clock import check_interval
from gridlens_core.database.connection import Database, is_pooled, plain_errors
from gridlens_core.database.queries import query
from gridlens_core.errors import AutoPublishElsewhereError, BadInputError, GridLensError

MIN_SECONDS, MAX_SECONDS = 0.5, 3600

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class AutoState:
    """Auto mode of one tenant; `here` tells whether this process publishes or another one."""

    running: bool
    here: bool
    every_seconds: float | None = None
    interval_minutes: int | None = None
    problem: str | None = None


class AutoPublisher:
    """A thread that publishes one tenant's cycles until it is stopped; it goes on after a database was away."""

    def __init__(
        self, database: Database, tenant_id: str, publish: Callable[[int], object], every_seconds: float, interval: int
    ) -> None:
        self.every_seconds = every_seconds
        self.interval_minutes = interval
        self.problem: str | None = None
        self._database = database
        self._tenant_id = tenant_id
        self._publish = publish
        self._stopped = Event()
        self._lock_session: sa.Connection | None = None
        self._thread = Thread(target=self._run, name=f"auto-publish {tenant_id}", daemon=True)

    def start(self) -> None:
        """Takes the tenant's lock and begins; raises AutoPublishElsewhereError if another process has it."""
        self._take_lock()
        self._thread.start()

    def stop(self) -> None:
        """Ends after the cycle under way, if any."""
        self._stopped.set()
        self._thread.join(timeout=self.every_seconds + 30)
        self._drop_lock()

    def _run(self) -> None:
        due = monotonic() + self.every_seconds
        while not self._stopped.wait(max(0.0, due - monotonic())):
            due = monotonic() + self.every_seconds
            try:
                self._keep_lock()
                self._publish(self.interval_minutes)
                self.problem = None
            except GridLensError as error:
                self.problem = error.message
            except Exception:  # the timer goes on, and `problem` says why
                log.exception("A cycle on the timer of %s failed.", self._tenant_id)
                self.problem = "The last cycle failed; the server's log has the cause."

    def _take_lock(self) -> None:
        with plain_errors():
            session = self._database.engine.connect()
            if not is_pooled(session):
                session.rollback()
                session = session.execution_options(isolation_level="AUTOCOMMIT")
            lock = "try_lock_auto_pooled" if session.in_transaction() else "try_lock_auto"
            taken = session.execute(query("reads.sql", lock), {"tenant_id": self._tenant_id}).scalar_one()
        if not taken:
            session.close()
            raise AutoPublishElsewhereError(tenant_id=self._tenant_id)
        self._lock_session = session

    def _keep_lock(self) -> None:
        """The lock ends with its session, so it is taken again after the database was away."""
        try:
            with plain_errors():
                if self._lock_session is not None:
                    self._lock_session.exec_driver_sql("SELECT 1")
                    return
        except GridLensError:
            self._drop_lock()
        self._take_lock()

    def _drop_lock(self) -> None:
        if self._lock_session is not None:
            with suppress(sa.exc.SQLAlchemyError):  # a session that is gone holds no lock
                # Unlocked explicitly: after a session ends, the server may hold its lock for a moment longer.
                self._lock_session.execute(query("reads.sql", "unlock_auto"), {"tenant_id": self._tenant_id})
                self._lock_session.rollback()
            self._lock_session.invalidate()
            self._lock_session.close()
            self._lock_session = None


class AutoPublishers:
    """The timers of this process, by tenant."""

    def __init__(self, publish: Callable[[str, int], object]) -> None:
        self._publish = publish
        self._by_tenant: dict[str, AutoPublisher] = {}
        self._lock = Lock()

    def start(self, database: Database, tenant_id: str, every_seconds: float, interval_minutes: int) -> AutoState:
        """Starts the tenant's timer, or gives a running one new times."""
        if not MIN_SECONDS <= every_seconds <= MAX_SECONDS:
            raise BadInputError.of("everySeconds", every_seconds, f"{MIN_SECONDS} to {MAX_SECONDS} seconds")
        check_interval(interval_minutes)
        with self._lock:
            self._end(tenant_id)
            publisher = AutoPublisher(
                database,
                tenant_id,
                lambda interval: self._publish(tenant_id, interval),
                every_seconds,
                interval_minutes,
            )
            publisher.start()
            self._by_tenant[tenant_id] = publisher
        return self._state_here(publisher)

    def stop(self, tenant_id: str) -> bool:
        """Stops the tenant's timer in this process; returns whether there was one."""
        with self._lock:
            return self._end(tenant_id)

    def stop_all(self) -> None:
        """Stops every timer of this process."""
        with self._lock:
            for tenant_id in list(self._by_tenant):
                self._end(tenant_id)

    def problem(self, tenant_id: str) -> str | None:
        """Why the tenant's last cycle on this process's timer did not go through, if it did not."""
        publisher = self._by_tenant.get(tenant_id)
        return None if publisher is None else publisher.problem

    def state(self, connection: sa.Connection, tenant_id: str) -> AutoState:
        """Whether the tenant is published on a timer, here or by another process."""
        publisher = self._by_tenant.get(tenant_id)
        if publisher is not None:
            return self._state_here(publisher)
        locked = connection.execute(query("reads.sql", "auto_is_locked"), {"tenant_id": tenant_id}).scalar_one()
        return AutoState(running=bool(locked), here=False)

    def _end(self, tenant_id: str) -> bool:
        publisher = self._by_tenant.pop(tenant_id, None)
        if publisher is not None:
            publisher.stop()
        return publisher is not None

    @staticmethod
    def _state_here(publisher: AutoPublisher) -> AutoState:
        return AutoState(True, True, publisher.every_seconds, publisher.interval_minutes, publisher.problem)
