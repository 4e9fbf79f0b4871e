"""One moment on every screen: one read-only transaction, one grid clock, no earlier answer for a newer one."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from threading import current_thread
from typing import Any

import pytest
import sqlalchemy as sa
from existing_shapes import SHAPES, load
from helpers import FROZEN, TENANT, event_request

from gridlens_core.database.schema import OVERVIEW
from gridlens_core.demo.demo import Demo
from gridlens_core.display.branding import Brand
from gridlens_core.display.control_room import control_room
from gridlens_core.errors import DatabaseBusyError
from gridlens_core.leave_behind.brief import brief_of
from gridlens_core.leave_behind.brief_html import brief_html

QUARTER = timedelta(minutes=15)
VARIANT_A = SHAPES[0]
# How the newest interval is asked for: from meter to meter, or from the whole table.
# One asking: from feeder to feeder, or of a sample of meters at once, or of all. What a few of the sample say before it
# tells where to look, each by one short statement at the end of an index.
CLOCK = re.compile(r"WITH RECURSIVE hop|^SELECT .*max\(.*FROM \S*meter_reads_electric(?!.* = CAST\(%\(meter\)s)")


@dataclass
class Asked:
    """What was sent to a database: transactions begun, and statements beside those that set their limits."""

    transactions: int = 0
    statements: list[str] = field(default_factory=list)

    @property
    def clock(self) -> int:
        """How often the grid clock was asked for."""
        return sum(CLOCK.search(statement) is not None for statement in self.statements)


@contextmanager
def asked(demo: Demo, *, besides: str = "") -> Iterator[Asked]:
    """Counts until the end of the block; a thread by the name of `besides` is not counted: that which asks for the
    moment, or that which measures its effects."""
    counted, engine = Asked(), demo.session.database.engine

    def begin(_: Any) -> None:
        counted.transactions += current_thread().name != besides

    def execute(_: Any, __: Any, statement: str, *___: Any) -> None:
        if current_thread().name != besides and not statement.startswith(("SET ", "SAVEPOINT", "RELEASE")):
            counted.statements.append(statement)

    listeners = (("begin", begin), ("before_cursor_execute", execute))
    for name, listener in listeners:
        sa.event.listen(engine, name, listener)
    try:
        yield counted
    finally:
        for name, listener in listeners:
            sa.event.remove(engine, name, listener)


@contextmanager
def slow_view(url: str, seconds: float) -> Iterator[None]:
    """The overview takes so long, as on a busy server."""
    load(url, f"""ALTER VIEW public.{OVERVIEW} RENAME TO quick;
                  CREATE VIEW public.{OVERVIEW} AS SELECT q.* FROM public.quick q, pg_sleep({seconds})""")  # fmt: skip
    yield
    load(url, f"DROP VIEW public.{OVERVIEW}; ALTER VIEW public.quick RENAME TO {OVERVIEW}")


# --- what it costs --------------------------------------------------------------------------------------


def test_a_control_room_is_one_transaction_of_ten_statements_and_one_grid_clock(
    shown: Demo, make_demo: Callable[..., Demo]
) -> None:
    shown.desk.explained(TENANT)
    make_demo(data_dir=shown.settings.data_dir).publish(TENANT)
    pulse = shown.desk.pulse(TENANT)
    with asked(shown, besides="measure") as counted:
        answer = shown.desk.moment(TENANT, pulse, patience_s=30)
        control_room(answer.value)
    assert answer.current
    assert (counted.transactions, counted.clock) == (1, 1)
    assert len(counted.statements) <= 10, counted.statements


def test_the_publisher_of_a_cycle_has_read_the_moment_that_its_viewers_see(demo: Demo) -> None:
    done = demo.publish(TENANT)
    pulse = demo.desk.pulse(TENANT)
    with asked(demo) as counted:
        found = demo.desk.moment(TENANT, pulse)
    assert found.current
    assert found.value.kpis == done.after
    assert (counted.transactions, counted.statements) == (0, [])


def test_a_moment_that_is_known_is_not_asked_for_again(shown: Demo) -> None:
    moment = shown.desk.explained(TENANT)
    with asked(shown) as counted:
        assert shown.desk.moment(TENANT, moment.pulse).value is moment
        control_room(moment, "FEEDER_2")
    assert (counted.transactions, counted.statements) == (0, [])


def test_a_brief_of_a_new_process_is_one_transaction_of_twenty_statements(
    shown: Demo, make_demo: Callable[..., Demo]
) -> None:
    other = make_demo(data_dir=shown.settings.data_dir)
    pulse = other.desk.pulse(TENANT)
    with asked(other, besides="measure") as counted:
        moment = other.desk.moment(TENANT, pulse).value
        brief_html(brief_of(moment, Brand()))
    assert (counted.transactions, counted.clock) == (1, 1)
    assert len(counted.statements) <= 20, counted.statements
    assert len(moment.receipts) == 3


def test_a_plain_publish_asks_for_the_grid_clock_once(demo: Demo) -> None:
    demo.publish(TENANT)
    with asked(demo, besides="ask") as counted:
        demo.publish(TENANT)
    assert (counted.transactions, counted.clock) == (1, 1), counted.statements


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)
def test_a_plain_publish_asks_for_it_once_on_an_existing_database_too(on: Any, shape: Any) -> None:
    demo, _ = on(shape)
    demo.publish(shape.tenant, interval_minutes=shape.minutes)
    with asked(demo, besides="ask") as counted:
        demo.publish(shape.tenant, interval_minutes=shape.minutes)
    assert (counted.transactions, counted.clock) == (1, 1), counted.statements


def test_a_cycle_without_any_event_measures_nothing(on: Any) -> None:
    demo, _ = on(VARIANT_A)
    demo.publish(TENANT)
    with asked(demo) as counted:
        demo.publish(TENANT)
    assert sum("INSERT INTO" in statement for statement in counted.statements) == 1


# --- one grid time --------------------------------------------------------------------------------------


def test_all_that_a_moment_holds_is_of_its_grid_time(shown: Demo) -> None:
    for _ in range(3):
        at = shown.desk.explained(TENANT)
        assert at.rows[OVERVIEW][0]["last_updated"] == at.grid_now
        assert at.kpis["loss_pct"] == at.rows[OVERVIEW][0]["loss_percent_pct"]
        assert max(row.read_at for row in at.balance) == at.grid_now
        assert {read.read_at for read in at.latest.values()} == {at.grid_now}
        assert at.history[-1].kpis == at.kpis
        assert at.measured is not None
        assert (at.measured.grid_now, at.measured.now) == (at.grid_now, at.kpis)
        room = control_room(at)
        assert (room.grid_now, room.kpis, room.energy.read_at[-1]) == (at.grid_now, at.kpis, at.grid_now)
        shown.publish(TENANT)


@pytest.mark.parametrize("seconds", [0.5, 2.0])
def test_a_slow_view_gives_the_last_moment_whole_and_never_as_the_newer_one(on: Any, seconds: float) -> None:
    demo, url = on(VARIANT_A, explain_budget_s=0.3)
    demo.publish(TENANT)
    before = demo.desk.fresh(TENANT)
    with slow_view(url, seconds):
        published = demo.publish(TENANT)
        assert published.after is None, "the views had no time to say what is true now"
        assert published.cycles[0].inserted > 0
        newer = demo.desk.pulse(TENANT)
        answer = demo.desk.moment(TENANT, newer, patience_s=0.05)
        assert (answer.value, answer.current) == (before, False)
        assert demo.desk.moment(TENANT, newer, patience_s=0.05).value is before
        fresh = demo.desk.fresh(TENANT)
    assert fresh.grid_now == published.cycles[0].read_at == newer.grid_now
    assert fresh.kpis != before.kpis
    seen = demo.desk.trace(TENANT).at(before.grid_now)
    assert seen is not None
    assert seen.kpis == before.kpis


def test_what_another_process_published_shows_without_a_further_publish(
    demo: Demo, make_demo: Callable[..., Demo]
) -> None:
    other = make_demo(data_dir=demo.settings.data_dir)
    before = demo.desk.fresh(TENANT)
    other.trigger(TENANT, event_request())
    told = other.publish(TENANT, cycles=2).after
    now = demo.desk.explained(TENANT)
    assert now.kpis == told != before.kpis
    assert now.grid_now == FROZEN + QUARTER
    why = now.why("feeder_loss_pct", "FEEDER_7")
    assert why is not None
    assert why.effect_of(str(now.events[0].id)) > 1


def test_an_answer_that_must_be_of_now_says_that_the_views_do_not_answer(
    on: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    demo, url = on(VARIANT_A, explain_budget_s=0.3)
    demo.desk.fresh(TENANT)
    monkeypatch.setattr("gridlens_core.demo.desk.ANSWER_PATIENCE_S", 0.1)
    with slow_view(url, 2):
        demo.publish(TENANT)
        with pytest.raises(DatabaseBusyError, match="of an earlier moment"):
            demo.desk.fresh(TENANT)
