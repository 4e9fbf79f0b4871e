from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from itertools import pairwise
from threading import Event
from threading import enumerate as enumerate_threads
from typing import Any

import pytest
from helpers import FROZEN, READS, TENANT, Server, finish, start_python, url_of

from gridlens_core.database.connection import Database
from gridlens_core.demo.demo import Demo
from gridlens_core.errors import AutoPublishElsewhereError, BadInputError, GridLensError
from gridlens_core.publishing import auto
from gridlens_core.publishing.auto import AutoPublishers

QUICK = 0.02
PATIENCE_S = 20


@pytest.fixture(autouse=True)
def _quick_timers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auto, "MIN_SECONDS", QUICK)


def wait_for(condition: Callable[[], Any]) -> Any:
    """Waits until the condition holds; a test that waits in vain fails."""
    deadline = time.monotonic() + PATIENCE_S
    while not (found := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return found


def cut_connections(server: Server, database: Database) -> None:
    server.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        f"WHERE datname = '{database.engine.url.database}' AND pid <> pg_backend_pid()"
    )


def is_locked(database: Database) -> bool:
    with database.transaction(read_only=True) as connection:
        return AutoPublishers(lambda *_: None).state(connection, TENANT).running


# --- publishing -----------------------------------------------------------------------------------------


def test_the_timer_publishes_interval_after_interval_until_it_is_stopped(demo: Demo) -> None:
    state = demo.auto.start(demo.session.database, TENANT, QUICK, 30)
    assert (state.running, state.here, state.every_seconds, state.interval_minutes) == (True, True, QUICK, 30)
    assert demo.auto_state(TENANT) == state
    wait_for(lambda: demo.desk.pulse(TENANT).grid_now >= FROZEN + timedelta(hours=1))
    assert demo.auto.stop(TENANT)
    assert demo.auto_state(TENANT) == auto.AutoState(running=False, here=False)
    stopped_at = demo.desk.pulse(TENANT).grid_now
    assert f"auto-publish {TENANT}" not in [thread.name for thread in enumerate_threads()]
    assert demo.desk.pulse(TENANT).grid_now == stopped_at
    assert not demo.auto.stop(TENANT)
    with demo.session.transaction(read_only=True) as connection:
        times = list(
            connection.exec_driver_sql(
                f"SELECT DISTINCT read_at FROM {READS} WHERE read_at >= '{FROZEN}' ORDER BY read_at"
            ).scalars()
        )
    assert len(times) >= 2
    assert all(later - earlier == timedelta(minutes=30) for earlier, later in pairwise(times))


def test_starting_again_gives_the_timer_new_times(demo: Demo) -> None:
    demo.auto.start(demo.session.database, TENANT, 3600, 15)
    state = demo.auto.start(demo.session.database, TENANT, QUICK, 60)
    assert (state.every_seconds, state.interval_minutes) == (QUICK, 60)
    wait_for(lambda: demo.desk.pulse(TENANT).grid_now > FROZEN)
    assert demo.auto.stop(TENANT)
    assert not is_locked(demo.session.database)


def test_stopping_does_not_wait_for_the_next_cycle(demo: Demo) -> None:
    demo.auto.start(demo.session.database, TENANT, 3600, 15)
    began = time.monotonic()
    assert demo.auto.stop(TENANT)
    assert time.monotonic() - began < 5


def test_stopping_waits_for_the_cycle_under_way(demo: Demo) -> None:
    under_way, may_end, done = Event(), Event(), []

    def cycle(*_: object) -> None:
        under_way.set()
        may_end.wait(PATIENCE_S)
        done.append(True)

    timers = AutoPublishers(cycle)
    timers.start(demo.session.database, TENANT, QUICK, 15)
    assert under_way.wait(PATIENCE_S)
    assert is_locked(demo.session.database)
    may_end.set()
    timers.stop_all()
    assert done
    assert not is_locked(demo.session.database)


@pytest.mark.parametrize(
    ("every", "interval", "field"),
    [
        pytest.param(0, 15, "everySeconds", id="no time between"),
        pytest.param(-1, 15, "everySeconds", id="less than none"),
        pytest.param(3601, 15, "everySeconds", id="more than an hour"),
        pytest.param(float("nan"), 15, "everySeconds", id="not a number"),
        pytest.param(5, 7, "intervalMinutes", id="an odd interval"),
    ],
)
def test_times_that_will_not_do_start_no_timer(demo: Demo, every: float, interval: int, field: str) -> None:
    with pytest.raises(BadInputError, match=field):
        demo.auto.start(demo.session.database, TENANT, every, interval)
    assert not demo.auto_state(TENANT).running


# --- one publisher across processes ---------------------------------------------------------------------

HOLD = """
import sys
from gridlens_core.publishing.auto import AutoPublishers
from gridlens_core.database.connection import connect
timers = AutoPublishers(lambda *_: None)
timers.start(connect(sys.argv[1], is_local=True), "DEMO_TENANT", 3600, 15)
print("publishing", flush=True)
if sys.stdin.readline():
    timers.stop_all()
"""


def test_another_process_cannot_publish_for_the_same_tenant(demo: Demo) -> None:
    other = start_python(HOLD, url_of(demo.session.database))
    assert other.stdout is not None
    assert other.stdin is not None
    assert other.stdout.readline() == "publishing\n"
    assert demo.auto_state(TENANT) == auto.AutoState(running=True, here=False)
    with pytest.raises(AutoPublishElsewhereError) as raised:
        demo.auto.start(demo.session.database, TENANT, 5, 15)
    assert raised.value.details == {"tenant_id": TENANT}
    assert not demo.auto.stop(TENANT)
    assert demo.publish(TENANT).cycles[0].inserted == 200  # by hand it still may
    demo.auto.start(demo.session.database, "ANOTHER", 3600, 15)
    demo.auto.stop("ANOTHER")
    other.stdin.write("stop\n")
    finish(other)
    assert not demo.auto_state(TENANT).running
    assert demo.auto.start(demo.session.database, TENANT, 3600, 15).here


def test_the_lock_of_a_process_that_was_killed_is_free(demo: Demo) -> None:
    other = start_python(HOLD, url_of(demo.session.database))
    assert other.stdout is not None
    assert other.stdout.readline() == "publishing\n"
    other.kill()
    other.communicate()
    wait_for(lambda: not demo.auto_state(TENANT).running)
    assert demo.auto.start(demo.session.database, TENANT, 3600, 15).here


# --- a database that goes away --------------------------------------------------------------------------


def test_the_timer_rides_out_connections_that_are_cut(demo: Demo, server: Server) -> None:
    demo.auto.start(demo.session.database, TENANT, QUICK, 15)
    for _ in range(3):
        reached = wait_for(lambda: demo.desk.pulse(TENANT).grid_now)
        cut_connections(server, demo.session.database)
        wait_for(lambda reached=reached: pulse_if_there(demo) > reached)
    wait_for(lambda: demo.auto.problem(TENANT) is None)
    assert demo.auto_state(TENANT).running
    assert is_locked(demo.session.database)
    demo.auto.stop(TENANT)
    wait_for(lambda: not is_locked(demo.session.database))


def pulse_if_there(demo: Demo) -> Any:
    try:
        return demo.desk.pulse(TENANT).grid_now
    except GridLensError:
        return FROZEN - timedelta(days=1)


def test_a_cycle_that_fails_is_told_and_the_next_one_tried(demo: Demo) -> None:
    outcomes: list[Any] = [GridLensError("no room"), ZeroDivisionError("secret"), None]
    told: list[str | None] = []

    def cycle(*_: object) -> None:
        told.append(timers.problem(TENANT))
        outcome = outcomes.pop(0) if outcomes else None
        if outcome is not None:
            raise outcome

    timers = AutoPublishers(cycle)
    timers.start(demo.session.database, TENANT, QUICK, 15)
    wait_for(lambda: len(told) >= 4)
    timers.stop_all()
    assert told[:2] == [None, "no room"]
    assert told[2] is not None
    assert "secret" not in told[2]
    assert told[3] is None
    assert timers.problem(TENANT) is None


# --- two publishers never ---------------------------------------------------------------------------------


@pytest.fixture
def short_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auto, "HEARTBEAT_SECONDS", 0.05)
    monkeypatch.setattr(auto, "YIELD_SECONDS", 0.5)


def lock_sessions(server: Server, database: Database) -> list[int]:
    """The server processes that hold a timer's lock."""
    with server.engine.connect() as connection:
        return list(
            connection.exec_driver_sql(
                "SELECT l.pid FROM pg_locks l JOIN pg_database d ON d.oid = l.database "
                f"WHERE locktype = 'advisory' AND granted AND datname = '{database.engine.url.database}'"
            ).scalars()
        )


def test_a_lock_that_was_lost_is_taken_again_long_before_the_next_cycle(
    demo: Demo, server: Server, short_patience: None
) -> None:
    demo.auto.start(demo.session.database, TENANT, 3600, 15)
    (first,) = lock_sessions(server, demo.session.database)
    server.execute(f"SELECT pg_terminate_backend({first})")
    wait_for(lambda: lock_sessions(server, demo.session.database) not in ([], [first]))
    with pytest.raises(AutoPublishElsewhereError):
        AutoPublishers(lambda *_: None).start(demo.session.database, TENANT, 3600, 15)
    assert demo.auto_state(TENANT).here
    assert demo.auto.problem(TENANT) is None


def test_a_timer_whose_lock_another_process_took_publishes_no_more(
    demo: Demo, server: Server, short_patience: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    published: list[str] = []
    ours, theirs = (AutoPublishers(lambda *_, name=name: published.append(name)) for name in ("ours", "theirs"))
    ours.start(demo.session.database, TENANT, 0.3, 15)
    (first,) = lock_sessions(server, demo.session.database)
    monkeypatch.setattr(auto, "HEARTBEAT_SECONDS", 10)
    with monkeypatch.context() as patch:  # the others come before the timer has looked
        patch.setattr(auto.AutoPublisher, "_has_lock", lambda _: False)
        server.execute(f"SELECT pg_terminate_backend({first})")
        wait_for(lambda: not lock_sessions(server, demo.session.database))
        theirs.start(demo.session.database, TENANT, 3600, 15)
    published.clear()
    monkeypatch.setattr(auto, "HEARTBEAT_SECONDS", 0.05)

    def ours_now() -> auto.AutoState:
        with demo.session.transaction(read_only=True) as connection:
            return ours.state(connection, TENANT)

    wait_for(lambda: not ours_now().here)
    assert ours_now().running
    assert "Another process" in str(ours_now().problem)
    time.sleep(1.0)  # three cycles would have come
    assert published == []
    theirs.stop_all()
    wait_for(lambda: not ours_now().running)  # it has ended, and does not begin again by itself
    assert ours.start(demo.session.database, TENANT, 3600, 15).here
    ours.stop_all()


def test_new_times_never_let_go_of_the_lock(demo: Demo, server: Server) -> None:
    demo.auto.start(demo.session.database, TENANT, 3600, 15)
    before = lock_sessions(server, demo.session.database)
    demo.auto.start(demo.session.database, TENANT, QUICK, 30)
    wait_for(lambda: demo.desk.pulse(TENANT).grid_now > FROZEN)
    assert lock_sessions(server, demo.session.database) == before
    state = demo.auto_state(TENANT)
    assert (state.every_seconds, state.interval_minutes) == (QUICK, 30)


def test_a_start_that_fails_leaves_a_running_timer_alone(demo: Demo, server: Server) -> None:
    demo.auto.start(demo.session.database, TENANT, 3600, 15)
    with pytest.raises(BadInputError):
        demo.auto.start(demo.session.database, TENANT, 0, 15)
    assert demo.auto_state(TENANT).here
    assert len(lock_sessions(server, demo.session.database)) == 1
