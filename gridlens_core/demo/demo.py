"""What a presenter can do, in the words of the demo: publish, trigger, end, look, reset.
The dashboard, the HTTP API and the command line all call this, and only this."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from hashlib import blake2b
from pathlib import Path
from threading import Event as Flag
from threading import Lock, Thread
from time import monotonic
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from gridlens_core.clock import (
    DEFAULT_INTERVAL_MINUTES,
    Clock,
    check_interval,
    day_start,
    floor_to_interval,
    grid_now,
    local_day,
    wall_clock,
)
from gridlens_core.database.bindings import read_corrections
from gridlens_core.database.connection import STATEMENT_TIMEOUT_S, Database, connect
from gridlens_core.database.embedded import generated_key, start_embedded, stop_embedded
from gridlens_core.database.event_log import (
    end_all_events,
    end_event,
    events_in_window,
    get_event,
    insert_event,
    latest_events,
    unended_events,
)
from gridlens_core.database.queries import query
from gridlens_core.database.schema import KPI_VIEWS, READS_TABLE, SUSPICIOUS, Schema, discover
from gridlens_core.demo.latest import Latest
from gridlens_core.display.control_room import CHART_HOURS, ControlRoom, Look, look
from gridlens_core.errors import (
    BadInputError,
    DatabaseBusyError,
    DatabaseNotReadyError,
    DatabaseUnavailableError,
    GridLensError,
    StartingError,
    TenantNotAllowedError,
)
from gridlens_core.explanation.detection import score_event
from gridlens_core.explanation.evidence import MeterEvidence, meter_evidence
from gridlens_core.explanation.kpis import Kpis, by_role, closed_days, day_rows, newest_day, read_kpis
from gridlens_core.explanation.movement import measured_cycle
from gridlens_core.explanation.receipts import Receipt, receipt_lines
from gridlens_core.explanation.rehearsal import Rehearsal, rehearse
from gridlens_core.explanation.trace import Observation, Trace
from gridlens_core.explanation.truth import event_truth
from gridlens_core.meters.events import Event, EventRequest
from gridlens_core.meters.fleet import Fleet
from gridlens_core.publishing import baseline
from gridlens_core.publishing import seeding as startup
from gridlens_core.publishing.auto import AutoPublishers, AutoState
from gridlens_core.publishing.published import read_times
from gridlens_core.publishing.publisher import (
    DEFAULT_BATCH_ROWS,
    Cycle,
    latest_read_at,
    lock_tenant,
    publish_cycle,
    publish_span,
    read_grid_now,
)
from gridlens_core.publishing.seeding import Progress
from gridlens_core.settings import Settings

MAX_CYCLES = 96  # of one call: a day of 15-minute intervals
QUICK_VIEWS_S = 1.0  # views that take longer are read in the background, and cycles are not measured
MEASURE_TIMEOUT_S = 4.0  # for one statement of a measured cycle
VIEW_PATIENCE_S = 0.8  # a page waits this long for newer KPIs before it shows the last ones
KPIS_HOLD = timedelta(hours=1)  # the longest interval: KPIs seen earlier are not those of a grid time
LOOK_BACK = timedelta(days=1)  # of published intervals that pages offer to go back to
EVENTS_AHEAD = timedelta(days=7)  # a look at now shows those to come, a look back does not know of them
RETRY_SECONDS = 5  # between attempts to start on a database that is away

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Published:
    """The cycles of one publish, with the KPIs before the first and after the last; None where slow views
    have not said them yet."""

    cycles: tuple[Cycle, ...]
    before: Kpis | None
    after: Kpis | None


@dataclass(frozen=True)
class Seen:
    """What the views said at a grid time."""

    grid_now: datetime
    kpis: Kpis


@dataclass(frozen=True)
class Pulse:
    """What changes whenever anything a page shows has changed; cheap to ask for."""

    grid_now: datetime
    latest_read_at: datetime | None
    events_version: tuple[Any, ...]


@dataclass(frozen=True)
class Quickcheck:
    """What the views say at one grid time; `rows` by view name, newest day first."""

    tenant_id: str
    grid_now: datetime
    kpis: Kpis
    active_events: list[Event]
    rows: Mapping[str, list[dict[str, Any]]]


class Demo:
    """One running demo: settings, database, clock, and what was learned of the database so far."""

    def __init__(
        self, settings: Settings, clock: Clock | None = None, start_database: Callable[[Path], str] = start_embedded
    ) -> None:
        self.settings = settings
        self.clock = clock or wall_clock(settings.now)
        self.progress = Progress("Starting", 0.0)
        self.start_error: Exception | None = None
        self.auto = AutoPublishers(lambda tenant_id, minutes: self.publish(tenant_id, interval_minutes=minutes))
        self._start_database = start_database
        self._database: Database | None = None
        self._schema: Schema | None = None
        self._fleets: dict[tuple[str, date | None], Fleet] = {}
        self._traces: dict[str, Trace] = {}
        self.rehearsed: dict[str, Rehearsal] = {}  # the last one of each tenant, to lie beside the real path
        self.resets: Counter[str] = Counter()  # by tenant; a story that was under way begins anew
        self._looks: Latest[Seen] = Latest()
        self._rows: Latest[list[dict[str, Any]]] = Latest()
        self._view_seconds: dict[str, float] = {}
        self._closed: dict[tuple[str, str, date], list[dict[str, Any]]] = {}
        self._lock = Lock()
        self._stopping = Flag()
        self._reviving = Lock()

    # --- starting -------------------------------------------------------------------------------------

    @property
    def ready(self) -> bool:
        """Whether the start is over and went well."""
        return self._schema is not None

    def start_in_background(self) -> None:
        """Starts without waiting; `progress`, `ready` and `start_error` tell how it goes."""
        self._stopping.clear()
        Thread(target=self._start_quietly, name="start", daemon=True).start()

    def start(self) -> None:
        """Opens the database; makes and fills the local one. Idempotent, and may be tried again."""
        with self._lock:
            if self._schema is not None:
                return
            if self.settings.database_url is not None:
                database = connect(self.settings.database_url.get_secret_value(), is_local=False)
                corrections = read_corrections(self.settings.data_dir)
                today = self.clock().date()
                with database.transaction() as connection:
                    schema = discover(connection, corrections, tenants=self.settings.tenants, today=today)
            else:
                self.progress = Progress("Starting the embedded PostgreSQL", 0.0)
                database = connect(self._start_database(self.settings.data_dir), is_local=True)
                schema = startup.prepare_local(database, self.settings, self.clock(), self._report)
            self._database, self._schema = database, schema
            self.progress, self.start_error = Progress("Ready", 1.0), None

    def adopt(self, schema: Schema) -> None:
        """Goes on with what was found in an existing database since the start, if something came or went."""

        def there(found: Schema) -> tuple[object, ...]:
            reads = None if found.reads is None else (found.reads.columns, found.fill)
            return reads, found.unique_key, {name: view.columns for name, view in found.views.items()}, found.has_events

        if self._schema is not None and there(schema) != there(self._schema):
            self._schema = schema
            self._fleets.clear()
            self._looks.forget()
            self._rows.forget()
            self._closed.clear()

    def stop(self) -> None:
        """Stops timers and attempts to start, closes connections, and leaves the embedded server to its other users."""
        self._stopping.set()
        self.auto.stop_all()
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
        self, *, read_only: bool = False, statement_timeout_s: float = STATEMENT_TIMEOUT_S
    ) -> Iterator[sa.Connection]:
        """A transaction; an embedded server that has gone away is started again in the background."""
        try:
            with self.database.transaction(read_only=read_only, statement_timeout_s=statement_timeout_s) as connection:
                yield connection
        except DatabaseBusyError:
            raise
        except DatabaseUnavailableError:
            self._revive()
            raise

    # --- looking --------------------------------------------------------------------------------------

    def check_tenant(self, tenant_id: str) -> str:
        """The tenant, or TenantNotAllowedError naming those that may be shown."""
        if tenant_id not in self.settings.tenants:
            raise TenantNotAllowedError(
                f"{tenant_id!r} is not named in GRIDLENS_TENANTS; allowed: {', '.join(self.settings.tenants)}.",
                tenant_id=tenant_id,
                tenants=list(self.settings.tenants),
            )
        return tenant_id

    def fleet(self, tenant_id: str) -> Fleet:
        """The tenant's meters."""
        self.check_tenant(tenant_id)
        if self.database.is_local:
            key: tuple[str, date | None] = (tenant_id, None)
            if key not in self._fleets:
                self._fleets[key] = startup.local_fleet(self.database, self.settings, tenant_id)
            return self._fleets[key]
        with self.transaction(read_only=True) as connection:
            latest = latest_read_at(connection, self.schema, tenant_id)
            # Learned once for each day of the grid: in every process the same, and the same again later.
            today = self.today(grid_now(latest, self.clock(), DEFAULT_INTERVAL_MINUTES))
            key = (tenant_id, None if latest is None else today)
            if key not in self._fleets:
                self._fleets[key] = startup.existing_fleet(
                    connection, self.schema, self.settings, tenant_id, latest, today
                )
            return self._fleets[key]

    def trace(self, tenant_id: str) -> Trace:
        """KPIs seen so far, by grid time."""
        self.check_tenant(tenant_id)
        with self._lock:
            if tenant_id not in self._traces:
                name = blake2b(f"{self.database.address} {tenant_id}".encode(), digest_size=6).hexdigest()
                self._traces[tenant_id] = Trace(self.settings.data_dir / f"trace-{name}.jsonl")
            return self._traces[tenant_id]

    def pulse(self, tenant_id: str) -> Pulse:
        """Grid clock and versions of what the tenant's pages show."""
        self.check_tenant(tenant_id)
        with self.transaction(read_only=True) as connection:
            latest = latest_read_at(connection, self.schema, tenant_id)
            version = (
                tuple(connection.execute(query("events.sql", "events_version"), {"tenant_id": tenant_id}).one())
                if self.schema.has_events
                else ()
            )
            now = read_grid_now(connection, self.schema, tenant_id, self.clock(), DEFAULT_INTERVAL_MINUTES)
        return Pulse(now, latest, version)

    def today(self, grid_now: datetime) -> date:
        """The utility's local day at the grid clock."""
        return local_day(grid_now, self.settings.timezone)

    def kpis(self, tenant_id: str) -> tuple[datetime, Kpis]:
        """Grid time and KPIs as last read: of now, or somewhat older where the views are slow."""
        seen = self._seen(tenant_id)
        return seen.grid_now, seen.kpis

    def view_rows(self, tenant_id: str, view_name: str) -> list[dict[str, Any]]:
        """A KPI view's rows, newest day first: closed days are asked for once, today whenever it may have changed."""
        pulse = self.pulse(tenant_id)

        def ask() -> list[dict[str, Any]]:
            with self.transaction(read_only=True) as connection:
                today = self._kpi_day(connection, tenant_id, pulse.grid_now)
                return self._view_rows(connection, tenant_id, view_name, today)

        key = (tenant_id, view_name)
        return self._rows.get(key, pulse, ask, patience_s=VIEW_PATIENCE_S, first_patience_s=STATEMENT_TIMEOUT_S).value

    def _seen(self, tenant_id: str) -> Seen:
        """What the views said last; asks again in the background when something has changed."""
        pulse = self.pulse(tenant_id)

        def ask() -> Seen:
            with self.transaction(read_only=True) as connection:
                now = read_grid_now(connection, self.schema, tenant_id, self.clock(), DEFAULT_INTERVAL_MINUTES)
                kpis = self._read_kpis(connection, tenant_id, now)
            self.trace(tenant_id).observe(Observation(now, kpis))
            return Seen(now, kpis)

        return self._looks.get(
            tenant_id, pulse, ask, patience_s=VIEW_PATIENCE_S, first_patience_s=STATEMENT_TIMEOUT_S
        ).value

    def _kpi_day(self, connection: sa.Connection, tenant_id: str, grid_now: datetime) -> date:
        """The day whose KPIs are today's: ours on the local database, else the newest the views have."""
        if self.database.is_local:
            return self.today(grid_now)
        return newest_day(connection, self.schema, tenant_id, grid_now) or self.today(grid_now)

    def _read_kpis(self, connection: sa.Connection, tenant_id: str, grid_now: datetime) -> Kpis:
        began = monotonic()
        kpis = read_kpis(connection, self.schema, tenant_id, self._kpi_day(connection, tenant_id, grid_now))
        self._view_seconds[tenant_id] = monotonic() - began
        return kpis

    def quickcheck(self, tenant_id: str) -> Quickcheck:
        """KPIs, rows of the four views and active events, all of one moment."""
        self.check_tenant(tenant_id)
        self._require_events()
        with self.transaction(read_only=True) as connection:
            now = read_grid_now(connection, self.schema, tenant_id, self.clock(), DEFAULT_INTERVAL_MINUTES)
            kpis = self._read_kpis(connection, tenant_id, now)
            rows = {view: self._view_rows(connection, tenant_id, view, kpis.day) for view in KPI_VIEWS}
            events = unended_events(connection, tenant_id, now)[::-1]
        self.trace(tenant_id).observe(Observation(now, kpis))
        return Quickcheck(tenant_id, now, kpis, events, rows)

    def kpi_rows(self, tenant_id: str, view_name: str) -> list[dict[str, Any]]:
        """A KPI view's rows under GridLens's names: shares in percent, newest day first."""
        rows = self.view_rows(tenant_id, view_name)
        return by_role(self.schema.views[view_name], rows) if view_name in self.schema.views else []

    def events(self, tenant_id: str, *, active: bool = False) -> list[Event]:
        """The event log, newest first; with `active`, those not over yet."""
        self.check_tenant(tenant_id)
        self._require_events()
        with self.transaction(read_only=True) as connection:
            if not active:
                return latest_events(connection, tenant_id)
            now = read_grid_now(connection, self.schema, tenant_id, self.clock(), DEFAULT_INTERVAL_MINUTES)
            return unended_events(connection, tenant_id, now)[::-1]

    def control_room(self, tenant_id: str, feeder_id: str | None = None, *, follow: bool = False) -> ControlRoom:
        """Everything the control room shows, in one look; of one feeder's chart, or following the events."""
        seen = self._seen(tenant_id)
        now = self.pulse(tenant_id).grid_now
        history = self.trace(tenant_id).all()
        return self._look(tenant_id, now, EVENTS_AHEAD, seen, history, feeder_id, follow=follow)

    def control_room_at(
        self, tenant_id: str, moment: datetime, feeder_id: str | None = None, *, follow: bool = False
    ) -> ControlRoom:
        """The control room as it was at a grid time; the KPIs are those seen then, unknown where nobody looked."""
        history = [one for one in self.trace(tenant_id).all() if one.grid_now <= moment]
        known = bool(history) and moment - history[-1].grid_now <= KPIS_HOLD
        seen = Seen(history[-1].grid_now, history[-1].kpis) if known else Seen(moment, Kpis(self.today(moment)))
        return self._look(tenant_id, moment, timedelta(0), seen, history, feeder_id, follow=follow)

    def _look(
        self,
        tenant_id: str,
        now: datetime,
        ahead: timedelta,
        seen: Seen,
        history: Sequence[Observation],
        feeder_id: str | None,
        *,
        follow: bool,
    ) -> ControlRoom:
        midnight = day_start(self.today(now), self.settings.timezone)
        window = min(midnight, now - timedelta(hours=CHART_HOURS))
        fleet = self.fleet(tenant_id)
        with self.transaction(read_only=True) as connection:
            events = events_in_window(connection, tenant_id, window, now + ahead) if self.schema.has_events else []
            at = Look(
                schema=self.schema,
                fleet=fleet,
                grid_now=now,
                kpis=seen.kpis,
                events=events,
                kpis_of=seen.grid_now,
                history=history,
                tariff_usd_per_kwh=self.settings.tariff_usd_per_kwh,
                is_local=self.database.is_local,
            )
            return look(connection, at, feeder_id, follow=follow)

    def published(self, tenant_id: str) -> list[datetime]:
        """The ends of the intervals published in the last day of grid time, oldest first."""
        fleet, now = self.fleet(tenant_id), self.pulse(tenant_id).grid_now
        with self.transaction(read_only=True) as connection:
            return read_times(connection, self.schema, fleet, now - LOOK_BACK, now)

    def receipts(self, tenant_id: str, most: int = 20) -> list[Receipt]:
        """What each of the latest events did, newest first."""
        fleet, seen = self.fleet(tenant_id), self.trace(tenant_id).all()
        now = self.pulse(tenant_id).grid_now
        events = self.events(tenant_id)
        with self.transaction(read_only=True) as connection:

            def usd(event: Event, until: datetime) -> float:
                truth = event_truth(connection, self.schema, fleet, event, until)
                return truth.kwh_not_recorded * self.settings.tariff_usd_per_kwh

            found = []
            for event in [one for one in events if one.starts_at < one.ends_at][:most]:
                cycles, lines = receipt_lines(event, seen)
                score = score_event(event, events, fleet, seen)
                found.append(
                    Receipt(
                        event=event,
                        cycles=cycles,
                        truth=event_truth(connection, self.schema, fleet, event, now),
                        usd=usd(event, now),
                        score=score,
                        before_detection_usd=usd(event, score.detected_at) if score and score.detected_at else None,
                        lines=lines,
                    )
                )
            return found

    def meter_evidence(self, tenant_id: str, meter_id: str) -> MeterEvidence:
        """Why a meter is named, or why it is not."""
        fleet, seen = self.fleet(tenant_id), self._seen(tenant_id)
        told = {row["meter_id"]: row.get("evidence") for row in self.kpi_rows(tenant_id, SUSPICIOUS)}
        with self.transaction(read_only=True) as connection:
            return meter_evidence(
                connection,
                self.schema,
                fleet,
                meter_id,
                seen.grid_now,
                seen.kpis.named,
                told.get(meter_id),
                is_local=self.database.is_local,
            )

    def auto_state(self, tenant_id: str) -> AutoState:
        """Whether the tenant is published on a timer."""
        self.check_tenant(tenant_id)
        with self.transaction(read_only=True) as connection:
            return self.auto.state(connection, tenant_id)

    def _view_rows(
        self, connection: sa.Connection, tenant_id: str, view_name: str, today: date
    ) -> list[dict[str, Any]]:
        key = (tenant_id, view_name, today)
        if key not in self._closed:
            self._closed[key] = day_rows(connection, self.schema, view_name, tenant_id, *closed_days(today))
        return day_rows(connection, self.schema, view_name, tenant_id, today, today) + self._closed[key]

    def _require_events(self) -> None:
        """Looks again before saying that ami_events is missing: it may have been applied since the start."""
        if not self.schema.has_events:
            with self.transaction(read_only=True) as connection:
                self._schema = replace(self.schema, has_events=discover(connection).has_events)
        self.schema.require_events()

    # --- doing ----------------------------------------------------------------------------------------

    def publish(
        self,
        tenant_id: str,
        *,
        interval_minutes: int = DEFAULT_INTERVAL_MINUTES,
        cycles: int = 1,
        batch_rows: int = DEFAULT_BATCH_ROWS,
    ) -> Published:
        """Publishes the next intervals, each a transaction of its own."""
        check_interval(interval_minutes)
        if not 1 <= cycles <= MAX_CYCLES:
            raise BadInputError.of("cycles", cycles, f"1 to {MAX_CYCLES}")
        fleet = self.fleet(tenant_id)
        self._require_events()
        known_before = None if self._views_are_quick(tenant_id) else self._kpis_if_known(tenant_id)
        done = [self._cycle(tenant_id, fleet, interval_minutes, batch_rows) for _ in range(cycles)]
        (_, first), (_, last) = done[0], done[-1]
        return Published(
            tuple(cycle for cycle, _ in done),
            first.before if first else known_before,
            last.kpis if last else self._kpis_if_known(tenant_id),
        )

    def _cycle(
        self, tenant_id: str, fleet: Fleet, interval_minutes: int, batch_rows: int
    ) -> tuple[Cycle, Observation | None]:
        """One cycle; measured where the views are quick enough, and never held up by them where they are not."""
        options: dict[str, Any] = {
            "interval_minutes": interval_minutes,
            "batch_rows": batch_rows,
            "supply": self.database.is_local,
        }
        if self._views_are_quick(tenant_id):
            try:
                with self.transaction(statement_timeout_s=MEASURE_TIMEOUT_S) as connection:
                    lock_tenant(connection, tenant_id)
                    now = read_grid_now(connection, self.schema, tenant_id, self.clock(), interval_minutes)
                    before = self._read_kpis(connection, tenant_id, now)
                    cycle, observation = measured_cycle(
                        connection,
                        self.schema,
                        fleet,
                        lambda within, moment: self._read_kpis(within, tenant_id, moment),
                        before,
                        wall=self.clock(),
                        **options,
                    )
                self.trace(tenant_id).observe(observation)
                return cycle, observation
            except DatabaseBusyError:
                self._view_seconds[tenant_id] = MEASURE_TIMEOUT_S  # published below, without asking the views
        with self.transaction() as connection:
            return publish_cycle(connection, self.schema, fleet, wall=self.clock(), **options), None

    def _views_are_quick(self, tenant_id: str) -> bool:
        return self._view_seconds.get(tenant_id, 0.0) <= QUICK_VIEWS_S

    def _kpis_if_known(self, tenant_id: str) -> Kpis | None:
        """The KPIs as last read; None where slow views have not answered yet."""
        try:
            return self._seen(tenant_id).kpis
        except DatabaseBusyError:
            return None

    def why_not(self, event_type: str) -> str | None:
        """Why an event of this type cannot be shown in this database; None where it can."""
        if event_type == "voltage-sag" and not self.schema.require_reads().has("voltage"):
            return f"The table public.{READS_TABLE} has no voltage column, so a voltage sag has nothing to show."
        return None

    def _check_type(self, event_type: str) -> None:
        reason = self.why_not(event_type)
        if reason is not None:
            raise DatabaseNotReadyError(reason, event_type=event_type)

    def trigger(self, tenant_id: str, request: EventRequest) -> Event:
        """Writes an event that begins at the grid clock unless told otherwise."""
        fleet = self.fleet(tenant_id)
        self._require_events()
        self._check_type(request.event_type)
        fleet.check_target(request.feeder_id, request.meter_id)
        with self.transaction() as connection:
            lock_tenant(connection, tenant_id)  # a cycle under way was published without this event
            now = read_grid_now(connection, self.schema, tenant_id, self.clock(), DEFAULT_INTERVAL_MINUTES)
            return insert_event(connection, request.checked(tenant_id, now))

    def rehearse(
        self,
        tenant_id: str,
        request: EventRequest,
        *,
        cycles: int = 4,
        interval_minutes: int = DEFAULT_INTERVAL_MINUTES,
    ) -> Rehearsal:
        """The path the KPIs would take; everything is rolled back."""
        fleet = self.fleet(tenant_id)
        self._require_events()
        self._check_type(request.event_type)
        fleet.check_target(request.feeder_id, request.meter_id)
        with self.transaction() as connection:
            now = read_grid_now(connection, self.schema, tenant_id, self.clock(), interval_minutes)
            event = request.checked(tenant_id, now)
            found = rehearse(
                connection,
                self.schema,
                fleet,
                event,
                lambda within, moment: self._read_kpis(within, tenant_id, moment),
                grid_now=now,
                wall=self.clock(),
                cycles=cycles,
                interval_minutes=interval_minutes,
                supply=self.database.is_local,
            )
        self.rehearsed[tenant_id] = found
        return found

    def end(self, event_id: str | UUID) -> Event:
        """Ends an event at the grid clock; one that is over stays as it was."""
        self._require_events()
        with self.transaction() as connection:
            tenant_id = self.check_tenant(get_event(connection, event_id).tenant_id)
            lock_tenant(connection, tenant_id)  # a cycle under way still has this event in it
            now = read_grid_now(connection, self.schema, tenant_id, self.clock(), DEFAULT_INTERVAL_MINUTES)
            return end_event(connection, event_id, now)

    def reset(self, tenant_id: str) -> int:
        """Ends the tenant's events; on the local database also restores the baseline. Returns events ended.

        The baseline is what the emulator would have published without any event, up to the wall clock.
        """
        fleet = self.fleet(tenant_id)
        self._require_events()
        self.auto.stop(tenant_id)
        with self.transaction(statement_timeout_s=startup.SEEDING_TIMEOUT_S) as connection:
            lock_tenant(connection, tenant_id)
            now = read_grid_now(connection, self.schema, tenant_id, self.clock(), DEFAULT_INTERVAL_MINUTES)
            ended = end_all_events(connection, tenant_id, now)
            if self.database.is_local:
                self._back_to_baseline(connection, fleet)
        if self.database.is_local:
            self._closed.clear()
            self._looks.forget()
            self._rows.forget()
            self.trace(tenant_id).forget()
        self.resets[tenant_id] += 1
        return ended

    def _back_to_baseline(self, connection: sa.Connection, fleet: Fleet) -> None:
        """Forgets the events and all that came after the first of them, or after the wall clock, and fills up again.

        In one transaction: nobody sees half of it, and no other process publishes in between.
        """
        tenant = {"tenant_id": fleet.tenant_id}
        end = grid_now(None, self.clock(), DEFAULT_INTERVAL_MINUTES)
        first_event = connection.execute(query("events.sql", "earliest_event_start"), tenant).scalar_one()
        moment = floor_to_interval(min(first_event or end, end), DEFAULT_INTERVAL_MINUTES)
        baseline.forget_after(connection, fleet.tenant_id, moment, self.today(moment))
        connection.execute(query("events.sql", "delete_events"), tenant)
        for span in startup.missing_spans(connection, self.schema, fleet, self.settings, self.clock()):
            publish_span(connection, self.schema, fleet, span)

    def _report(self, progress: Progress) -> None:
        self.progress = progress

    def _start_quietly(self) -> None:
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

    def _revive(self) -> None:
        """Starts a vanished embedded server again, in the background and one attempt at a time."""
        if not self.settings.is_local or not self._reviving.acquire(blocking=False):
            return

        def attempt() -> None:
            try:
                self._start_database(self.settings.data_dir)
            except DatabaseUnavailableError as error:
                self.start_error = error
            finally:
                self._reviving.release()

        Thread(target=attempt, name="revive", daemon=True).start()
