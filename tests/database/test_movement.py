"""Natural drift plus effects is the movement, whatever the views say; and a measured cycle is a cycle like others."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from helpers import FROZEN, TENANT, Server, checksums
from hypothesis import given
from hypothesis import strategies as st
from view_sets import FEEDERS, KPI_NAMES, KPIS_OF, VIEW_SETS, demo_on, template_of

from gridlens_core.clock import day_start, local_day
from gridlens_core.demo.demo import Demo
from gridlens_core.explanation.kpis import Kpis
from gridlens_core.explanation.movement import (
    SPLIT_EVENTS_AT_MOST,
    Movement,
    measured_cycle,
    movement_of,
    movement_since,
    value_of,
)
from gridlens_core.explanation.trace import Observation
from gridlens_core.meters.events import EventRequest
from gridlens_core.publishing.publisher import publish_cycle

QUARTER = timedelta(minutes=15)
Make = Callable[..., Demo]


@pytest.fixture
def make_view_demo(server: Server, new_database: Callable[..., str], tmp_path: Path) -> Iterator[Make]:
    """`make_view_demo(name, same_as=None)` -> a Demo upon a set of views, or another one on the same database."""
    demos: list[Demo] = []

    def make(name: str = "linear", same_as: Demo | None = None) -> Demo:
        if same_as is None:
            url = new_database(template_of(server, name))
        else:
            assert same_as.settings.database_url is not None
            url = same_as.settings.database_url.get_secret_value()
        demos.append(demo_on(url, tmp_path / f"of{len(demos)}"))
        return demos[-1]

    yield make
    for demo in demos:
        demo.stop()


def act(demo: Demo, event_type: str = "theft", feeder: str | None = "F1", minutes: float = 600, **more: Any) -> Any:
    chosen = {"severity": 0.7, **more}
    return demo.trigger(TENANT, EventRequest(event_type, feeder_id=feeder, duration_minutes=minutes, **chosen))


def every_kpi(observation: Observation) -> list[tuple[str, str | None]]:
    """(KPI, feeder) of all that the database has."""
    found: list[tuple[str, str | None]] = [
        (name, None) for name in (*KPI_NAMES, "metered_kwh") if value_of(observation.kpis, name) is not None
    ]
    return found + [("feeder_loss_pct", feeder) for feeder in observation.kpis.feeder_loss_pct]


def exact(*values: Decimal) -> Fraction:
    """The sum in whole numbers, which no context rounds."""
    return sum(map(Fraction, values), Fraction(0))


def expect_exact(movement: Movement | None) -> Movement:
    assert movement is not None
    parts = exact(*(part.change for part in movement.parts))
    assert exact(movement.before) + parts == exact(movement.after)
    assert exact(movement.change) == parts
    ids = {part.event_id for part in movement.parts} - {None}
    assert exact(movement.drift, *(movement.effect_of(event_id) for event_id in ids)) == parts
    return movement


def expect_chained(seen: list[Observation], since: datetime) -> None:
    """Every KPI's movement adds up, in each cycle and from `since`."""
    for one in seen:
        for kpi, feeder in every_kpi(one):
            movement = expect_exact(movement_of(one, kpi, feeder))
            assert movement.after == value_of(one.kpis, kpi, feeder)
    for earlier, later in pairwise(seen):
        assert later.before == earlier.kpis
    for kpi, feeder in every_kpi(seen[-1]):
        whole = expect_exact(movement_since(seen, since, kpi, feeder))
        assert whole.before == value_of(seen[0].before, kpi, feeder)
        assert whole.after == value_of(seen[-1].kpis, kpi, feeder)
        singles = [movement_of(one, kpi, feeder) for one in seen]
        for event_id in {step_id for one in seen for step_id, _ in one.steps}:
            assert exact(whole.effect_of(event_id)) == exact(*(one.effect_of(event_id) for one in singles if one))


# --- real views -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", VIEW_SETS)
def test_drift_and_effects_are_the_movement(make_view_demo: Make, name: str) -> None:
    demo = make_view_demo(name)
    demo.publish(TENANT)
    since = demo.pulse(TENANT).grid_now
    theft, of_one = act(demo), act(demo, severity=1.0, meter_id="M105")
    demo.publish(TENANT)
    sag, outage = act(demo, "voltage-sag", "F2"), act(demo, "comms-outage", "F1")
    demo.publish(TENANT)
    demo.end(outage.id)
    demo.end(theft.id)
    ramp = act(demo, feeder=None, minutes=20, pattern="slow-ramp", starts_at=demo.pulse(TENANT).grid_now + QUARTER / 2)
    demo.publish(TENANT, cycles=2)
    demo.publish(TENANT, interval_minutes=5)

    seen = list(demo.trace(TENANT).all())[1:]
    ids = [[step_id for step_id, _ in one.steps] for one in seen]
    first = [str(theft.id), str(of_one.id)]
    assert ids[:2] == [first, [*first, str(sag.id), str(outage.id)]]
    assert ids[2:] == [[str(of_one.id), str(sag.id), str(ramp.id)]] * 2 + [[str(of_one.id), str(sag.id)]]
    assert {kpi for kpi, feeder in every_kpi(seen[-1]) if feeder is None} == KPIS_OF[name]
    assert set(seen[-1].kpis.feeder_loss_pct) == set(FEEDERS)
    expect_chained(seen, since)
    moved = {kpi for kpi in KPIS_OF[name] if any(movement_of(one, kpi).effect_of(str(outage.id)) for one in seen)}
    assert "read_success_pct" in moved


@pytest.mark.parametrize("name", VIEW_SETS)
def test_clean_is_what_a_database_without_the_events_says(make_view_demo: Make, name: str) -> None:
    with_event, without = make_view_demo(name), make_view_demo(name)
    act(with_event)
    act(with_event, "voltage-sag")
    act(without)  # alone
    for demo in (with_event, without):
        demo.publish(TENANT)
    (both,), (alone,) = with_event.trace(TENANT).all(), without.trace(TENANT).all()
    assert both.clean == alone.clean
    assert both.steps[0][1] == alone.kpis
    quiet = make_view_demo(name)
    quiet.publish(TENANT)
    assert both.clean == quiet.trace(TENANT).all()[0].kpis == quiet.trace(TENANT).all()[0].clean


def test_more_events_than_are_split_are_measured_together(make_view_demo: Make) -> None:
    demo = make_view_demo("ranked")
    since = demo.pulse(TENANT).grid_now
    events = [act(demo, severity=0.1 * number) for number in range(1, SPLIT_EVENTS_AT_MOST + 1)]
    demo.publish(TENANT)
    events.append(act(demo, "comms-outage", "F2"))
    demo.publish(TENANT)
    one_by_one, together = demo.trace(TENANT).all()
    assert [step_id for step_id, _ in one_by_one.steps] == [str(event.id) for event in events[:-1]]
    assert [step_id for step_id, _ in together.steps] == ["+".join(str(event.id) for event in events)]
    expect_chained([one_by_one, together], since)


def test_a_day_of_the_views_begins_anew(make_view_demo: Make) -> None:
    demo = make_view_demo("linear")
    theft = act(demo, minutes=24 * 60)
    while demo.pulse(TENANT).grid_now < datetime(2026, 11, 19, 2, tzinfo=FROZEN.tzinfo):
        demo.publish(TENANT, interval_minutes=60)
    seen = demo.trace(TENANT).all()
    days = [one.kpis.day for one in seen]
    first = days.index(date(2026, 11, 19))
    assert 0 < first < len(days) - 1
    assert movement_of(seen[first], "loss_pct") is None
    whole = expect_exact(movement_since(seen, theft.starts_at, "loss_pct"))
    assert (whole.before, whole.after) == (seen[first].kpis.loss_pct, seen[-1].kpis.loss_pct)
    assert movement_since(seen[: first + 1], theft.starts_at, "loss_pct") is None


def test_over_local_midnight_of_the_local_database(make_demo: Callable[..., Demo]) -> None:
    midnight = day_start(date(2026, 11, 19), "America/Chicago")
    demo = make_demo(now=midnight - QUARTER)
    theft = act(demo, feeder="FEEDER_7")
    demo.publish(TENANT, cycles=5)
    seen = demo.trace(TENANT).all()
    assert [local_day(one.grid_now, "America/Chicago") for one in seen] == [one.kpis.day for one in seen]
    yesterday = [one for one in seen if one.kpis.day == date(2026, 11, 18)]
    assert 0 < len(yesterday) < 4
    assert movement_of(seen[len(yesterday)], "loss_pct") is None
    for kpi, feeder in every_kpi(seen[-1]):
        whole = expect_exact(movement_since(seen, theft.starts_at, kpi, feeder))
        assert whole.before == value_of(seen[len(yesterday)].kpis, kpi, feeder)
    expect_chained(yesterday, theft.starts_at)


@pytest.mark.parametrize("name", ["linear", "ranked"])
def test_a_cycle_of_somebody_else_leaves_no_wrong_sum(make_view_demo: Make, name: str) -> None:
    demo = make_view_demo(name)
    other = make_view_demo(same_as=demo)  # with a data directory of its own
    theft = act(demo)
    demo.publish(TENANT)
    other.publish(TENANT)
    demo.publish(TENANT)
    seen = demo.trace(TENANT).all()
    assert len(seen) == 2
    assert movement_since(seen, theft.starts_at, "loss_pct") is None
    assert movement_since(seen, theft.starts_at, "feeder_loss_pct", "F1") is None
    for kpi, feeder in every_kpi(seen[-1]):
        whole = movement_since(seen, theft.starts_at, kpi, feeder)
        if whole is not None:
            expect_exact(whole)
            assert value_of(seen[0].kpis, kpi, feeder) == value_of(seen[1].before, kpi, feeder)
    expect_exact(movement_since(seen, seen[1].began_at, "loss_pct"))


def test_what_began_before_anybody_looked_is_not_told(make_view_demo: Make) -> None:
    demo = make_view_demo()
    late = make_view_demo(same_as=demo)
    theft = act(demo)
    demo.publish(TENANT)
    late.publish(TENANT)
    assert movement_since(demo.trace(TENANT).all(), theft.starts_at, "loss_pct") is not None
    assert movement_since(late.trace(TENANT).all(), theft.starts_at, "loss_pct") is None


def test_a_loss_that_is_a_mean_is_said_to_fall_under_theft(make_view_demo: Make) -> None:
    demo = make_view_demo("mean")
    theft = act(demo)
    demo.publish(TENANT, cycles=2)
    movement = movement_since(demo.trace(TENANT).all(), theft.starts_at, "feeder_loss_pct", "F1")
    assert movement is not None
    assert movement.effect_of(str(theft.id)) < 0
    (running,) = demo.control_room(TENANT).running
    assert "falls" in running.story
    assert "under theft" in running.story


def test_numbers_have_more_digits_than_a_double(make_view_demo: Make) -> None:
    """Otherwise the exactness above would be easily had."""
    wide, small = make_view_demo("ranked"), make_view_demo("mean")
    kpis = wide.kpis(TENANT)[1]
    assert max(len(loss.as_tuple().digits) for loss in kpis.feeder_loss_pct.values()) > 20
    kpis = small.kpis(TENANT)[1]
    assert abs(kpis.loss_kwh) < 1e-4 < 1e9 < kpis.metered_kwh


# --- the cycle itself -----------------------------------------------------------------------------------


def measured(demo: Demo, connection: sa.Connection, read: Any = None, **more: Any) -> tuple[Any, Observation]:
    def look(within: sa.Connection, moment: datetime) -> Kpis:
        return demo._read_kpis(within, TENANT, moment)

    fleet, supply = demo.fleet(TENANT), demo.database.is_local
    options = {"wall": FROZEN, "interval_minutes": 15, "supply": supply, **more}
    before = look(connection, demo.pulse(TENANT).grid_now)
    return measured_cycle(connection, demo.schema, fleet, read or look, before, **options)


@pytest.mark.parametrize("name", ["local", "linear"])
def test_the_committed_reads_are_those_of_a_plain_cycle(
    make_view_demo: Make, make_demo: Callable[..., Demo], name: str
) -> None:
    demos = [make_demo() if name == "local" else make_view_demo(name) for _ in range(2)]
    for demo in demos:
        feeder = demo.fleet(TENANT).feeders[0]
        for event_type in ("theft", "voltage-sag", "comms-outage", "theft"):
            act(demo, event_type, feeder, severity=0.4, meter_id=demo.fleet(TENANT).meter_ids[3])
        act(demo, feeder=feeder)
    by_measuring, plain = demos
    for minutes in (15, 30, 5):
        with plain.transaction() as connection:
            cycle = publish_cycle(
                connection,
                plain.schema,
                plain.fleet(TENANT),
                wall=FROZEN,
                interval_minutes=minutes,
                supply=plain.database.is_local,
            )
        (told,) = by_measuring.publish(TENANT, interval_minutes=minutes).cycles
        assert (told.read_at, told.inserted, told.not_read, len(told.events)) == (
            cycle.read_at,
            cycle.inserted,
            cycle.not_read,
            5,
        )
    sums = [checksums(demo.database.engine) for demo in demos]
    for one in sums:
        one.pop("ami_events")  # whose ids and times of writing differ
    assert sums[0] == sums[1]


def test_an_event_that_another_service_writes_meanwhile_acts_in_the_next_cycle(make_view_demo: Make) -> None:
    demo = make_view_demo()
    statement = sa.text(
        "INSERT INTO ami_events (tenant_id, feeder_id, event_type, severity, starts_at, ends_at) "
        "VALUES (:tenant, 'F1', 'theft', 1, :now, :now + interval '2 hours')"
    )
    looks = []

    def read(within: sa.Connection, moment: datetime) -> Kpis:
        looks.append(moment)
        if len(looks) == 1:
            with demo.database.engine.begin() as elsewhere:
                elsewhere.execute(statement, {"tenant": TENANT, "now": demo.pulse(TENANT).grid_now})
        return demo._read_kpis(within, TENANT, moment)

    with demo.transaction() as connection:
        cycle, seen = measured(demo, connection, read)
    assert (cycle.events, seen.steps) == ((), ())
    assert seen.clean == seen.kpis
    (event,) = demo.publish(TENANT).cycles[0].events
    assert [step_id for step_id, _ in demo.trace(TENANT).all()[-1].steps] == [str(event.id)]


def test_reads_of_somebody_else_in_the_midst_of_a_cycle_leave_it_unmeasured(make_view_demo: Make) -> None:
    demo = make_view_demo()
    act(demo)
    statement = sa.text("INSERT INTO meter_reads_electric VALUES (:tenant, 'M101', 'F1', :at, 1, 120)")
    looks = []

    def read(within: sa.Connection, moment: datetime) -> Kpis:
        looks.append(moment)
        if len(looks) == 1:
            with demo.database.engine.begin() as elsewhere:
                elsewhere.execute(statement, {"tenant": TENANT, "at": moment + QUARTER / 3})
        return demo._read_kpis(within, TENANT, moment)

    with demo.transaction() as connection:
        cycle, seen = measured(demo, connection, read)
    assert cycle.read_at == looks[0] + QUARTER / 3 + QUARTER
    assert (seen.clean, seen.steps) == (None, ())
    assert movement_of(seen, "loss_pct") is None


# --- arithmetic -----------------------------------------------------------------------------------------


def kpis(loss: Decimal | None, day: date = date(2026, 11, 18)) -> Kpis:
    return Kpis(day, loss_pct=loss)


numbers = st.decimals(allow_nan=False, allow_infinity=False, places=40, min_value=-(10**12), max_value=10**12)


@given(st.lists(st.tuples(numbers, st.lists(numbers, max_size=4)), min_size=1, max_size=6), numbers)
def test_any_numbers_add_up(cycles: list[tuple[Decimal, list[Decimal]]], start: Decimal) -> None:
    seen, before = [], start
    for number, (clean, values) in enumerate(cycles, 1):
        after = values[-1] if values else clean
        steps = tuple((f"event {place}", kpis(value)) for place, value in enumerate(values))
        at = FROZEN + number * QUARTER
        seen.append(Observation(at, kpis(after), kpis(before), kpis(clean), steps, at - QUARTER))
        before = after
    expect_chained(seen, FROZEN)


@pytest.mark.parametrize(
    "unknown",
    [
        pytest.param({"clean": None}, id="a cycle that was not measured"),
        pytest.param({"clean": kpis(None)}, id="a KPI that was not there"),
        pytest.param({"steps": (("one", kpis(None)),)}, id="a KPI that an event takes away"),
        pytest.param({"before": kpis(Decimal(7))}, id="a value from elsewhere"),
        pytest.param({"clean": kpis(Decimal(2), date(2026, 11, 17))}, id="a view that is a day behind"),
    ],
)
def test_no_answer_rather_than_a_wrong_one(unknown: dict[str, Any]) -> None:
    def cycle(number: int, **more: Any) -> Observation:
        figures = {"before": kpis(Decimal(number - 1)), "clean": kpis(Decimal(number))} | more
        at = FROZEN + number * QUARTER
        return Observation(at, kpis(Decimal(number)), began_at=at - QUARTER, **figures)

    known = [cycle(number) for number in (1, 2, 3)]
    assert expect_exact(movement_since(known, FROZEN, "loss_pct")).drift == 3
    assert movement_since([known[0], cycle(2, **unknown), known[2]], FROZEN, "loss_pct") is None
    assert movement_since(known[1:], FROZEN, "loss_pct") is None
    assert movement_since([], FROZEN, "loss_pct") is None
    assert movement_of(known[0], "open_tasks") is None
