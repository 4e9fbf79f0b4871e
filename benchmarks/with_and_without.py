"""What an explanation costs: a cycle with what its KPIs are made of, against a plain cycle, on the local database.
Run as python -m benchmarks.with_and_without [--feeders 10] [--meters 40]; CPU seconds of client and server together."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import process_time

import psutil

from gridlens_core.demo.demo import Demo
from gridlens_core.meters.events import EVENT_TYPES, EventRequest
from gridlens_core.publishing.publisher import Plan, publish_cycle
from gridlens_core.settings import Settings

TENANT = "DEMO_TENANT"
STARTS = {"morning": datetime(2026, 11, 18, 13, tzinfo=UTC), "late evening": datetime(2026, 11, 19, 2, tzinfo=UTC)}
REPEATS = 5
EVENTS = (0, 1, 3)
GOALS = {0: 3, 1: 8, 3: 12}  # times a plain cycle, at 400 meters


def main() -> None:
    """Each row is medians of cycles that stay; the plain ones are run first, and read no view."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--feeders", type=int, default=10)
    parser.add_argument("--meters", type=int, default=40, help="meters a feeder")
    options = parser.parse_args()
    print(f"{options.feeders * options.meters} meters; CPU ms of a cycle")
    print(f"{'day so far':14s}{'events':>7s}{'plain':>8s}{'explained':>11s}{'ratio':>7s}{'goal':>6s}")
    for name, start in STARTS.items():
        with demo_at(start, options.feeders, options.meters) as (demo, server):
            plain = 1000 * cpu_s(server, lambda: plain_cycle(demo))
            shown = 0
            for number in EVENTS:
                while shown < number:
                    trigger(demo, shown)
                    shown += 1
                explained = 1000 * cpu_s(server, lambda: explained_cycle(demo))
                ratio = explained / plain
                print(f"{name:14s}{number:7d}{plain:8.0f}{explained:11.0f}{ratio:7.1f}{GOALS[number]:6d}")


@contextmanager
def demo_at(start: datetime, feeders: int, meters: int) -> Iterator[tuple[Demo, psutil.Process]]:
    """A local demo whose grid clock stands at a time, and the process of its server."""
    with TemporaryDirectory(prefix="gridlens-", ignore_cleanup_errors=True) as folder:
        data_dir = Path(folder).resolve()
        demo = Demo(Settings(data_dir=data_dir, now=start, feeders=feeders, meters_per_feeder=meters))
        demo.session.start()
        pid = (data_dir / "postgres" / "postmaster.pid").read_text(encoding="utf-8").splitlines()[0]
        yield demo, psutil.Process(int(pid))
        demo.stop()


def trigger(demo: Demo, number: int) -> None:
    """One event on a feeder of its own, longer than the benchmark."""
    fleet = demo.desk.fleet(TENANT)
    asked = EventRequest(
        EVENT_TYPES[number % 3], feeder_id=fleet.feeders[number], severity=0.5, duration_minutes=24 * 60
    )
    demo.trigger(TENANT, asked)


def plain_cycle(demo: Demo) -> None:
    """A cycle and nothing else."""
    session, fleet = demo.session, demo.desk.fleet(TENANT)
    with session.transaction() as connection:
        publish_cycle(connection, Plan(session.schema, fleet, session.clock(), supply=True))


def explained_cycle(demo: Demo) -> None:
    """A cycle as a presenter's click publishes it, until it is known what its KPIs are made of."""
    demo.publish(TENANT)
    demo.desk.explained(TENANT)


def cpu_s(server: psutil.Process, work: Callable[[], None], repeats: int = REPEATS) -> float:
    """The median CPU seconds of some runs, of this process and of the server's that serve it."""
    work()
    times = []
    for _ in range(repeats):
        before = total_s(server)
        work()
        times.append(total_s(server) - before)
    return median(times)


def total_s(server: psutil.Process) -> float:
    """CPU seconds so far. The server's processes that end meanwhile are counted by their parent."""
    own = server.cpu_times()
    spent = process_time() + own.user + own.system + own.children_user + own.children_system
    for child in server.children():
        times = child.cpu_times()
        spent += times.user + times.system
    return spent


if __name__ == "__main__":
    main()
