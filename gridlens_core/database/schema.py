"""What the database has: the reads table and the KPI views, bound by name to what GridLens needs.
Discovers, never changes; nothing about keys, types or column order is assumed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from math import isfinite
from typing import Any

import sqlalchemy as sa

from gridlens_core.database.bindings import (
    FEEDER_LOSS,
    FIELDOPS,
    KPI_VIEWS,
    NEEDED,
    NO_CORRECTIONS,
    OVERVIEW,
    PERCENT_UNITS,
    READS_TABLE,
    SUSPICIOUS,
    Binding,
    Column,
    Corrections,
    Unit,
    bind,
    settle_unit,
)
from gridlens_core.database.connection import in_plain_words
from gridlens_core.database.queries import query
from gridlens_core.errors import DatabaseNotReadyError, DatabaseRefusedError

__all__ = [
    "FEEDER_LOSS",
    "FIELDOPS",
    "KPI_VIEWS",
    "OVERVIEW",
    "READS_TABLE",
    "READ_KEY",
    "READ_ROLES",
    "SUSPICIOUS",
    "Column",
    "Relation",
    "Schema",
    "discover",
    "quote",
]

READ_ROLES = ("tenant_id", "meter_id", "feeder_id", "read_at", "kwh", "voltage")
READ_KEY = ("tenant_id", "meter_id", "read_at")
# Of the local database's feeder supply; a utility's own table of that name would hardly have them all.
SUPPLY_COLUMNS = {"tenant_id", "feeder_id", "read_at", "interval_minutes", "supplied_kwh", "meters_due", "day", "hour"}

# Enough rows to tell percent from fraction, in no more time than a start may wait for.
SAMPLE_DAYS = 40
SAMPLE_ROWS = 200
SAMPLE_TIMEOUT_MS = 3000


@dataclass(frozen=True)
class Relation:
    """A table or view of schema public: all its columns by name, and those that play a role."""

    name: str
    columns: Mapping[str, Column]
    bindings: Mapping[str, Binding] = field(default_factory=dict)

    @property
    def quoted(self) -> str:
        return f"public.{quote(self.name)}"

    def has(self, role: str) -> bool:
        return role in self.bindings

    def __getitem__(self, role: str) -> str:
        """The quoted column name for a role."""
        return quote(self.bindings[role].column.name)

    def name_of(self, role: str) -> str:
        """The column name for a role, as rows carry it."""
        return self.bindings[role].column.name

    def type_of(self, role: str) -> str:
        return self.bindings[role].column.type_name

    def unit_of(self, role: str) -> Unit:
        return self.bindings[role].unit

    def moment(self, role: str, of: str = "{}") -> str:
        """A time column, or an expression `of` it, as timestamptz; one without a time zone is taken as UTC."""
        value = of.format(self[role])
        return f"({value} AT TIME ZONE 'UTC')" if self._is_naive(role) else value

    def from_moment(self, role: str, parameter: str) -> str:
        """A timestamptz parameter as the time column has it, so that an index still serves."""
        moment = f"CAST({parameter} AS timestamptz)"
        return f"({moment} AT TIME ZONE 'UTC')" if self._is_naive(role) else moment

    def day(self, role: str = "day") -> str:
        """A day column as a date."""
        return self[role] if self.type_of(role) == "date" else f"CAST({self[role]} AS date)"

    def of_tenant(self) -> str:
        """The condition that keeps to one tenant, :tenant_id."""
        return f"{self['tenant_id']} = CAST(:tenant_id AS {self.type_of('tenant_id')})"

    def lacks(self) -> list[str]:
        """Roles without which the relation is of no use, and that no column plays."""
        return [role for role in NEEDED[self.name] if not self.has(role)]

    def _is_naive(self, role: str) -> bool:
        return self.type_of(role).startswith("timestamp without")


@dataclass(frozen=True)
class Schema:
    """What was found. `unique_key` says how repeated reads are kept out (docs/contracts.md, "Safe insert").

    views : the KPI views that can be used; `unusable`: those that are there but lack a needed column, and which
    unreadable : what this role may not read, or cannot, and why
    newest_by_hops : the newest read is found from meter to meter, for no index leads to it by time
    fill : fixed values for required columns of the reads table that GridLens does not know
    """

    reads: Relation | None
    unique_key: bool
    views: Mapping[str, Relation]
    has_events: bool
    has_supply: bool
    unusable: Mapping[str, Sequence[str]] = field(default_factory=dict)
    unreadable: Mapping[str, str] = field(default_factory=dict)
    newest_by_hops: bool = False
    fill: Mapping[str, Any] = field(default_factory=dict)

    def require_reads(self) -> Relation:
        """The reads table, or DatabaseNotReadyError naming what is missing."""
        if READS_TABLE in self.unreadable:
            raise DatabaseNotReadyError(
                f"The table public.{READS_TABLE} cannot be read: {self.unreadable[READS_TABLE]}.", missing=READS_TABLE
            )
        if self.reads is None:
            raise DatabaseNotReadyError(
                f"The table public.{READS_TABLE} is missing, or this role may not see it.", missing=READS_TABLE
            )
        missing = self.reads.lacks()
        if missing:
            raise DatabaseNotReadyError(
                f"The table public.{READS_TABLE} has no column for: {', '.join(missing)}.", missing=missing
            )
        return self.reads

    def of_meters(self, alias: str = "") -> str:
        """A condition that keeps to :meters where only through them an index leads to a time, else none."""
        reads = self.require_reads()
        if not self.newest_by_hops:
            return ""
        return f"AND {alias}{reads['meter_id']} = ANY(CAST(:meters AS {reads.type_of('meter_id')}[]))"

    def require_events(self) -> None:
        """Raises DatabaseNotReadyError with the remedy unless ami_events exists."""
        if not self.has_events:
            raise DatabaseNotReadyError(
                "The table public.ami_events is missing. Remedy: run 'python -m gridlens_core migrate', "
                "or have sql/phase3_ami_events.sql applied.",
                missing="ami_events",
            )

    def require_view(self, name: str) -> Relation:
        """The view, or DatabaseNotReadyError."""
        if name not in self.views:
            raise DatabaseNotReadyError(self.why_not(name), missing=name)
        return self.views[name]

    def why_not(self, name: str) -> str:
        """Why a view cannot be used."""
        if name in self.unusable:
            return f"The view public.{name} has no column for: {', '.join(self.unusable[name])}."
        if name in self.unreadable:
            return f"The view public.{name} cannot be read: {self.unreadable[name]}."
        return f"The view public.{name} is missing, or this role may not see it."

    def unfilled(self) -> list[Column]:
        """Columns of the reads table that need a value and would get none."""
        if self.reads is None:
            return []
        written = {binding.column.name for binding in self.reads.bindings.values()} | set(self.fill)
        return [
            column
            for column in self.reads.columns.values()
            if column.not_null and not column.filled_by_database and column.name not in written
        ]


def discover(
    connection: sa.Connection,
    corrections: Corrections = NO_CORRECTIONS,
    *,
    tenants: Sequence[str] = (),
    today: date | None = None,
) -> Schema:
    """Reads the catalogue once; with `today` also a sample of each view's rows, to settle their units."""
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
    if today is not None:
        for name, view in list(usable.items()):
            try:
                usable[name] = _settle_units(connection, view, tenants, today)
            except DatabaseRefusedError as refused:
                unreadable[name] = f"its own query fails ({refused.details['reason']})"
                del usable[name]
    return Schema(
        reads=relations.get(READS_TABLE),
        unique_key=_has_unique_key(connection, relations.get(READS_TABLE)),
        views=usable,
        has_events="ami_events" in relations,
        has_supply=set(found.get("feeder_supply", ())) >= SUPPLY_COLUMNS,
        newest_by_hops=_hops_to_newest(connection, relations.get(READS_TABLE)),
        unusable={name: view.lacks() for name, view in views.items() if view.lacks()},
        unreadable=unreadable,
        fill=corrections.fill,
    )


def _settle_units(connection: sa.Connection, view: Relation, tenants: Sequence[str], today: date) -> Relation:
    """Percent or fraction, from a sample; a view too slow to be sampled keeps what its names say."""
    statement = sa.text(
        f"SELECT * FROM {view.quoted} WHERE CAST({view['tenant_id']} AS text) = ANY(:tenants) "
        f"AND {view.day()} >= :first LIMIT {SAMPLE_ROWS}"
    )
    parameters = {"tenants": list(tenants), "first": today - timedelta(days=SAMPLE_DAYS)}
    try:
        with connection.begin_nested():
            connection.exec_driver_sql(f"SET LOCAL statement_timeout = {SAMPLE_TIMEOUT_MS}")
            rows = connection.execute(statement, parameters).mappings().all()
    except sa.exc.DBAPIError as error:
        refused = in_plain_words(error)
        if isinstance(refused, DatabaseRefusedError):
            raise refused from error
        rows = []
    except (ValueError, OverflowError):  # of the driver, for dates that Python does not have
        rows = []
    known = None
    if view.has("loss_kwh") and view.has("supplied_kwh"):
        lost, supplied = view.name_of("loss_kwh"), view.name_of("supplied_kwh")
        both = [(float(row[lost] or 0), float(row[supplied] or 0)) for row in rows]
        both = [pair for pair in both if all(map(isfinite, pair))]
        total = sum(pair[1] for pair in both)
        known = 100 * sum(pair[0] for pair in both) / total if total else None
    settled = {
        role: settle_unit(
            binding, [row[binding.column.name] for row in rows], known_pct=known if role == "loss_pct" else None
        )
        for role, binding in view.bindings.items()
        if binding.unit in PERCENT_UNITS
    }
    return replace(view, bindings={**view.bindings, **settled})


def _has_unique_key(connection: sa.Connection, reads: Relation | None) -> bool:
    """Whether an immediate, complete unique index keeps a read (tenant, meter, time) from standing twice."""
    if reads is None or not all(reads.has(role) for role in READ_KEY):
        return False
    allowed = {reads.name_of(role) for role in (*READ_KEY, "feeder_id") if reads.has(role)}
    needed = {reads.name_of(role) for role in ("meter_id", "read_at")}
    indexes = connection.execute(query("catalogue.sql", "unique_indexes"), {"name": READS_TABLE}).scalars()
    return any(needed <= set(columns) <= allowed for columns in indexes)


def _hops_to_newest(connection: sa.Connection, reads: Relation | None) -> bool:
    """Whether an index leads with tenant and meter, and none with the time or with tenant and time."""
    if reads is None or not all(reads.has(role) for role in READ_KEY):
        return False
    tenant, meter, time = (reads.name_of(role) for role in READ_KEY)
    leads = [
        tuple(columns[:2])
        for columns in connection.execute(query("catalogue.sql", "indexes"), {"name": READS_TABLE}).scalars()
    ]
    by_time = any(lead[:1] == (time,) or lead == (tenant, time) for lead in leads)
    return not by_time and (tenant, meter) in leads


def quote(name: str) -> str:
    """An identifier for use in a text() statement: quoted for PostgreSQL, colons kept from being parameters."""
    return '"' + name.replace('"', '""').replace(":", "\\:") + '"'
