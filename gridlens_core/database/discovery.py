"""Discovers what the database has, and never changes it. Nothing about keys, types or column order is assumed; units
and times are settled by a sample."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from math import isfinite
from statistics import median
from typing import Any

import sqlalchemy as sa

from gridlens_core.database.bindings import (
    FEEDER_LOSS,
    KPI_VIEWS,
    NEEDED,
    NO_CORRECTIONS,
    OVERVIEW,
    PERCENT_UNITS,
    READS_TABLE,
    Column,
    Corrections,
    bind,
    settle_unit,
)
from gridlens_core.database.connection import in_plain_words
from gridlens_core.database.measures import (
    Sampled,
    settle_energy,
    settle_time,
    settle_volts,
    usual_minutes,
)
from gridlens_core.database.newest import some_meters
from gridlens_core.database.queries import query
from gridlens_core.database.schema import EVENT_COLUMNS, READ_KEY, Relation, Schema
from gridlens_core.errors import DatabaseRefusedError

# Of the local database's feeder supply; a utility's own table of that name would hardly have them all.
SUPPLY_COLUMNS = {"tenant_id", "feeder_id", "read_at", "interval_minutes", "supplied_kwh", "meters_due", "day", "hour"}

# Enough rows to tell percent from fraction, in no more time than a start may wait for.
SAMPLE_DAYS = 40
SAMPLE_ROWS = 200
SAMPLE_TIMEOUT_MS = 3000
SAMPLE_METERS, SAMPLE_READS = 40, 8_000


def discover(
    connection: sa.Connection,
    corrections: Corrections = NO_CORRECTIONS,
    *,
    tenants: Sequence[str] = (),
    wall: datetime | None = None,
    timezone: str = "UTC",
    zone: str = "",
) -> Schema:
    """Reads the catalogue once; with `wall` also a sample of the reads and of each view's rows, to settle units.

    zone : that of times without one, where it was settled before; a demo that ran ahead of the wall clock hides it
    """
    today = None if wall is None else wall.date()
    rows = connection.execute(
        query("catalogue.sql", "columns"), {"names": [READS_TABLE, *KPI_VIEWS, "ami_events", "feeder_supply"]}
    ).mappings()
    found: dict[str, dict[str, Column]] = {}
    unreadable: dict[str, str] = {}
    for row in rows:
        if not row["readable"]:
            unreadable[row["relation"]] = "this role has no SELECT on it"
        column = Column(
            row["name"], row["type_name"], row["not_null"], row["filled_by_database"], row["always_generated"]
        )
        found.setdefault(row["relation"], {})[column.name] = column
    relations = {
        name: Relation(name, columns, bind(name, list(columns.values()), corrections) if name in NEEDED else {})
        for name, columns in found.items()
    }
    views = {name: relations[name] for name in KPI_VIEWS if name in relations}
    usable = {name: view for name, view in views.items() if not view.lacks() and name not in unreadable}
    sampled: dict[str, Sequence[Mapping[str, Any]]] = {}
    if today is not None:
        for name, view in list(usable.items()):
            try:
                usable[name], sampled[name] = _settle_units(connection, view, tenants, today)
            except DatabaseRefusedError as refused:
                unreadable[name] = f"its own query fails ({refused.details['reason']})"
                del usable[name]
        usable = _beside_each_other(usable, sampled)
    reads = relations.get(READS_TABLE)
    by_meter, by_time = _ways_to_newest(connection, reads)
    unsettled: dict[str, str] = {}
    if reads is not None and not reads.lacks() and READS_TABLE not in unreadable and wall is not None:
        if zone and not reads.bindings["read_at"].form and reads.is_naive("read_at"):
            known = replace(reads.bindings["read_at"], form=zone, why=f"in {zone}, as it was first found")
            reads = replace(reads, bindings={**reads.bindings, "read_at": known})
        reads, unsettled = _settle_reads(reads, _sample(connection, reads, tenants, by_meter), wall, timezone)
    events_problem = _events_problem(found.get("ami_events"))
    return Schema(
        reads=reads,
        unsettled=unsettled,
        unique_key=_has_unique_key(connection, relations.get(READS_TABLE)),
        views=usable,
        has_events="ami_events" in relations and not events_problem,
        events_problem=events_problem,
        miscounts=reads is not None
        and connection.execute(query("catalogue.sql", "miscounts"), {"name": READS_TABLE}).scalar_one(),
        may_use_temporary=connection.execute(query("catalogue.sql", "may_use_temporary")).scalar_one(),
        has_supply=set(found.get("feeder_supply", ())) >= SUPPLY_COLUMNS,
        by_meter=by_meter,
        newest_by_hops=by_meter and not by_time,
        unusable={name: view.lacks() for name, view in views.items() if view.lacks()},
        unreadable=unreadable,
        fill=corrections.fill,
    )


def _events_problem(columns: Mapping[str, Column] | None) -> str:
    """Why the table ami_events cannot be used; empty where it can, or is not there."""
    if columns is None:
        return ""
    missing = [name for name in EVENT_COLUMNS if name not in columns]
    if missing:
        return f"no column {', '.join(missing)}, but {', '.join(name for name in columns if name not in EVENT_COLUMNS)}"
    unfilled = [
        column.name
        for column in columns.values()
        if column.name not in EVENT_COLUMNS and column.not_null and not column.filled_by_database
    ]
    return f"column {', '.join(unfilled)} needs a value that GridLens does not know" if unfilled else ""


def _settle_reads(
    reads: Relation, sample: Sequence[Sampled], wall: datetime, timezone: str
) -> tuple[Relation, dict[str, str]]:
    """The reads table with its units and times settled from a sample, and by role what cannot be settled."""
    minutes = usual_minutes(sample)
    settled = {
        "read_at": settle_time(reads.bindings["read_at"], sample, wall, timezone, minutes),
        "kwh": settle_energy(reads.bindings["kwh"], sample, minutes),
    }
    if reads.has("voltage"):
        settled["voltage"] = settle_volts(reads.bindings["voltage"], sample)
    bindings = {**reads.bindings, **{role: found.binding for role, found in settled.items()}}
    return replace(reads, bindings=bindings), {role: one.unsettled for role, one in settled.items() if one.unsettled}


def _sample(connection: sa.Connection, reads: Relation, tenants: Sequence[str], by_meter: bool) -> list[Sampled]:
    """The sample of the first tenant that has one."""
    samples = (_sample_reads(connection, reads, tenant_id, by_meter) for tenant_id in tenants)
    return next(filter(None, samples), [])


def _sample_reads(connection: sa.Connection, reads: Relation, tenant_id: str, by_meter: bool) -> list[Sampled]:
    """The latest reads of some of a tenant's meters; [] where there are none, or they do not come in time."""
    meter, at = reads["meter_id"], reads["read_at"]
    volts = f"CAST({reads['voltage']} AS double precision)" if reads.has("voltage") else "NULL"
    values = f"CAST({meter} AS text), {at}, CAST({reads['kwh']} AS double precision), {volts}"
    latest = f"SELECT {values} FROM {reads.quoted} WHERE {reads.of_tenant()}"
    most = SAMPLE_READS // SAMPLE_METERS if by_meter else SAMPLE_READS
    narrow = f"AND {meter} = CAST(:meter AS {reads.type_of('meter_id')})" if by_meter else ""
    statement = sa.text(f"{latest} {narrow} ORDER BY {at} DESC LIMIT {most}")
    try:
        with connection.begin_nested():
            connection.exec_driver_sql(f"SET LOCAL statement_timeout = {SAMPLE_TIMEOUT_MS}")
            meters = some_meters(connection, reads, tenant_id, SAMPLE_METERS) if by_meter else [""]
            rows = [
                row
                for one in meters
                for row in connection.execute(
                    statement, {"tenant_id": tenant_id} | ({"meter": one} if by_meter else {})
                ).all()
            ]
    except sa.exc.DBAPIError:
        return []
    return [
        Sampled(row[0], row[1] if isinstance(row[1], datetime) else float(row[1]), row[2], row[3])
        for row in rows
        if isinstance(row[1], datetime | int | float | Decimal)
    ]


def _settle_units(
    connection: sa.Connection, view: Relation, tenants: Sequence[str], today: date
) -> tuple[Relation, Sequence[Mapping[str, Any]]]:
    """Percent or fraction, from a sample; a view too slow to be sampled is settled by its rows when they come."""
    statement = sa.text(
        f"SELECT * FROM {view.quoted} WHERE CAST({view['tenant_id']} AS text) = ANY(:tenants) "
        f"AND {view.day()} >= :first LIMIT {SAMPLE_ROWS}"
    )
    parameters = {"tenants": list(tenants), "first": today - timedelta(days=SAMPLE_DAYS)}
    try:
        with connection.begin_nested():
            connection.exec_driver_sql(f"SET LOCAL statement_timeout = {SAMPLE_TIMEOUT_MS}")
            rows = [dict(row) for row in connection.execute(statement, parameters).mappings()]
    except sa.exc.DBAPIError as error:
        refused = in_plain_words(error)
        if isinstance(refused, DatabaseRefusedError):
            raise refused from error
        rows = []
    except (ValueError, OverflowError):  # of the driver, for dates that Python does not have
        rows = []
    return settle_by_rows(view, rows), rows


def _beside_each_other(
    views: dict[str, Relation], sampled: Mapping[str, Sequence[Mapping[str, Any]]]
) -> dict[str, Relation]:
    """Feeders lose about what the whole tenant does: a unit that one view leaves open, the other may tell."""
    pairs = ((FEEDER_LOSS, OVERVIEW), (OVERVIEW, FEEDER_LOSS))
    for name, other in pairs:
        view, beside = views.get(name), views.get(other)
        if view is None or beside is None or not (view.has("loss_pct") and beside.has("loss_pct")):
            continue
        told = beside.bindings["loss_pct"]
        if view.bindings["loss_pct"].certainty != "open" or told.certainty == "open":
            continue
        values = [abs(float(value)) for row in sampled.get(other, ()) if (value := row[told.column.name])]
        if values:
            beside_pct = median(values) * (100 if told.unit == "fraction" else 1)
            views[name] = settle_by_rows(view, sampled.get(name, ()), beside_pct)
    return views


def settle_by_rows(view: Relation, rows: Sequence[Mapping[str, Any]], beside_pct: float | None = None) -> Relation:
    """The view with percent or fraction settled by rows of it; `beside_pct` is its loss as another view has it [%]."""
    known = _loss_of_energies(view, rows)
    known = beside_pct if known is None else known
    settled = {
        role: settle_unit(
            binding, [row[binding.column.name] for row in rows], known_pct=known if role == "loss_pct" else None
        )
        for role, binding in view.bindings.items()
        if binding.unit in PERCENT_UNITS
    }
    return replace(view, bindings={**view.bindings, **settled})


def _loss_of_energies(view: Relation, rows: Sequence[Mapping[str, Any]]) -> float | None:
    """The usual loss of the rows by their own energies [%], without its sign; None where they have none."""

    def of(row: Mapping[str, Any], role: str) -> float | None:
        value = row[view.name_of(role)] if view.has(role) else None
        return None if value is None else float(value)

    losses = []
    for row in rows:
        lost, supplied, metered = (of(row, role) for role in ("loss_kwh", "supplied_kwh", "metered_kwh"))
        lost = supplied - metered if lost is None and supplied is not None and metered is not None else lost
        supplied = lost + metered if supplied is None and lost is not None and metered is not None else supplied
        if lost and supplied and isfinite(lost) and isfinite(supplied):
            losses.append(abs(100 * lost / supplied))
    return median(losses) if losses else None


def _has_unique_key(connection: sa.Connection, reads: Relation | None) -> bool:
    """Whether an immediate, complete unique index keeps a read (tenant, meter, time) from standing twice."""
    if reads is None or not all(reads.has(role) for role in READ_KEY):
        return False
    allowed = {reads.name_of(role) for role in (*READ_KEY, "feeder_id") if reads.has(role)}
    needed = {reads.name_of(role) for role in ("meter_id", "read_at")}
    indexes = connection.execute(query("catalogue.sql", "unique_indexes"), {"name": READS_TABLE}).scalars()
    return any(needed <= set(columns) <= allowed for columns in indexes)


def _ways_to_newest(connection: sa.Connection, reads: Relation | None) -> tuple[bool, bool]:
    """Whether an index leads with tenant and meter, and whether one leads with the time or with tenant and time."""
    if reads is None or not all(reads.has(role) for role in READ_KEY):
        return False, False
    tenant, meter, time = (reads.name_of(role) for role in READ_KEY)
    indexes = connection.execute(query("catalogue.sql", "indexes"), {"name": READS_TABLE}).scalars()
    leads = {tuple(columns[:2]) for columns in indexes}
    return (tenant, meter) in leads, any(lead[:1] == (time,) or lead == (tenant, time) for lead in leads)
