"""What several test modules share and no fixture needs to carry."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from gridlens_core.database.connection import Database
from gridlens_core.demo.demo import Demo
from gridlens_core.display.control_room import ControlRoom, control_room
from gridlens_core.explanation.kpis import Kpis
from gridlens_core.meters.emulator import Reads
from gridlens_core.meters.events import Event, EventRequest

TENANT = "DEMO_TENANT"
# A Wednesday noon in Chicago, CST: no change of clocks near, and hours of the local day on both sides.
FROZEN = datetime(2026, 11, 18, 18, tzinfo=UTC)
# 10 x 20 meters over four days are seeded in under two seconds; FEEDER_7 is there.
SMALL_FLEET = {"feeders": 10, "meters_per_feeder": 20, "history_days": 4}
FULL_FLEET = {"feeders": 10, "meters_per_feeder": 40, "history_days": 8}

READS = "meter_reads_electric"

# Every kind of thing a migration could leave behind, one line each.
CATALOGUE = """
SELECT 'relation' AS kind, c.relkind::text || ' ' || c.oid::regclass::text AS what FROM pg_class c
  WHERE c.relnamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)
    AND c.relnamespace::regnamespace::text NOT LIKE 'pg_toast%'
UNION ALL SELECT 'column', attrelid::regclass::text || '.' || attname || ' ' || format_type(atttypid, atttypmod)
    || CASE WHEN attnotnull THEN ' not null' ELSE '' END
    || coalesce(' default ' || pg_get_expr(d.adbin, d.adrelid), '')
  FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
  LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
  WHERE attnum > 0 AND NOT attisdropped AND c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace
UNION ALL SELECT 'index', pg_get_indexdef(indexrelid) FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
  WHERE c.relnamespace = 'public'::regnamespace
UNION ALL SELECT 'constraint', contype::text || ' ' || pg_get_constraintdef(oid) FROM pg_constraint
  WHERE connamespace = 'public'::regnamespace AND contype <> 'n'
UNION ALL SELECT 'function', oid::regprocedure::text FROM pg_proc WHERE pronamespace = 'public'::regnamespace
UNION ALL SELECT 'trigger', tgname FROM pg_trigger
UNION ALL SELECT 'rule', rulename FROM pg_rules WHERE schemaname = 'public'
UNION ALL SELECT 'type', oid::regtype::text FROM pg_type
  WHERE typnamespace = 'public'::regnamespace AND typtype <> 'c' AND typcategory <> 'A'
UNION ALL SELECT 'schema', nspname FROM pg_namespace WHERE nspname NOT LIKE 'pg_%'
UNION ALL SELECT 'extension', extname FROM pg_extension
UNION ALL SELECT 'role', rolname FROM pg_roles
UNION ALL SELECT 'grant', c.oid::regclass::text || ' ' || relacl::text FROM pg_class c
  WHERE relacl IS NOT NULL AND c.relnamespace = 'public'::regnamespace
UNION ALL SELECT 'comment', description FROM pg_description d JOIN pg_class c ON c.oid = d.objoid
  WHERE c.relnamespace = 'public'::regnamespace
"""


def event(
    event_type: str = "theft",
    severity: float | str | None = 0.7,
    *,
    feeder: str | None = "FEEDER_7",
    meter: str | None = None,
    starts: datetime = FROZEN,
    ends: datetime = FROZEN + timedelta(hours=2),
) -> Event:
    """A row of ami_events without a database."""
    exact = None if severity is None else Decimal(str(severity))
    return Event(UUID(int=0), TENANT, feeder, meter, event_type, exact, starts, ends, None)


def event_request(event_type: str = "theft", **changes: Any) -> EventRequest:
    """An hour of 70 % on FEEDER_7, or what `changes` says."""
    usual = {"feeder_id": "FEEDER_7", "severity": 0.7, "duration_minutes": 60}
    return EventRequest(event_type, **{**usual, **changes})


def lost_wh(reads: Reads) -> NDArray[np.int64]:
    """Technical loss, (n_feeders, n_intervals): what the substation supplied less what the customers used [Wh]."""
    return reads.supplied_wh - reads.fleet.sum_by_feeder(reads.honest_wh)


@dataclass
class MovableClock:
    """A wall clock that stands still until it is moved."""

    now: datetime = FROZEN

    def __call__(self) -> datetime:
        return self.now

    def move(self, **delta: float) -> None:
        """Moves on by timedelta's keywords."""
        self.now += timedelta(**delta)


@dataclass(frozen=True)
class Server:
    """The embedded server of the test session, for making and dropping databases."""

    data_dir: Path
    url: str
    engine: sa.Engine

    def url_of(self, name: str) -> str:
        """The address of one of its databases."""
        return self.url.replace("/postgres?", f"/{name}?", 1)

    def create(self, name: str, template: str | None = None) -> str:
        """Makes a database, empty or as a copy of `template`, and returns its address."""
        copied = f' TEMPLATE "{template}" STRATEGY file_copy' if template else ""
        self.execute(f'CREATE DATABASE "{name}"{copied}')
        return self.url_of(name)

    def drop(self, name: str) -> None:
        """Drops a database, even while others are connected."""
        self.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def execute(self, statement: str) -> None:
        """Runs one statement outside any transaction."""
        with self.engine.connect() as connection:
            connection.exec_driver_sql(statement)


def url_of(database: Database) -> str:
    """The address behind a Database, password and all, for another process."""
    return database.engine.url.set(drivername="postgresql").render_as_string(hide_password=False)


@contextmanager
def server_folder() -> Iterator[Path]:
    """A folder for a server's data. Not pytest's: where root runs the tests the server has another owner, and
    every pytest session that starts takes that owner's access to pytest's folders away."""
    with tempfile.TemporaryDirectory(prefix="gridlens-", ignore_cleanup_errors=True) as folder:
        yield Path(folder).resolve()


def catalogue(engine: sa.Engine) -> set[tuple[str, str]]:
    """Everything that stands in the database's own schemas, as (kind, what) pairs."""
    with engine.connect() as connection:
        return {(row.kind, row.what) for row in connection.execute(sa.text(CATALOGUE))}


def checksums(engine: sa.Engine) -> dict[str, tuple[int, str]]:
    """(rows, digest of all rows) of each table of schema public."""
    with engine.connect() as connection:
        return {
            table: tuple(
                connection.exec_driver_sql(
                    "SELECT count(*), coalesce(md5(string_agg(t::text, ' ' ORDER BY t::text)), '') "
                    f"FROM public.{table} t"
                ).one()
            )
            for table in sa.inspect(connection).get_table_names()
        }


def run_python(script: str, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Runs a script in a process of its own, with the core to import."""
    return finish(start_python(script, *arguments), check=check)


def start_python(script: str, *arguments: str) -> subprocess.Popen[str]:
    """Like `run_python`, without waiting for the end."""
    here = Path(__file__).parent
    paths = [str(folder) for folder in (here.parent, here, here / "unit", here / "database")]
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", script, *arguments],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str], *, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Waits for a process; with `check`, it must have ended well."""
    with process:
        try:
            stdout, stderr = process.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
    assert not check or process.returncode == 0, stderr
    return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)


def kpis_of(demo: Demo, tenant_id: str = TENANT) -> tuple[datetime, Kpis]:
    """Grid time and KPIs of the demo's moment."""
    moment = demo.desk.fresh(tenant_id)
    return moment.grid_now, moment.kpis


def room_of(demo: Demo, tenant_id: str = TENANT, feeder_id: str | None = None, *, follow: bool = False) -> ControlRoom:
    """The control room of the demo's moment, once it is known what moved its KPIs."""
    return control_room(demo.desk.explained(tenant_id), feeder_id, follow=follow)


def room_at(demo: Demo, tenant_id: str, then: datetime, *, follow: bool = False) -> ControlRoom:
    """The control room as it was at a grid time."""
    return control_room(demo.desk.at(tenant_id, then), follow=follow)
