"""What the local database costs as its fleet and its history grow: seeding, a look at the four views, a measured cycle,
local midnight. Run as python -m benchmarks.scale_local [--meters 25000] [--days 2 30]; CPU of client and server."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import psutil
import sqlalchemy as sa

from benchmarks.with_and_without import TENANT, cpu_s, explained_cycle, plain_cycle, total_s, trigger
from gridlens_core.clock import day_start
from gridlens_core.demo.demo import Demo
from gridlens_core.explanation.kpis import read_kpis
from gridlens_core.settings import Settings

DAY = date(2026, 11, 18)
QUARTER = timedelta(minutes=15)
GOALS = {"seeding": "400,000 reads/s", "look": ".3 CPU s", "measured": "2 CPU s", "flat": "1.0"}


def main() -> None:
    """A block a length of history; the last line compares them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--meters", type=int, default=400, help="of the fleet; 40 a feeder, from 4,000 on 1,000 a feeder"
    )
    parser.add_argument("--days", type=int, nargs="+", default=[8, 30], help="days of history, a database each")
    options = parser.parse_args()
    looks = [measured(options.meters, days) for days in options.days]
    if len(looks) > 1:
        lengths = " and ".join(map(str, options.days))
        line(f"a look after {lengths} days of history, last / first", f"{looks[-1] / looks[0]:.2f}", GOALS["flat"])


def measured(meters: int, days: int) -> float:
    """Prints the figures of one database; returns the CPU seconds of a look at 00:30."""
    per_feeder = 40 if meters < 4_000 else 1_000
    feeders = -(-meters // per_feeder)
    midnight = day_start(DAY, "America/Chicago")
    clock = [midnight + 2 * QUARTER]
    print(f"\n{feeders} feeders of {per_feeder} meters, {days} days of history")
    with demo_of(feeders, per_feeder, days, lambda: clock[0]) as (demo, server):
        began, before = perf_counter(), total_s(server)
        demo.session.start()
        seconds, cpu = perf_counter() - began, total_s(server) - before
        reads, size = stored(demo)
        what = f"{reads:,} reads seeded in {seconds:.1f} s, {cpu:.1f} CPU s; {size / reads:.0f} bytes a read"
        line(what, f"{reads / seconds:,.0f} reads/s", GOALS["seeding"])
        early = cpu_s(server, lambda: look(demo))
        line("one look at the four views, 00:30", f"{early:.3f} CPU s", GOALS["look"])
        line("a plain cycle", f"{cpu_s(server, lambda: plain_cycle(demo)):.3f} CPU s")
        clock[0] = midnight + timedelta(hours=21)
        plain_cycle(demo)
        demo.publish(TENANT)  # and the reads of the hours between
        for number in range(3):
            trigger(demo, number)
        line(
            "a measured cycle, three events, 21:00",
            f"{cpu_s(server, lambda: explained_cycle(demo), 3):.2f} CPU s",
            GOALS["measured"],
        )
        demo.reset(TENANT)
        clock[0] = midnight + timedelta(hours=24)
        demo.publish(TENANT)  # the last interval of the day
        demo.nightly.wait()
        late = cpu_s(server, lambda: look(demo))
        line("one look at the four views, 24:00", f"{late:.3f} CPU s", GOALS["look"])
        line("the same, 24:00 / 00:30", f"{late / early:.2f}", GOALS["flat"])
        forget_night(demo)
        with longest_statement(demo.session.database.engine) as longest:
            began = perf_counter()
            demo.publish(TENANT)
        first = f"first publish after midnight, all of the estimation still to do; longest statement {longest[0]:.1f} s"
        line(first, f"{perf_counter() - began:.1f} s", "under 15 s a statement")
    return early


def line(what: str, found: str, goal: str = "") -> None:
    """One figure beside its goal."""
    print(f"{what:100s}{found:>18s}  {goal}", flush=True)


@contextmanager
def demo_of(
    feeders: int, per_feeder: int, days: int, clock: Callable[[], datetime]
) -> Iterator[tuple[Demo, psutil.Process]]:
    """A local demo that is not started yet, and the process of its server, which runs."""
    with TemporaryDirectory(prefix="gridlens-", ignore_cleanup_errors=True) as folder:
        data_dir = Path(folder).resolve()
        settings = Settings(feeders=feeders, meters_per_feeder=per_feeder, history_days=days, data_dir=data_dir)
        demo = Demo(settings, clock)
        demo.session.start_database(data_dir)
        pid = (data_dir / "postgres" / "postmaster.pid").read_text(encoding="utf-8").splitlines()[0]
        yield demo, psutil.Process(int(pid))
        demo.stop()


def look(demo: Demo) -> None:
    """The four views, as of the grid clock."""
    with demo.session.transaction(read_only=True) as connection:
        read_kpis(connection, demo.session.schema, TENANT, DAY)


def stored(demo: Demo) -> tuple[int, int]:
    """Reads, and bytes of the whole database."""
    with demo.session.transaction(statement_timeout_s=600) as connection:
        found = connection.exec_driver_sql(
            "SELECT (SELECT sum(reads) FROM feeder_interval_reads), pg_database_size(current_database())"
        )
        reads, size = found.one()
    return int(reads), int(size)


def forget_night(demo: Demo) -> None:
    """Takes away what was learned for the day after, and summed of the day."""
    with demo.session.transaction() as connection:
        for table in ("meter_expectation", "feeder_hour_expectation", "feeder_expectation"):
            connection.exec_driver_sql(f"DELETE FROM {table} WHERE day > '{DAY}'")
        connection.exec_driver_sql(f"DELETE FROM meter_energy_to_date WHERE day >= '{DAY}'")


@contextmanager
def longest_statement(engine: sa.Engine) -> Iterator[list[float]]:
    """The seconds of the longest statement so far."""
    longest, began = [0.0], [0.0]

    def before(*_: object) -> None:
        began[0] = perf_counter()

    def after(*_: object) -> None:
        longest[0] = max(longest[0], perf_counter() - began[0])

    sa.event.listen(engine, "before_cursor_execute", before)
    sa.event.listen(engine, "after_cursor_execute", after)
    yield longest
    sa.event.remove(engine, "before_cursor_execute", before)
    sa.event.remove(engine, "after_cursor_execute", after)


if __name__ == "__main__":
    main()
