"""One line of the preflight, and the database it is about."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import sqlalchemy as sa

from gridlens_core.database.connection import Database, plain_errors
from gridlens_core.database.schema import Schema
from gridlens_core.demo.demo import Demo
from gridlens_core.explanation.kpis import Kpis, read_kpis

State = Literal["passed", "degraded", "blocked"]

TRIAL_TIMEOUT_S, TRIAL_LOCK_S = 15, 2


@dataclass(frozen=True)
class Finding:
    """One line of the preflight; a `remedy` is there where something can be done, a `table` of figures."""

    what: str
    state: State
    found: str
    remedy: str = ""
    table: Sequence[Mapping[str, object]] = ()


@dataclass(frozen=True)
class Inspected:
    """The database and the tenant that the preflight inspects."""

    demo: Demo
    database: Database
    schema: Schema
    tenant_id: str

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        with self.database.transaction(read_only=True) as connection:
            yield connection

    def kpis(self, connection: sa.Connection, grid_now: datetime) -> Kpis:
        """Today's KPIs, by the day that the views call today."""
        day = self.demo.session.site.kpi_day(connection, self.schema, self.tenant_id, grid_now)
        return read_kpis(connection, self.schema, self.tenant_id, day)


@contextmanager
def rolled_back(database: Database) -> Iterator[sa.Connection]:
    with plain_errors(), database.engine.connect() as connection:
        try:
            connection.exec_driver_sql(
                f"SET LOCAL statement_timeout = '{TRIAL_TIMEOUT_S}s'; SET LOCAL lock_timeout = '{TRIAL_LOCK_S}s'"
            )
            yield connection
        finally:
            connection.rollback()
