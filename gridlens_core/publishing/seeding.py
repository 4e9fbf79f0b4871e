"""Prepares a database so that the demo can run, and reports the progress."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, suppress
from datetime import date, datetime, timedelta
from time import monotonic
from typing import Protocol

import sqlalchemy as sa

from gridlens_core.clock import (
    DEFAULT_INTERVAL_MINUTES,
    INTERVAL_MINUTES,
    day_start,
    floor_to_interval,
    grid_now,
    local_day,
)
from gridlens_core.database.bindings import BINDINGS_FILE
from gridlens_core.database.connection import STATEMENT_TIMEOUT_S, Database
from gridlens_core.database.discovery import discover
from gridlens_core.database.newest import spread_over
from gridlens_core.database.schema import Schema
from gridlens_core.errors import DatabaseNotReadyError, GridLensError, NotOnExistingDatabaseError
from gridlens_core.meters.emulator import Span
from gridlens_core.meters.fleet import Fleet, fleet_of, synthetic_fleet
from gridlens_core.publishing import baseline
from gridlens_core.publishing.capacity import check_capacity, duration
from gridlens_core.publishing.first_history import FirstHistory
from gridlens_core.publishing.history import learn_fleet, learned_until
from gridlens_core.publishing.kept import is_large, keep_fleet, kept_fleet, key_of
from gridlens_core.publishing.loaded import loaded_tenants
from gridlens_core.publishing.progress import Progress, Report, unreported
from gridlens_core.publishing.publisher import Plan, local_days, lock_tenant, newest_interval, publish_span
from gridlens_core.settings import Settings

SEEDING_TIMEOUT_S = 120.0
WORTH_SAYING_S = 5


class Transacting(Protocol):
    """What transactions are begun on: a Database, or a session with one."""

    def transaction(
        self, *, statement_timeout_s: float = STATEMENT_TIMEOUT_S
    ) -> AbstractContextManager[sa.Connection]: ...


def prepare_local(database: Database, settings: Settings, wall: datetime, report: Report) -> Schema:
    """Makes the local database's schema and fills the history of every tenant up to now."""
    _only_local(database)
    with database.transaction(statement_timeout_s=SEEDING_TIMEOUT_S) as connection:
        baseline.apply_baseline(connection, settings.timezone)
        schema = discover(connection)
        kept = loaded_tenants(connection)
        seeded = [one for one in settings.tenants if one not in kept]
        new = [one for one in seeded if not baseline.registered_meters(connection, one)]
    if new:
        check_capacity(settings, len(new))
    for tenant_id in seeded:
        fill_history(database, schema, local_fleet(database, settings, tenant_id), settings, wall, report)
    for one in kept.values():
        with database.transaction(read_only=True, statement_timeout_s=SEEDING_TIMEOUT_S) as connection:
            fleet = learn_fleet(connection, schema, settings, one.tenant_id, one.ends_at)
        fill_history(database, schema, fleet, settings, one.wall(wall), report)
    return schema


def known_fleet(connection: sa.Connection, schema: Schema, settings: Settings, tenant_id: str) -> Fleet:
    """The meters of a tenant of the local database: of one that was loaded from a file, as that has them."""
    loaded = loaded_tenants(connection).get(tenant_id)
    if loaded is None:
        return registered_fleet(connection, settings, tenant_id)
    return learn_fleet(connection, schema, settings, tenant_id, loaded.ends_at)


def registered_fleet(connection: sa.Connection, settings: Settings, tenant_id: str) -> Fleet:
    """The registered meters of a tenant of the local database."""
    meters = baseline.registered_meters(connection, tenant_id)
    meter_ids, feeder_ids = zip(*meters, strict=True) if meters else ((), ())
    return fleet_of(tenant_id, meter_ids, feeder_ids, seed=settings.seed, timezone=settings.timezone)


def local_fleet(database: Database, settings: Settings, tenant_id: str) -> Fleet:
    """The registered meters of a tenant; one that has none gets a synthetic fleet, which is registered."""
    _only_local(database)
    with database.transaction() as connection:
        if not baseline.registered_meters(connection, tenant_id):
            baseline.register_meters(connection, _synthetic(settings, tenant_id))
        return registered_fleet(connection, settings, tenant_id)


def _synthetic(settings: Settings, tenant_id: str) -> Fleet:
    return synthetic_fleet(
        tenant_id,
        feeders=settings.feeders,
        meters_per_feeder=settings.meters_per_feeder,
        seed=settings.seed,
        timezone=settings.timezone,
    )


def existing_fleet(
    connection: sa.Connection,
    schema: Schema,
    settings: Settings,
    tenant_id: str,
    latest: datetime | None,
    today: date,
) -> Fleet:
    """The meters of a tenant's history, going on as they did; a synthetic fleet for a tenant whose history is of that
    fleet, or that has none where one was asked for. From now on some of them tell the grid clock."""
    synthetic = _synthetic(settings, tenant_id).without_panels()
    if latest is None:
        may_synthesise(connection, schema, settings, tenant_id)
        return synthetic
    learned = _learned(connection, schema, settings, tenant_id, (latest, today))
    ours = dict(zip(synthetic.meter_ids, synthetic.feeder_ids, strict=True))
    return synthetic if dict(zip(learned.meter_ids, learned.feeder_ids, strict=True)) == ours else learned


def _learned(
    connection: sa.Connection,
    schema: Schema,
    settings: Settings,
    tenant_id: str,
    at: tuple[datetime, date],
    report: Report = unreported,
) -> Fleet:
    """The fleet as it is learned, or was kept; at : the newest interval, and today."""
    latest, today = at
    last = learned_until(connection, schema, tenant_id, latest, today, settings.timezone)
    key = key_of(connection, schema, settings, tenant_id, (today, last))
    fleet = kept_fleet(settings, tenant_id, key)
    if fleet is None:
        fleet = learn_fleet(connection, schema, settings, tenant_id, last, report)
        keep_fleet(settings, fleet, key)
    schema.witnesses[tenant_id] = spread_over(fleet.meter_ids)
    return fleet


def prepare_existing(database: Database, schema: Schema, settings: Settings, wall: datetime, report: Report) -> None:
    """Learns large fleets before anybody waits for them, and keeps them; what cannot be learned is told when asked."""
    for tenant_id in settings.tenants:
        with suppress(GridLensError), database.transaction(read_only=True) as connection:
            latest = newest_interval(connection, schema, tenant_id)
            if latest is None or not is_large(connection, schema, tenant_id, latest):
                continue
            today = local_day(grid_now(latest, wall, DEFAULT_INTERVAL_MINUTES), settings.timezone)
            _learned(connection, schema, settings, tenant_id, (latest, today), report)


def may_synthesise(connection: sa.Connection, schema: Schema, settings: Settings, tenant_id: str) -> None:
    """Raises DatabaseNotReadyError, with the remedy, unless a tenant without reads may get a synthetic fleet here."""
    reads = schema.require_reads()
    none = f"Tenant {tenant_id} has no read that this role can see in public.{reads.name}"
    tenant_column = reads.bindings["tenant_id"]
    if tenant_column.certainty == "guess":
        raise DatabaseNotReadyError.of_finding(
            f"{none}, and whether its column {tenant_column.column.name!r} names tenants is a guess.",
            f'Set tenant_id = "NAME" in {BINDINGS_FILE}, section [{reads.name}], and name a tenant in '
            "GRIDLENS_TENANTS as the database writes it.",
        )
    alike = connection.execute(
        sa.text(
            f"SELECT CAST({reads['tenant_id']} AS text) FROM {reads.quoted} "
            f"WHERE lower(trim(CAST({reads['tenant_id']} AS text))) = lower(trim(:tenant_id)) LIMIT 1"
        ),
        {"tenant_id": tenant_id},
    ).scalar()
    if alike is not None:
        raise DatabaseNotReadyError.of_finding(
            f"{none}, but there is a tenant {alike!r}.", f"Write GRIDLENS_TENANTS={alike}."
        )
    if not settings.may_synthesise:
        raise DatabaseNotReadyError.of_finding(
            f"{none}, so there is no history to go on from.",
            "Check GRIDLENS_TENANTS, and row security; to publish a synthetic fleet into this database all the "
            "same, set GRIDLENS_SYNTHETIC_FLEET=true.",
        )


def fill_history(
    database: Transacting, schema: Schema, fleet: Fleet, settings: Settings, wall: datetime, report: Report
) -> None:
    """Publishes what is missing up to now, holes within the history too, a local day to a transaction.

    The gap of a laptop that slept for three days is filled; a new database gets GRIDLENS_HISTORY_DAYS.
    """
    with database.transaction(statement_timeout_s=SEEDING_TIMEOUT_S) as connection:
        latest = newest_interval(connection, schema, fleet.tenant_id)
        spans = _missing_spans(connection, fleet, settings, latest, wall)
    first, began = FirstHistory(fleet), monotonic()
    for number, span in enumerate(spans):
        day = local_day(span.end, settings.timezone)
        left = _time_left(monotonic() - began, number, len(spans))
        report(Progress(f"Reads of {len(fleet)} meters for {day:%A %d %B}{left}", number / len(spans)))
        with database.transaction(statement_timeout_s=SEEDING_TIMEOUT_S) as connection:
            lock_tenant(connection, fleet.tenant_id)
            if newest_interval(connection, schema, fleet.tenant_id) == first.end:
                first.publish(connection, span)  # it is all there is, or there is nothing yet
            else:
                publish_span(connection, schema, fleet, span)
    for day in _days_to_relearn(spans, latest, settings.timezone):
        with database.transaction(statement_timeout_s=SEEDING_TIMEOUT_S) as connection:
            lock_tenant(connection, fleet.tenant_id)
            baseline.relearn_expectations(connection, fleet.tenant_id, day, fleet.feeders)
    if len(spans) > 1:
        # The planner has no statistics of the new rows yet, so its first plans would be slow.
        with database.transaction(statement_timeout_s=SEEDING_TIMEOUT_S) as connection:
            connection.exec_driver_sql("ANALYZE")


def _time_left(seconds: float, done: int, of: int) -> str:
    """Words for the time that is left, once one can tell and it is worth saying."""
    left = seconds / done * (of - done) if done else 0
    return f", about {duration(left)} left" if left >= WORTH_SAYING_S else ""


def fill_up(connection: sa.Connection, schema: Schema, fleet: Fleet, settings: Settings, wall: datetime) -> None:
    """Like `fill_history`, within the caller's transaction."""
    latest = newest_interval(connection, schema, fleet.tenant_id)
    spans = _missing_spans(connection, fleet, settings, latest, wall)
    for span in spans:
        publish_span(connection, schema, fleet, span)
    for day in _days_to_relearn(spans, latest, settings.timezone):
        baseline.relearn_expectations(connection, fleet.tenant_id, day, fleet.feeders)


def _missing_spans(
    connection: sa.Connection, fleet: Fleet, settings: Settings, latest: datetime | None, wall: datetime
) -> list[Span]:
    """The holes of the tenant's history, and what lies between the `latest` interval and now, by local day."""
    minutes = fleet.interval_minutes
    end = grid_now(None, wall, minutes)
    holes = baseline.holes(connection, fleet.tenant_id) if latest is not None else []
    gaps = [*holes, (latest or _history_start(settings, end), end)]
    return [span for start, until in gaps for span in _filling(start, until, minutes, settings.timezone)]


def _filling(start: datetime, end: datetime, minutes: int, timezone: str) -> Iterator[Span]:
    """Intervals of so many minutes from one time to another; shorter ones where the gap begins or ends within one."""
    first = min(floor_to_interval(start + timedelta(minutes=minutes, microseconds=-1), minutes), end)
    last = max(floor_to_interval(end, minutes), first)
    yield from local_days(start, first, INTERVAL_MINUTES[0], timezone)
    yield from local_days(first, last, minutes, timezone)
    yield from local_days(last, end, INTERVAL_MINUTES[0], timezone)


def _days_to_relearn(spans: Sequence[Span], latest: datetime | None, timezone: str) -> list[date]:
    """Of days whose reads were there before a hole was filled, those whose estimation looked back on it."""
    filled = {local_day(span.end, timezone) for span in spans if latest is not None and span.end < latest}
    newest = None if latest is None else local_day(latest, timezone)
    after = {day + timedelta(days=number) for day in filled for number in range(1, baseline.LEARNED_DAYS + 1)}
    return sorted(day for day in after if newest is not None and day <= newest)


def catch_up(database: Transacting, plan: Plan) -> datetime:
    """What the next cycle of a local database needs, each part in a transaction of its own: the reads of the time in
    which nobody published, and the nightly estimation for its day. Returns the grid clock."""
    fleet, timezone = plan.fleet, plan.fleet.timezone
    with database.transaction() as connection:
        latest = newest_interval(connection, plan.schema, fleet.tenant_id)
        now = grid_now(latest, plan.wall, plan.interval_minutes)
    for span in _filling(latest or now, now, fleet.interval_minutes, timezone):
        with database.transaction(statement_timeout_s=SEEDING_TIMEOUT_S) as connection:
            publish_span(connection, plan.schema, fleet, span)
    learn_ahead(database, fleet, now + timedelta(minutes=plan.interval_minutes))
    return now


def learn_ahead(database: Transacting, fleet: Fleet, read_at: datetime) -> None:
    """The nightly estimation for the day of a read, some feeders to a transaction."""
    day = local_day(read_at, fleet.timezone)
    more = True
    while more:
        with database.transaction() as connection:
            lock_tenant(connection, fleet.tenant_id)
            more = baseline.learn_some(connection, fleet.tenant_id, day)


def _only_local(database: Database) -> None:
    if not database.is_local:
        raise NotOnExistingDatabaseError


def _history_start(settings: Settings, end: datetime) -> datetime:
    """Local midnight, GRIDLENS_HISTORY_DAYS before the day of `end`."""
    first = local_day(end, settings.timezone) - timedelta(days=settings.history_days)
    return day_start(first, settings.timezone)
