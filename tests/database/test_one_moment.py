"""Whatever one screen or answer shows is of one moment, also where the views are slow and intervals keep coming."""

from __future__ import annotations

from collections.abc import Callable
from threading import Event, Thread
from time import monotonic

import pytest
import sqlalchemy as sa
from helpers import TENANT, event_request

from gridlens_core.api.answers import QuickcheckAnswer, WhyAnswer
from gridlens_core.demo.demo import Demo
from gridlens_core.display.branding import Brand
from gridlens_core.display.control_room import control_room
from gridlens_core.errors import DatabaseBusyError
from gridlens_core.explanation.energy import times_of
from gridlens_core.explanation.moment import Moment
from gridlens_core.leave_behind.brief import brief_of


def slow_down(demo: Demo, seconds: float, view: str = "v_kpi_electric_overview_daily") -> None:
    """Makes one of the local views take so long, whatever it is asked."""
    with demo.session.transaction() as connection:
        definition = connection.execute(
            sa.text("SELECT pg_get_viewdef(to_regclass(:view))"), {"view": view}
        ).scalar_one()
        as_it_was = definition.rstrip().removesuffix(";")
        connection.exec_driver_sql(
            f"CREATE OR REPLACE VIEW public.{view} AS SELECT v.* FROM ({as_it_was}) v, "
            f"(SELECT pg_sleep({seconds})) late".replace("%", "%%")
        )


def is_whole(moment: Moment) -> None:
    """Holds every part of a moment, and what is made of it, to its grid time."""
    assert times_of(moment.balance)[-1] == moment.grid_now
    assert {read.read_at for read in moment.latest.values()} == {moment.grid_now}
    assert moment.history[-1].grid_now == moment.grid_now
    assert moment.history[-1].kpis == moment.kpis
    if moment.measured is not None:
        assert moment.measured.grid_now == moment.grid_now
        assert moment.measured.now == moment.kpis
    room = control_room(moment, follow=True)
    assert room.energy.read_at[-1] == room.grid_now == moment.grid_now
    assert room.kpis == moment.kpis
    brief = brief_of(moment, Brand())
    assert (brief.grid_now, brief.room.kpis) == (moment.grid_now, moment.kpis)
    answer = QuickcheckAnswer.of(moment)
    assert answer.grid_now == moment.grid_now
    assert answer.overview_last5[0]["loss_percent_pct"] == pytest.approx(float(moment.kpis["loss_pct"] or 0))
    assert WhyAnswer.of(moment).grid_now == moment.grid_now


@pytest.mark.parametrize("seconds", [0.0, 0.5, 2.0])
def test_a_theft_is_shown_moment_by_moment_while_intervals_come_in(
    make_demo: Callable[..., Demo], seconds: float
) -> None:
    demo = make_demo()
    slow_down(demo, seconds)
    demo.desk.fresh(TENANT)
    demo.trigger(TENANT, event_request(duration_minutes=7 * 24 * 60))
    ends = monotonic() + 60
    stop = Event()

    def publish() -> None:
        while not stop.wait(0.2):  # about as fast as a time-lapse
            demo.publish(TENANT)

    publisher = Thread(target=publish)
    publisher.start()
    seen = []
    try:
        while len(set(seen)) < 3 and monotonic() < ends:
            found = demo.desk.moment(TENANT, patience_s=0.2)
            is_whole(found.value)
            seen.append(found.value.grid_now)
    finally:
        stop.set()
        publisher.join()
    assert seen == sorted(seen)
    assert len(set(seen)) == 3  # newer ones came, one after the other
    last = demo.desk.explained(TENANT)
    is_whole(last)
    assert last.grid_now == demo.desk.pulse(TENANT).grid_now
    assert last.measured is not None
    assert last.measured.exact


def test_a_stale_answer_is_said_to_be_one_and_is_never_kept_as_the_newer(make_demo: Callable[..., Demo]) -> None:
    demo = make_demo()
    first = demo.desk.fresh(TENANT)
    slow_down(demo, 1.0)
    make_demo(data_dir=demo.settings.data_dir).publish(TENANT)
    found = demo.desk.moment(TENANT, patience_s=0.1)
    assert not found.current
    assert found.value.grid_now == first.grid_now
    assert demo.desk.fresh(TENANT).grid_now > first.grid_now  # without any further publish
    assert demo.desk.moment(TENANT, patience_s=0.1).current


def test_a_publish_says_the_kpis_after_it_or_none(make_demo: Callable[..., Demo]) -> None:
    demo = make_demo(explain_budget_s=0.5)
    demo.desk.fresh(TENANT)
    quick = demo.publish(TENANT)
    assert quick.after == demo.desk.fresh(TENANT).kpis
    slow_down(demo, 1.0)
    began = monotonic()
    slow = demo.publish(TENANT)
    assert monotonic() - began < 1.0  # it does not wait for the view
    assert slow.after is None
    assert slow.before == quick.after


def test_where_the_views_do_not_answer_nothing_is_said_for_new(
    make_demo: Callable[..., Demo], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gridlens_core.demo.desk.ANSWER_PATIENCE_S", 0.2)
    demo = make_demo()
    demo.desk.fresh(TENANT)
    slow_down(demo, 4.0)
    demo.publish(TENANT)
    with pytest.raises(DatabaseBusyError, match="earlier moment"):
        demo.desk.fresh(TENANT)


def test_what_moved_comes_after_the_kpis_where_measuring_takes_longer(make_demo: Callable[..., Demo]) -> None:
    demo = make_demo()
    demo.trigger(TENANT, event_request(duration_minutes=120))
    demo.publish(TENANT)
    slow_down(demo, 1.0)
    demo.publish(TENANT)
    moment = demo.desk.fresh(TENANT)
    assert moment.measured is None
    card = control_room(moment).cards[0]
    assert card.change == "being measured"
    later = demo.desk.explained(TENANT)
    assert later.grid_now == moment.grid_now
    assert control_room(later).cards[0].cause == "theft"
