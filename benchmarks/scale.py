"""What a fleet of a large utility costs on an existing database: publish, insert and learning, beside a bare COPY.

python -m benchmarks.scale [--meters 25000] [--days 1 30] [--rounds 5]

The tables are like those of many utilities: text ids, UNIQUE (tenant, meter, time). Ratios are of the least of a few
rounds, taken in turn in one run; beside them stand those of CPU seconds, for wall clocks of busy machines differ.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import numpy as np
import sqlalchemy as sa

from gridlens_core.database.connection import Database, connect
from gridlens_core.database.discovery import discover
from gridlens_core.database.embedded import start_embedded, stop_embedded
from gridlens_core.database.queries import EVENTS_MIGRATION
from gridlens_core.database.schema import Schema
from gridlens_core.meters.emulator import Reads, Span, emulate
from gridlens_core.meters.fleet import Fleet
from gridlens_core.publishing.publisher import Plan, newest_interval, publish_cycle, write_reads
from gridlens_core.publishing.seeding import existing_fleet
from gridlens_core.settings import Settings

TENANT = "DEMO_TENANT"
LATEST = datetime(2026, 11, 18, tzinfo=UTC)
READS = "public.meter_reads_electric"
TABLE = f"""
CREATE UNLOGGED TABLE {READS} (tenant_id text NOT NULL, meter_id text NOT NULL, feeder_id text,
  kwh double precision, voltage double precision, read_at timestamptz NOT NULL)
"""
FILL = f"""
INSERT INTO {READS}
SELECT '{TENANT}', 'MTR-' || lpad(CAST(m AS text), 7, '0'), 'FEEDER_' || m / 1000,
       0.3 + 0.1 * sin(n / 15.28) + (hashint4(m * 2000 + n) & 255) / 2000.0, 120 + (hashint4(m + n) & 31) / 16.0,
       CAST(:latest AS timestamptz) - n * interval '15 minutes'
FROM generate_series(0, :intervals - 1) n, generate_series(0, :meters - 1) m
"""
KEY = f"ALTER TABLE {READS} ADD UNIQUE (tenant_id, meter_id, read_at)"
COPY = f"COPY {READS} (tenant_id, meter_id, feeder_id, read_at, kwh, voltage) FROM STDIN"


def table_of(url: str, name: str, meters: int, days: int, *, key: bool = True) -> Database:
    """A database of its own with that history, the newest reads at LATEST."""
    with sa.create_engine(url, isolation_level="AUTOCOMMIT").connect() as admin:
        admin.exec_driver_sql(f"CREATE DATABASE {name}")
    database = connect(url.replace("/postgres?", f"/{name}?", 1), is_local=False)
    with database.transaction(statement_timeout_s=3600) as connection:
        connection.exec_driver_sql(TABLE)
        connection.execute(sa.text(FILL), {"latest": LATEST, "intervals": 96 * days, "meters": meters})
        if key:
            connection.exec_driver_sql(KEY)
        connection.exec_driver_sql(EVENTS_MIGRATION.read_text(encoding="utf-8"))
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql(f"VACUUM ANALYZE {READS}")
    return database


def line(what: str, figures: str) -> None:
    print(f"{what:58}{figures}", flush=True)


def learned(database: Database, settings: Settings, days: int) -> tuple[Schema, Fleet]:
    """The fleet, with what learning it took, and what finding it kept took."""
    longest = [0.0]

    def before(connection: Any, *_: Any) -> None:
        connection.info["began"] = perf_counter()

    def after(connection: Any, *_: Any) -> None:
        longest[0] = max(longest[0], perf_counter() - connection.info["began"])

    for name, note in (("before_cursor_execute", before), ("after_cursor_execute", after)):
        sa.event.listen(database.engine, name, note)
    with database.transaction(read_only=True) as connection:
        schema = discover(connection, tenants=(TENANT,), wall=LATEST)
        latest = newest_interval(connection, schema, TENANT)
        assert latest == LATEST
        for what in ("learn", "the same fleet, kept"):
            began, cpu = perf_counter(), process_time()
            fleet = existing_fleet(connection, schema, settings, TENANT, latest, LATEST.date())
            line(
                f"{what}: {len(fleet):,} meters, {days} days of history",
                f"{perf_counter() - began:6.1f} s, {process_time() - cpu:.1f} s of CPU here, "
                f"longest statement {longest[0]:.1f} s",
            )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    line("  peak memory of this process so far", f"{peak:6.0f} MB")
    return schema, fleet


def rolled_back(database: Database, what: Callable[[sa.Connection], Any]) -> tuple[float, float]:
    """Seconds of it in a transaction that is rolled back, and seconds of CPU, here and in the server's process."""
    with database.engine.connect() as connection:
        server = connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
        began, cpu = perf_counter(), process_time() + cpu_of(server)
        what(connection)
        seconds = perf_counter() - began, process_time() + cpu_of(server) - cpu
        connection.rollback()
    return seconds


def cpu_of(process: int) -> float:
    """Seconds of CPU that another process has had, in ticks of 10 ms; 0 where the system does not tell."""
    try:
        figures = Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(figures[11]) + int(figures[12])) / 100


def copied(reads: Reads) -> Callable[[sa.Connection], None]:
    """A bare COPY of the reads that were sent; its text is made beforehand."""
    fleet, moment = reads.fleet, reads.span.end.isoformat()
    rows = "\n".join(
        f"{TENANT}\t{fleet.meter_ids[n]}\t{fleet.feeder_ids[n]}\t{moment}\t{reads.recorded_mwh[n, 0] / 1e6}"
        f"\t{reads.voltage_dv[n, 0] / 10}"
        for n in np.flatnonzero(reads.sent[:, 0])
    )

    def copy(connection: sa.Connection) -> None:
        connection.connection.cursor().copy_expert(COPY, StringIO(rows))

    return copy


def beside_copy(database: Database, schema: Schema, fleet: Fleet, rounds: int, name: str) -> None:
    """The cycle and the insert alone, each over a COPY of the same rows."""
    reads = emulate(fleet, Span(LATEST, 15), [], fleet.missing_share)
    plan = Plan(schema, fleet, LATEST)
    works: dict[str, Callable[[sa.Connection], Any]] = {
        "COPY": copied(reads),
        "insert": lambda connection: write_reads(connection, schema, reads),
        "publish": lambda connection: publish_cycle(connection, plan),
    }
    seconds: dict[str, list[tuple[float, float]]] = {work: [] for work in works}
    for _ in range(rounds):
        for work, run in works.items():
            seconds[work].append(rolled_back(database, run))
    wall = {work: min(took[0] for took in seconds[work]) for work in works}
    cpu = {work: sum(took[1] for took in seconds[work]) / rounds for work in works}
    for work in works:
        line(
            f"{work} of {len(fleet):,} rows, {name}",
            f"{1000 * wall[work]:6.0f} ms, {wall[work] / wall['COPY']:.2f} of COPY; "
            f"{1000 * cpu[work]:.0f} ms of CPU, {cpu[work] / (cpu['COPY'] or 1):.2f} of COPY's",
        )


def emulation(fleet: Fleet, rounds: int) -> None:
    """One slot of the fleet, beside two draws of numpy a meter."""
    generator = np.random.default_rng(7)
    drawn, made = [], []
    for number in range(rounds):
        began = perf_counter()
        emulate(fleet, Span(LATEST + timedelta(minutes=15 * number), 15), [], fleet.missing_share)
        made.append(perf_counter() - began)
        began = perf_counter()
        generator.standard_normal((len(fleet), 2))
        drawn.append(perf_counter() - began)
    line(
        f"emulation of one slot, {len(fleet):,} meters",
        f"{1000 * min(made):6.1f} ms; numpy's draw is {min(drawn) / min(made):.2f} of it",
    )


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--meters", type=int, default=25_000)
    asked.add_argument("--days", type=int, nargs="+", default=[1, 30])
    asked.add_argument("--rounds", type=int, default=5)
    given = asked.parse_args()
    with tempfile.TemporaryDirectory(prefix="gridlens-", ignore_cleanup_errors=True) as folder:
        url = start_embedded(Path(folder) / "server").replace("postgresql://", "postgresql+psycopg2://", 1)
        settings = Settings(seed=7, timezone="UTC", data_dir=Path(folder) / "data")
        try:
            for days in given.days:
                database = table_of(url, f"days_{days}", given.meters, days)
                schema, fleet = learned(database, settings, days)
                beside_copy(database, schema, fleet, given.rounds, f"unique key, {days} days")
                database.engine.dispose()
            bare = table_of(url, "bare", given.meters, 0, key=False)
            with bare.transaction(read_only=True) as connection:
                schema = discover(connection)
            beside_copy(bare, schema, fleet, given.rounds, "no key, an empty table")
            bare.engine.dispose()
            emulation(fleet, given.rounds)
        finally:
            stop_embedded(Path(folder) / "server")


if __name__ == "__main__":
    main()
