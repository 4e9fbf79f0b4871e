"""The demo's session with its database: starting, reviving, stopping, and what was found there."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import datetime
from hashlib import blake2b
from pathlib import Path
from threading import Event as Flag
from threading import Lock, Thread

import sqlalchemy as sa

from gridlens_core.clock import Clock, wall_clock
from gridlens_core.database.bindings import read_corrections
from gridlens_core.database.connection import STATEMENT_TIMEOUT_S, Database, connect
from gridlens_core.database.discovery import discover
from gridlens_core.database.embedded import generated_key, start_embedded, stop_embedded
from gridlens_core.database.schema import Schema
from gridlens_core.demo.tenants import Tenants
from gridlens_core.errors import (
    DatabaseBusyError,
    DatabaseNotReadyError,
    DatabaseUnavailableError,
    GridLensError,
    StartingError,
)
from gridlens_core.explanation.site import Site, site_of
from gridlens_core.publishing import seeding
from gridlens_core.publishing.progress import Progress
from gridlens_core.settings import Settings

ZONES_FILE = "zones.json"  # in GRIDLENS_DATA_DIR
REMEMBERED = ("published", "witnesses")  # of a schema that is looked at again
RETRY_SECONDS = 5  # between attempts to start on a database that is away

log = logging.getLogger(__name__)

StartDatabase = Callable[[Path], str]  # GRIDLENS_DATA_DIR -> address of the embedded server


class Session:
    """Settings, clock and database of one running demo."""

    def __init__(self, settings: Settings, clock: Clock | None, start_database: StartDatabase = start_embedded) -> None:
        self.settings = settings
        self.clock = clock or wall_clock(settings.now)
        self.site: Site = site_of(settings)
        self.tenants = Tenants(settings)
        self.progress = Progress("Starting", 0.0)
        self.start_error: Exception | None = None
        self.start_database = start_database
        self._database: Database | None = None
        self._schema: Schema | None = None
        self._no_loss: dict[str, str] = {}
        self._lock = Lock()
        self._stopping = Flag()
        self._reviving = Lock()

    @property
    def ready(self) -> bool:
        """Whether the start is over and went well."""
        return self._schema is not None

    def start_in_background(self, then: Callable[[], None] = lambda: None) -> None:
        """Starts without waiting, `then` goes on; `progress`, `ready` and `start_error` tell how it goes."""
        self._stopping.clear()
        Thread(target=self.keep_starting, args=(then,), name="start", daemon=True).start()

    def keep_starting(self, then: Callable[[], None] = lambda: None) -> None:
        """Tries until it goes well or cannot: a database that is away at the start may come back."""
        while not self.ready and not self._stopping.is_set():
            try:
                self.start()
            except DatabaseUnavailableError as error:
                self.start_error = error
                self._stopping.wait(RETRY_SECONDS)
            except Exception as error:
                log.exception("The demo could not start.")
                self.start_error = error
                return
        if self.ready and not self._stopping.is_set():
            then()

    def start(self) -> None:
        """Opens the database; makes and fills the local one. Idempotent, and may be tried again."""
        with self._lock:
            if self._schema is not None:
                return
            if self.settings.database_url is not None:
                database = connect(self.settings.database_url.get_secret_value(), is_local=False)
                schema = self.look_again(database)
                seeding.prepare_existing(database, schema, self.settings, self.clock(), self._report)
            else:
                self.progress = Progress("Starting the embedded PostgreSQL", 0.0)
                database = connect(self.start_database(self.settings.data_dir), is_local=True)
                schema = seeding.prepare_local(database, self.settings, self.clock(), self._report)
            self.tenants.look(database, at_once=True)
            self._database, self._schema = database, schema
            self.progress, self.start_error = Progress("Ready", 1.0), None

    def look_again(self, database: Database) -> Schema:
        """What a database has now; changes nothing."""
        corrections = read_corrections(self.settings.data_dir)
        with database.transaction(read_only=True) as connection:
            tenants, timezone = self.settings.tenants, self.settings.timezone
            zone = "" if database.is_local else _zones(self.settings.data_dir).get(database.address, "")
            found = discover(connection, corrections, tenants=tenants, wall=self.clock(), timezone=timezone, zone=zone)
        # In an existing database nothing reports to a table like ours, so it does not tell the grid clock.
        if database.is_local:
            return found
        if found.reads is not None and found.reads.has("read_at"):
            bound = found.reads.bindings["read_at"]
            if bound.certainty == "sure" and found.reads.is_naive("read_at") and bound.form and not zone:
                _remember_zone(self.settings.data_dir, database.address, bound.form)
        known = {} if self._schema is None else {name: getattr(self._schema, name) for name in REMEMBERED}
        return self._without_losses(replace(found, has_supply=False, **known))

    def no_loss(self, view: str, reason: str) -> bool:
        """From now on the column by the name of a loss is not shown as one; returns whether that is news."""
        if self._no_loss.get(view) == reason:
            return False
        self._no_loss[view] = reason
        if self._schema is not None:
            self._schema = self._without_losses(self._schema)
        return True

    def _without_losses(self, schema: Schema) -> Schema:
        views = dict(schema.views)
        for name in self._no_loss:
            if name in views:
                left = {role: bound for role, bound in views[name].bindings.items() if role != "loss_pct"}
                views[name] = replace(views[name], bindings=left)
        return replace(schema, views=views, no_loss=dict(self._no_loss))

    def adopt(self, schema: Schema) -> bool:
        """Goes on with what an existing database was found to have now; returns whether anything came or went."""

        if self._schema is None or _what_is_there(schema) == _what_is_there(self._schema):
            return False
        self._schema = schema
        return True

    def stop(self) -> None:
        """Stops attempts to start, closes connections, and leaves the embedded server to its other users."""
        self._stopping.set()
        if self._database is not None:
            self._database.engine.dispose()
            if self.settings.is_local:
                # Not left to the end of the process: a web server that is told to stop ends by the signal itself.
                stop_embedded(self.settings.data_dir)

    @property
    def api_key(self) -> str | None:
        """The key that writes need: the one set, else the local database's own, else none."""
        if self.settings.api_key is not None:
            return self.settings.api_key.get_secret_value()
        return generated_key(self.settings.data_dir) if self.settings.is_local else None

    @property
    def schema(self) -> Schema:
        """What was found in the database, or StartingError."""
        if self._schema is None:
            if isinstance(self.start_error, GridLensError):
                raise self.start_error
            if self.start_error is not None:
                raise DatabaseNotReadyError("The demo could not start; the server's log has the cause.")
            raise StartingError(f"The demo is still starting: {self.progress.doing}.", share=self.progress.share)
        return self._schema

    @property
    def database(self) -> Database:
        """The database, or StartingError."""
        _ = self.schema
        assert self._database is not None
        return self._database

    @contextmanager
    def transaction(
        self,
        *,
        read_only: bool = False,
        one_moment: bool = False,
        statement_timeout_s: float = STATEMENT_TIMEOUT_S,
        database: Database | None = None,
    ) -> Iterator[sa.Connection]:
        """A transaction; an embedded server that has gone away is started again in the background."""
        try:
            with (database or self.database).transaction(
                read_only=read_only, one_moment=one_moment, statement_timeout_s=statement_timeout_s
            ) as connection:
                yield connection
        except DatabaseBusyError:
            raise
        except DatabaseUnavailableError:
            self._revive()
            raise

    def check_tenant(self, tenant_id: str) -> str:
        """The tenant, or TenantNotAllowedError naming those that may be shown."""
        if tenant_id not in self.tenants.names and self._database is not None:
            with suppress(DatabaseUnavailableError):
                self.tenants.look(self._database)  # perhaps another process has loaded it
        return self.tenants.check(tenant_id)

    def wall(self, tenant_id: str) -> datetime:
        """The wall clock of a tenant."""
        return self.tenants.wall(tenant_id, self.clock())

    def require_events(self) -> None:
        """Looks again before saying that ami_events is missing: it may have been applied since the start."""
        if not self.schema.has_events:
            with self.transaction(read_only=True) as connection:
                found = discover(connection)
                self._schema = replace(self.schema, has_events=found.has_events, events_problem=found.events_problem)
        self.schema.require_events()

    def require_events_for_kpis(self) -> None:
        """Like `require_events`; where the table is another one, KPIs are shown without events."""
        if not self.schema.events_problem:
            self.require_events()

    def _report(self, progress: Progress) -> None:
        self.progress = progress

    def _revive(self) -> None:
        """Starts a vanished embedded server again, in the background and one attempt at a time."""
        if not self.settings.is_local or not self._reviving.acquire(blocking=False):
            return

        def attempt() -> None:
            try:
                self.start_database(self.settings.data_dir)
            except DatabaseUnavailableError as error:
                self.start_error = error
            finally:
                self._reviving.release()

        Thread(target=attempt, name="revive", daemon=True).start()


def kept_in(session: Session, tenant_id: str, what: str, suffix: str) -> Path:
    """The file in the data directory that keeps something of one tenant of the session's database."""
    name = blake2b(f"{session.database.address} {tenant_id}".encode(), digest_size=6).hexdigest()
    return session.settings.data_dir / f"{what}-{name}.{suffix}"


def _what_is_there(found: Schema) -> tuple[object, ...]:
    """What a demo has to know of a database anew when it has changed."""
    reads = None if found.reads is None else (found.reads.columns, found.fill, sorted(found.unsettled))
    return reads, found.unique_key, {name: view.columns for name, view in found.views.items()}, found.has_events


def _zones(data_dir: Path) -> dict[str, str]:
    """The time zones that were settled, by address of a database."""
    try:
        said = json.loads((data_dir / ZONES_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {str(key): str(value) for key, value in said.items()} if isinstance(said, dict) else {}


def _remember_zone(data_dir: Path, address: str, zone: str) -> None:
    with suppress(OSError):
        data_dir.mkdir(parents=True, exist_ok=True)
        zones = {**_zones(data_dir), address: zone}
        (data_dir / ZONES_FILE).write_text(json.dumps(zones), encoding="utf-8")
