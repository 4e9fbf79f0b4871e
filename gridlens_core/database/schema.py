"""What the database has: the reads table and the KPI views, bound by name to what GridLens needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from gridlens_core.database.bindings import (
    FEEDER_LOSS,
    FIELDOPS,
    KPI_VIEWS,
    NEEDED,
    OVERVIEW,
    READS_TABLE,
    SUSPICIOUS,
    Binding,
    Column,
    Unit,
    of_wrong_type,
)
from gridlens_core.database.measures import (
    IN_SQL,
    PER_SECOND,
)
from gridlens_core.errors import DatabaseNotReadyError

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
    "quote",
]

READ_ROLES = ("tenant_id", "meter_id", "feeder_id", "read_at", "kwh", "voltage")
READ_KEY = ("tenant_id", "meter_id", "read_at")

# The contract's, in its order (docs/contracts.md, "The events table").
EVENT_COLUMNS = {
    "id": "uuid", "tenant_id": "text", "feeder_id": "text", "meter_id": "text", "event_type": "text",
    "severity": "numeric", "starts_at": "timestamp with time zone", "ends_at": "timestamp with time zone",
    "created_at": "timestamp with time zone",
}  # fmt: skip


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
        """A time column, or an expression `of` it, as the timestamptz that ends its interval."""
        value, bound = of.format(self[role]), self.bindings[role]
        if bound.form in PER_SECOND:
            value = f"to_timestamp({value} / {PER_SECOND[bound.form]}.0)"
        elif self.is_naive(role):
            value = f"({value} AT TIME ZONE '{bound.form or 'UTC'}')"
        return f"({value} + interval '{bound.starts_minutes} min')" if bound.starts_minutes else value

    def from_moment(self, role: str, parameter: str) -> str:
        """A timestamptz parameter as the time column has it, so that an index still serves."""
        moment, bound = f"CAST({parameter} AS timestamptz)", self.bindings[role]
        if bound.starts_minutes:
            moment = f"({moment} - interval '{bound.starts_minutes} min')"
        if bound.form in PER_SECOND:
            return f"CAST(extract(epoch FROM {moment}) * {PER_SECOND[bound.form]} AS {self.type_of(role)})"
        return f"({moment} AT TIME ZONE '{bound.form or 'UTC'}')" if self.is_naive(role) else moment

    def measure(self, role: str, column: str) -> str:
        """A number column in kWh or V, whatever unit it keeps."""
        factor = IN_SQL.get(self.unit_of(role))
        return f"({column} * {factor})" if factor else column

    def from_measure(self, role: str, expression: str) -> str:
        """A numeric expression in kWh or V, in the column's own unit."""
        factor = IN_SQL.get(self.unit_of(role))
        return f"round({expression} / {factor}, 6)" if factor else expression

    def day(self, role: str = "day") -> str:
        """A day column as a date."""
        return self[role] if self.type_of(role) == "date" else f"CAST({self[role]} AS date)"

    def of_tenant(self) -> str:
        """The condition that keeps to one tenant, :tenant_id."""
        return f"{self['tenant_id']} = CAST(:tenant_id AS {self.type_of('tenant_id')})"

    def lacks(self) -> list[str]:
        """Roles without which the relation is of no use, and that no column plays."""
        return [role for role in NEEDED[self.name] if not self.has(role)]

    def is_naive(self, role: str) -> bool:
        """Whether a time column has no time zone."""
        return self.type_of(role).startswith("timestamp without")


@dataclass(frozen=True)
class Schema:
    """What was found. `unique_key` says how repeated reads are kept out (docs/contracts.md, "Safe insert").

    views : the KPI views that can be used; `unusable`: those that are there but lack a needed column, and which
    unreadable : what this role may not read, or cannot, and why
    newest_by_hops : the newest read is found from meter to meter, for no index leads to it by time
    fill : fixed values for required columns of the reads table that GridLens does not know
    unsettled : by role of the reads table, why it is not known what its values say
    miscounts : a rule or trigger of the reads table may make the server count other rows than those that went in
    events_problem : why the ami_events that are there cannot be used
    by_meter : an index leads with tenant and meter
    no_loss : by view why its "loss" is none
    notes : by KPI why it is not shown, as its rows turned out to say
    published : by tenant the newest interval that this program is known to have published, whether a read came or not
    may_use_temporary : this role may make temporary tables
    witnesses : by tenant the meters whose newest reads tell the grid clock, once its fleet is known
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
    unsettled: Mapping[str, str] = field(default_factory=dict)
    by_meter: bool = False
    events_problem: str = ""
    miscounts: bool = False
    may_use_temporary: bool = False
    no_loss: Mapping[str, str] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict, compare=False)
    published: dict[str, datetime] = field(default_factory=dict, compare=False)
    witnesses: dict[str, Sequence[str]] = field(default_factory=dict, compare=False)

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
            there = {role: of_wrong_type(READS_TABLE, role, list(self.reads.columns.values())) for role in missing}
            but = "".join(
                f" {column.name} is there and is {column.type_name}, where a number is needed."
                for column in there.values()
                if column is not None
            )
            raise DatabaseNotReadyError(
                f"The table public.{READS_TABLE} has no column for: {', '.join(missing)}.{but}", missing=missing
            )
        for role, why in self.unsettled.items():
            raise DatabaseNotReadyError(
                f"What {self.reads.name_of(role)!r} of public.{READS_TABLE} says is not known: {why}.", unsettled=role
            )
        return self.reads

    def require_events(self) -> None:
        """Raises DatabaseNotReadyError with the remedy unless ami_events exists."""
        if self.events_problem:
            raise DatabaseNotReadyError(
                f"The table public.ami_events is another one ({self.events_problem}). Remedy: its columns are those of "
                "sql/phase3_ami_events.sql; KPIs are shown without events, and nothing is published.",
                other="ami_events",
            )
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


def quote(name: str) -> str:
    """An identifier for use in a text() statement: quoted for PostgreSQL, colons kept from being parameters."""
    return '"' + name.replace('"', '""').replace(":", "\\:") + '"'
