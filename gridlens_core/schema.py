"""What the database has: the reads table and the KPI views, bound by name to what GridLens needs.
Discovers, never changes; nothing about keys, types or column order is assumed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import sqlalchemy as sa

from gridlens_core.errors import DatabaseNotReadyError
from gridlens_core.queries import query

READS_TABLE = "meter_reads_electric"
OVERVIEW = "v_kpi_electric_overview_daily"
FEEDER_LOSS = "v_kpi_electric_feeder_loss_daily"
SUSPICIOUS = "v_kpi_suspicious_meters_daily"
FIELDOPS = "v_kpi_fieldops_daily"
KPI_VIEWS = (OVERVIEW, FEEDER_LOSS, SUSPICIOUS, FIELDOPS)

READ_ROLES = ("tenant_id", "meter_id", "feeder_id", "read_at", "kwh", "voltage")
READ_KEY = ("tenant_id", "meter_id", "read_at")


@dataclass(frozen=True)
class Column:
    """A column as the catalogue describes it; `type_name` carries no length, so a cast never cuts a value."""

    name: str
    type_name: str
    not_null: bool
    filled_by_database: bool  # default, identity or generated


@dataclass(frozen=True)
class Relation:
    """A table or view of schema public, its columns by the role they play for GridLens."""

    name: str
    columns: Mapping[str, Column]
    all_columns: tuple[Column, ...]

    @property
    def quoted(self) -> str:
        return f"public.{quote(self.name)}"

    def has(self, role: str) -> bool:
        return role in self.columns

    def __getitem__(self, role: str) -> str:
        """The quoted column name for a role."""
        return quote(self.columns[role].name)

    def type_of(self, role: str) -> str:
        return self.columns[role].type_name


@dataclass(frozen=True)
class Schema:
    """What was found. `unique_key` says how repeated reads are kept out (DESIGN.md 6)."""

    reads: Relation | None
    unique_key: bool
    views: Mapping[str, Relation]
    has_events: bool
    has_supply: bool

    def require_reads(self) -> Relation:
        """The reads table, or DatabaseNotReadyError naming what is missing."""
        if self.reads is None:
            raise DatabaseNotReadyError(
                f"The table public.{READS_TABLE} is missing, or this role may not see it.", missing=READS_TABLE
            )
        missing = [role for role in READ_ROLES if not self.reads.has(role)]
        if missing:
            raise DatabaseNotReadyError(
                f"The table public.{READS_TABLE} has no column for: {', '.join(missing)}.", missing=missing
            )
        return self.reads

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
            raise DatabaseNotReadyError(f"The view public.{name} is missing.", missing=name)
        return self.views[name]


def discover(connection: sa.Connection) -> Schema:
    """Reads the catalogue once."""
    rows = connection.execute(
        query("catalogue.sql", "columns"), {"names": [READS_TABLE, *KPI_VIEWS, "ami_events", "feeder_supply"]}
    ).mappings()
    found: dict[str, list[Column]] = {}
    for row in rows:
        found.setdefault(row["relation"], []).append(
            Column(row["name"], row["type_name"], row["not_null"], row["filled_by_database"])
        )
    relations = {
        name: Relation(name, {column.name: column for column in columns}, tuple(columns))
        for name, columns in found.items()
    }
    return Schema(
        reads=relations.get(READS_TABLE),
        unique_key=_has_unique_key(connection, relations.get(READS_TABLE)),
        views={name: relations[name] for name in KPI_VIEWS if name in relations},
        has_events="ami_events" in relations,
        has_supply="feeder_supply" in relations,
    )


def _has_unique_key(connection: sa.Connection, reads: Relation | None) -> bool:
    """Whether an immediate, complete unique index keeps a read (tenant, meter, time) from standing twice."""
    if reads is None or not all(reads.has(role) for role in READ_KEY):
        return False
    allowed = {reads.columns[role].name for role in (*READ_KEY, "feeder_id") if reads.has(role)}
    needed = {reads.columns[role].name for role in ("meter_id", "read_at")}
    indexes = connection.execute(query("catalogue.sql", "unique_indexes"), {"name": READS_TABLE}).scalars()
    return any(needed <= set(columns) <= allowed for columns in indexes)


def quote(name: str) -> str:
    """An identifier for use in a text() statement: quoted for PostgreSQL, colons kept from being parameters."""
    return '"' + name.replace('"', '""').replace(":", "\\:") + '"'
