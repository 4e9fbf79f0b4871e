"""Tenants of the local database whose reads were loaded from a file: which there are, and how their time goes on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from gridlens_core.clock import as_utc
from gridlens_core.database.queries import query

LOADED = "local/loaded.sql"
SUPPLY_NOTE = "Supply is not measured here: it is the reads plus a modelled technical loss, and so is every loss."


@dataclass(frozen=True)
class Loaded:
    """What is known of one.

    ends_at : the newest read of the file, moved where it was moved
    goes_with_clock : the history was moved to now, and follows the wall clock; else its time stands at `ends_at`
    found : the plan it was loaded by, a row an item
    """

    tenant_id: str
    files: str
    ends_at: datetime
    goes_with_clock: bool
    interval_minutes: int
    reads: int
    missing: int
    estimated: int
    modelled_voltage: bool
    found: tuple[Mapping[str, str], ...]

    def wall(self, now: datetime) -> datetime:
        """The wall clock of its utility."""
        return now if self.goes_with_clock else self.ends_at

    @property
    def note(self) -> str:
        """What is said wherever its supply or loss is shown."""
        return f"{SUPPLY_NOTE} The voltage is modelled too." if self.modelled_voltage else SUPPLY_NOTE


def loaded_tenants(connection: sa.Connection) -> dict[str, Loaded]:
    """Those that are there, by name."""
    if not connection.execute(query(LOADED, "is_there")).scalar_one():
        return {}
    rows = connection.execute(query(LOADED, "all")).mappings()
    return {row["tenant_id"]: Loaded(**{**row, "ends_at": as_utc(row["ends_at"]), "found": tuple(row["found"])})
            for row in rows}  # fmt: skip


def remember(connection: sa.Connection, loaded: Loaded) -> None:
    """Enters one."""
    values = {name: getattr(loaded, name) for name in (
        "tenant_id", "files", "ends_at", "goes_with_clock", "interval_minutes", "reads", "missing", "modelled_voltage",
    )}  # fmt: skip
    connection.execute(query(LOADED, "remember"), {**values, "found": json.dumps(list(loaded.found))})


def forget(connection: sa.Connection, tenant_id: str) -> None:
    """Makes the tables, and takes all of a tenant away; within a transaction whose triggers are off."""
    connection.execute(query(LOADED, "tables"))
    connection.execute(query(LOADED, "forget"), {"tenant_id": tenant_id})
