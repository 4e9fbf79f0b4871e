"""What a long history costs: the grid clock, a pulse, learning the fleet and a cycle, on a small and on a large table.

python -m benchmarks.existing_history [LARGE_MILLIONS]    default 3; prints milliseconds, and large over small

The tables have UNIQUE (tenant_id, meter_id, read_at) and nothing else, the hardest common case.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import perf_counter

import sqlalchemy as sa

from gridlens_core.database.connection import Database, connect
from gridlens_core.database.discovery import discover
from gridlens_core.database.embedded import start_embedded, stop_embedded
from gridlens_core.database.newest import latest_read_at
from gridlens_core.database.queries import EVENTS_MIGRATION
from gridlens_core.publishing.history import learn_fleet
from gridlens_core.publishing.publisher import Plan, publish_cycle
from gridlens_core.settings import Settings

METERS, FEEDERS = 1000, 10
LATEST = datetime(2026, 11, 18, 18, tzinfo=UTC)
SETTINGS = Settings(seed=7, timezone="UTC")
SMALL_MILLIONS = 0.3
REPEATS = 5

TABLE = """
CREATE TABLE public.meter_reads_electric (tenant_id text NOT NULL, meter_id text NOT NULL, feeder_id text,
  kwh double precision, voltage double precision, read_at timestamptz NOT NULL,
  UNIQUE (tenant_id, meter_id, read_at))
"""
FILL = """
INSERT INTO public.meter_reads_electric
SELECT 'DEMO_TENANT', 'M' || m, 'F' || m % :feeders, 0.2 + (hashint4(m + n) & 255) / 2000.0, 120,
       CAST(:latest AS timestamptz) - n * interval '15 minutes'
FROM generate_series(0, :intervals - 1) n, generate_series(1, :meters) m
"""


def table_of(url: str, millions: float) -> Database:
    """A database with that many reads, the newest at LATEST."""
    database = connect(url, is_local=False)
    with database.transaction(statement_timeout_s=900) as connection:
        connection.exec_driver_sql(TABLE)
        parameters = {
            "feeders": FEEDERS, "meters": METERS, "latest": LATEST, "intervals": int(millions * 1e6 / METERS),
        }  # fmt: skip
        connection.execute(sa.text(FILL), parameters)
        connection.exec_driver_sql(EVENTS_MIGRATION.read_text(encoding="utf-8"))
        connection.exec_driver_sql("ANALYZE public.meter_reads_electric")
    return database


def measured(database: Database) -> dict[str, float]:
    """Milliseconds of each, the best of a few."""
    with database.transaction(read_only=True) as connection:
        schema = discover(connection)

    def clock() -> None:
        with database.transaction(read_only=True) as connection:
            latest_read_at(connection, schema, "DEMO_TENANT")

    def learn() -> None:
        with database.transaction(read_only=True) as connection:
            learn_fleet(connection, schema, SETTINGS, "DEMO_TENANT", LATEST)

    with database.transaction(read_only=True) as connection:
        fleet = learn_fleet(connection, schema, SETTINGS, "DEMO_TENANT", LATEST)

    def cycle() -> None:
        with database.engine.connect() as connection:
            publish_cycle(connection, Plan(schema, fleet, LATEST + timedelta(minutes=15)))
            connection.rollback()

    return {"grid clock": best(clock), "learn the fleet": best(learn), f"cycle of {METERS} meters": best(cycle)}


def best(what: Callable[[], None]) -> float:
    times = []
    for _ in range(REPEATS):
        began = perf_counter()
        what()
        times.append(1000 * (perf_counter() - began))
    return min(times)


def main(large_millions: float) -> None:
    with tempfile.TemporaryDirectory(prefix="gridlens-", ignore_cleanup_errors=True) as folder:
        url = start_embedded(Path(folder))
        figures = []
        for number, millions in enumerate((SMALL_MILLIONS, large_millions)):
            admin = connect(url, is_local=False)
            with admin.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                connection.exec_driver_sql(f"CREATE DATABASE size_{number}")
            admin.engine.dispose()
            database = table_of(url.replace("/postgres?", f"/size_{number}?", 1), millions)
            figures.append(measured(database))
            database.engine.dispose()
        small, large = figures
        print(f"{'':24}{SMALL_MILLIONS:>9} M{large_millions:>9} M   ratio")
        for name in small:
            print(f"{name:24}{small[name]:8.1f} ms{large[name]:8.1f} ms{large[name] / small[name]:8.2f}")
        stop_embedded(Path(folder))


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 3.0)
