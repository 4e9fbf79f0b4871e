"""Publishing on a timer. One publisher per tenant across processes: the database holds the lock."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from threading import Condition, Lock, Thread
from time import monotonic

import sqlalchemy as sa

from gridlens_core.clock import check_interval
from gridlens_core.database.connection import Database, is_pooled, plain_errors
from gridlens_core.database.queries import query
from gridlens_core.errors import AutoPublishElsewhereError, BadInputError, GridLensError

MIN_SECONDS, MAX_SECONDS = 0.5, 3600
HEARTBEAT_SECONDS = 5.0  # between looks at the lock: shorter than a pooler's idle limit, and a lost lock is noticed
YIELD_SECONDS = (
    30.0  # a timer whose lost lock another process holds for longer ends; a dead session may hold it so long
)

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
    """A thread that publishes one tenant's cycles until it is stopped; it goes on after a database was away.

    It publishes only while its session holds the tenant's lock. One that lost it to another process ends.
    """

    def __init__(
        self, database: Database, tenant_id: str, publish: Callable[[int], object], every_seconds: float, interval: int
    ) -> None:
        self.every_seconds = every_seconds
        self.interval_minutes = interval
        self.has_ended = False
        self._database = database
        self._tenant_id = tenant_id
        self._publish = publish
        self._told = Condition()
        self._stopped = False
        self._due = 0.0
        self._lost_at: float | None = None
        self._no_lock: str | None = None
        self._no_cycle: str | None = None
        self._lock_session: sa.Connection | None = None
        self._thread = Thread(target=self._run, name=f"auto-publish {tenant_id}", daemon=True)

    @property
    def holds_lock(self) -> bool:
        """Whether its session held the tenant's lock when it last looked."""
        return self._lock_session is not None

    def start(self) -> None:
        """Takes the tenant's lock and begins; raises AutoPublishElsewhereError if another process has it."""
        self._take_lock()
        self._due = monotonic() + self.every_seconds
        self._thread.start()

    def set_times(self, every_seconds: float, interval_minutes: int) -> None:
        """Goes on with other times, without letting go of the lock."""
        with self._told:
            self.every_seconds, self.interval_minutes = every_seconds, interval_minutes
            self._due = monotonic() + every_seconds
            self._told.notify_all()

    def stop(self) -> None:
        """Ends after the cycle under way, if any; the thread then lets go of the lock."""
        with self._told:
            self._stopped = True
            self._told.notify_all()
        self._thread.join(timeout=self.every_seconds + 30)

    @property
    def problem(self) -> str | None:
        """Why the lock is not held, or the last cycle did not go through."""
        return self._no_lock or self._no_cycle

    def _run(self) -> None:
        try:
            while not self._rest():
                due = self._is_due()
                if self._has_lock() and due:
                    self._cycle()
                if self._lost_at is not None and monotonic() - self._lost_at > YIELD_SECONDS:
                    return
        finally:
            self.has_ended = True
            self._drop_lock()

    def _cycle(self) -> None:
        try:
            self._publish(self.interval_minutes)
            self._no_cycle = None
        except GridLensError as error:
            self._no_cycle = error.message
        except Exception:  # the timer goes on, and `problem` says why
            log.exception("A cycle on the timer of %s failed.", self._tenant_id)
            self._no_cycle = "The last cycle failed; the server's log has the cause."

    def _has_lock(self) -> bool:
        """Whether the session holds the lock, taken again where it was lost and nobody else has it."""
        try:
            self._keep_lock()
        except GridLensError as error:
            self._no_lock = error.message
            if isinstance(error, AutoPublishElsewhereError):
                self._lost_at = self._lost_at or monotonic()
            return False
        self._no_lock = self._lost_at = None
        return True

    def _rest(self) -> bool:
        """Waits for the next cycle or the next look at the lock; returns whether it was stopped."""
        with self._told:
            if not self._stopped:
                self._told.wait(max(0.0, min(self._due - monotonic(), HEARTBEAT_SECONDS)))
            return self._stopped

    def _is_due(self) -> bool:
        """Whether a cycle is due; the next one is then due after another period."""
        with self._told:
            if monotonic() < self._due:
                return False
            self._due = monotonic() + self.every_seconds
            return True

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
        """The lock ends with its session, so it is taken again after the database was away or a pooler let go of it."""
        with suppress(GridLensError), plain_errors():
            if self._lock_session is not None:
                held = query("reads.sql", "holds_lock_auto")
                if self._lock_session.execute(held, {"tenant_id": self._tenant_id}).scalar_one():
                    return
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
            running = self._by_tenant.get(tenant_id)
            if running is not None and running.holds_lock:
                running.set_times(every_seconds, interval_minutes)
                return self._state_here(running)
            publisher = AutoPublisher(
                database,
                tenant_id,
                lambda interval: self._publish(tenant_id, interval),
                every_seconds,
                interval_minutes,
            )
            publisher.start()
            self._end(tenant_id)  # one that waits for its lost lock; this one has it
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
        if publisher is not None and publisher.holds_lock:
            return self._state_here(publisher)
        locked = connection.execute(query("reads.sql", "auto_is_locked"), {"tenant_id": tenant_id}).scalar_one()
        if publisher is not None and not locked and not publisher.has_ended:
            return self._state_here(publisher)  # it is about to take its lock again
        return AutoState(running=bool(locked), here=False, problem=publisher.problem if publisher is not None else None)

    def _end(self, tenant_id: str) -> bool:
        publisher = self._by_tenant.pop(tenant_id, None)
        if publisher is not None:
            publisher.stop()
        return publisher is not None

    @staticmethod
    def _state_here(publisher: AutoPublisher) -> AutoState:
        return AutoState(True, True, publisher.every_seconds, publisher.interval_minutes, publisher.problem)
