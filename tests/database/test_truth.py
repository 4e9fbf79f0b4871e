"""Ground truth reconciles with what was published, from the database and the pure emulator alone."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pytest
import sqlalchemy as sa
from existing_shapes import SHAPES, demo_on, migrate, template_of
from helpers import FROZEN, SMALL_FLEET, TENANT, Server, run_python, url_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gridlens_core.clock import INTERVAL_MINUTES
from gridlens_core.database.connection import Database, connect
from gridlens_core.database.discovery import discover
from gridlens_core.database.event_log import end_event, events_in_window, insert_event
from gridlens_core.database.schema import Schema
from gridlens_core.demo.demo import Demo
from gridlens_core.explanation.truth import Ledger, Truth, read_ledger
from gridlens_core.meters.emulator import Span, emulate, event_meters, theft_share, yearly_share
from gridlens_core.meters.events import Event, EventRequest
from gridlens_core.meters.fleet import Fleet
from gridlens_core.meters.patterns import PATTERNS
from gridlens_core.publishing.publisher import Plan, publish_cycle, read_grid_now
from gridlens_core.publishing.seeding import local_fleet
from gridlens_core.settings import Settings

NOW = FROZEN - timedelta(minutes=15)  # of the grid, in the seeded database
FEEDER, OTHER = "FEEDER_7", "FEEDER_2"
ONE_METER = "MTR-00121"  # of FEEDER_7


@dataclass
class Stage:
    """The seeded local database, inside a transaction that is rolled back."""

    connection: sa.Connection
    schema: Schema
    fleet: Fleet
    wall: datetime = NOW  # so that the clock on the wall moves nothing

    @property
    def now(self) -> datetime:
        return read_grid_now(self.connection, self.schema, TENANT, self.wall, 15)

    def act(self, event_type: str = "theft", severity: float = 0.7, feeder: str | None = FEEDER, **more: Any) -> Event:
        chosen = {"duration_minutes": 600, **more}
        asked = EventRequest(event_type, feeder_id=feeder, severity=severity, **chosen)
        return self.in_order(insert_event(self.connection, asked.checked(TENANT, self.now)))

    def in_order(self, event: Event) -> Event:
        """Within one transaction all rows are written at one time; a second apart they keep their order."""
        number = self.connection.execute(sa.text("SELECT count(*) FROM ami_events")).scalar_one()
        statement = sa.text("UPDATE ami_events SET created_at = created_at + :n * interval '1 second' WHERE id = :id")
        self.connection.execute(statement, {"n": number, "id": str(event.id)})
        return event

    def publish(self, *minutes: int) -> None:
        for length in minutes or (15,):
            publish_cycle(self.connection, Plan(self.schema, self.fleet, self.wall, length, supply=True))

    def ledger(self, events: Sequence[Event]) -> Ledger:
        return read_ledger(self.connection, self.schema, self.fleet, events, self.now)

    def truth(self, event: Event) -> Truth:
        """What an event did; it may have been ended since it was logged."""
        return self.ledger([event if one.id == event.id else one for one in self.log()]).truth(event, self.now)

    def log(self) -> list[Event]:
        return events_in_window(self.connection, TENANT, NOW - timedelta(days=30), NOW + timedelta(days=30))

    def recorded(self, after: datetime = NOW) -> dict[tuple[str, datetime], tuple[Decimal, Decimal]]:
        """(kWh, V) by meter and time."""
        rows = self.connection.execute(
            sa.text("SELECT meter_id, read_at, kwh, voltage FROM meter_reads_electric WHERE read_at > :after"),
            {"after": after},
        )
        return {(row.meter_id, row.read_at): (row.kwh, row.voltage) for row in rows}


@pytest.fixture(scope="module")
def database(server: Any, seeded_template: str) -> Iterator[Database]:
    database = connect(server.create("truth", seeded_template), is_local=True)
    yield database
    database.engine.dispose()
    server.drop("truth")


@pytest.fixture
def stage(database: Database) -> Iterator[Stage]:
    with database.engine.connect() as connection:
        yield Stage(connection, discover(connection), local_fleet(database, Settings(**SMALL_FLEET), TENANT))


def mwh(kwh: float) -> int:
    """kWh in whole millionths."""
    assert abs(kwh * 1_000_000 - round(kwh * 1_000_000)) < 1e-3
    return round(kwh * 1_000_000)


def unrecorded_mwh(stage: Stage, lengths: Sequence[int]) -> int:
    """Honest minus recorded over every read that arrived: the plain sum, without any event."""
    recorded, moment, lacking = stage.recorded(), NOW, 0
    for minutes in lengths:
        moment += timedelta(minutes=minutes)
        honest = emulate(stage.fleet, Span.ending(moment, minutes), []).honest_wh[:, 0] * 1000
        for meter, energy in zip(stage.fleet.meter_ids, honest.tolist(), strict=True):
            if (meter, moment) in recorded:
                lacking += energy - int(recorded[meter, moment][0] * 1_000_000)
    return lacking


# --- the property ---------------------------------------------------------------------------------------

thefts = st.fixed_dictionaries(
    {
        "severity": st.sampled_from([0.001, 0.2, 0.333, 0.7, 1.0]),
        "feeder": st.sampled_from([None, FEEDER, FEEDER, OTHER]),
        "meter_id": st.sampled_from([None, None, ONE_METER]),
        "pattern": st.sampled_from(PATTERNS),
        "back_minutes": st.sampled_from([-22, -15, 0, 7, 45, 60 * 30]),
        "duration_minutes": st.sampled_from([1, 20, 60, 2000]),
    }
)
others = st.tuples(st.sampled_from(["voltage-sag", "comms-outage"]), st.sampled_from([None, FEEDER, OTHER]))
cycles = st.lists(st.sampled_from([5, 15, 15, 30, 60]), min_size=1, max_size=2)
steps = st.lists(st.tuples(st.lists(thefts, max_size=2), st.lists(others, max_size=1), cycles), min_size=1, max_size=3)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(steps)
def test_what_the_events_kept_is_what_was_not_recorded(stage: Stage, steps: Any) -> None:
    savepoint = stage.connection.begin_nested()
    lengths: list[int] = []
    for new_thefts, new_others, published in steps:
        for asked in new_thefts:
            back = timedelta(minutes=asked["back_minutes"])
            chosen = {key: value for key, value in asked.items() if key != "back_minutes"}
            if chosen["meter_id"] and chosen["feeder"] == OTHER:
                chosen["meter_id"] = None
            stage.act(**chosen, starts_at=stage.now - back)
        for event_type, feeder in new_others:
            if (event_type, feeder) != ("comms-outage", None):  # which would stop the grid's clock
                stage.act(event_type, feeder=feeder, duration_minutes=40)
        stage.publish(*published)
        lengths += published
    log = stage.log()
    truths = [stage.truth(event) for event in log]
    total = sum(mwh(truth.kwh_not_recorded) for truth in truths)
    assert total == unrecorded_mwh(stage, lengths)
    start = NOW - timedelta(days=3)
    assert mwh(stage.ledger(log).kwh_not_recorded(start)) == total
    for event, truth in zip(log, truths, strict=True):
        assert 0 <= truth.reads_altered + truth.reads_missing <= truth.reads_due
        assert truth.kwh_not_recorded >= 0
        if event.event_type != "theft":
            assert truth.kwh_not_recorded == truth.kwh_a_year == 0
    savepoint.rollback()


# --- stacking, intervals, the past ----------------------------------------------------------------------


def test_thefts_share_what_they_take_in_the_order_they_were_written(stage: Stage) -> None:
    events = [stage.act(severity=0.5) for _ in range(3)]
    stage.publish(15, 15)
    truths = [stage.truth(event) for event in events]
    taken = [mwh(truth.kwh_not_recorded) for truth in truths]
    assert taken == pytest.approx([taken[0], taken[0] / 2, taken[0] / 4], rel=1e-4)
    assert sum(taken) == unrecorded_mwh(stage, [15, 15])
    assert truths[0].reads_altered == truths[1].reads_altered == truths[2].reads_altered > 30
    a_year = [truth.kwh_a_year for truth in truths]
    assert a_year == pytest.approx([a_year[0], a_year[0] / 2, a_year[0] / 4])


@pytest.mark.parametrize("minutes", INTERVAL_MINUTES)
def test_intervals_may_be_of_any_length(stage: Stage, minutes: int) -> None:
    event = stage.act(duration_minutes=2 * minutes)
    stage.publish(*[minutes] * 3)
    truth = stage.truth(event)
    assert truth.reads_due == 2 * truth.meters == 40
    assert mwh(truth.kwh_not_recorded) == unrecorded_mwh(stage, [minutes] * 3)
    assert truth.reads_altered == sum(
        meter in fleet_of(stage, event) and read_at <= NOW + timedelta(minutes=2 * minutes)
        for meter, read_at in stage.recorded()
    )


def fleet_of(stage: Stage, event: Event) -> set[str]:
    return {stage.fleet.meter_ids[number] for number in np.flatnonzero(event_meters(event, stage.fleet))}


def test_intervals_may_be_mixed(stage: Stage) -> None:
    event = stage.act(severity=0.3, pattern="intermittent")
    lengths = [15, 5, 5, 5, 60, 30, 15, 20, 10]
    stage.publish(*lengths)
    truth = stage.truth(event)
    assert truth.reads_due == 20 * len(lengths)
    assert mwh(truth.kwh_not_recorded) == unrecorded_mwh(stage, lengths)


def test_a_gap_that_the_clock_leapt_over_is_no_interval(stage: Stage) -> None:
    event = stage.act(severity=1.0)
    stage.publish(15)
    for minutes in (15, 45, 300):  # two of which look like longer intervals
        stage.wall = stage.now + timedelta(minutes=15 + minutes)  # left alone for a while
        stage.publish(15)
    truth = stage.truth(event)
    assert truth.reads_due == 80
    honest = 0
    for read_at in {read_at for _, read_at in stage.recorded()}:
        reads = emulate(stage.fleet, Span.ending(read_at, 15), [])
        honest += int(reads.honest_wh[event_meters(event, stage.fleet)[:, None] & reads.sent].sum()) * 1000
    assert mwh(truth.kwh_not_recorded) == honest


def test_an_event_written_afterwards_has_altered_nothing_that_was_published_before(stage: Stage) -> None:
    stage.publish(15, 15)
    event = stage.act(starts_at=NOW)
    sag = stage.act("voltage-sag", starts_at=NOW)
    outage = stage.act("comms-outage", feeder=OTHER, starts_at=NOW)
    for one in (event, sag, outage):
        truth = stage.truth(one)
        assert truth.reads_due == 2 * len(fleet_of(stage, one))
        assert (truth.reads_altered, truth.reads_missing, truth.reads_low_voltage, truth.kwh_not_recorded) == (0,) * 4
    stage.publish(15)
    assert stage.truth(event).reads_altered == stage.truth(sag).reads_altered > 0
    assert mwh(stage.truth(event).kwh_not_recorded) == unrecorded_mwh(stage, [15] * 3)
    assert stage.truth(outage).reads_missing > 0


def test_what_was_published_while_an_earlier_theft_ran_alone_is_that_one_s(stage: Stage) -> None:
    first = stage.act(severity=0.5)
    stage.publish(15)
    alone = stage.truth(first).kwh_not_recorded
    late = [stage.act(severity=0.5, starts_at=NOW) for _ in range(2)]
    assert [stage.truth(one).kwh_not_recorded for one in late] == [0, 0]
    assert [stage.truth(one).reads_altered for one in late] == [0, 0]
    assert stage.truth(first).kwh_not_recorded == alone > 0


def test_an_event_that_was_ended_has_done_what_it_did(stage: Stage) -> None:
    event = stage.act()
    stage.publish(15, 15)
    before = stage.truth(event)
    ended = end_event(stage.connection, event.id, stage.now)
    stage.publish(15, 15)
    assert stage.truth(ended) == before


# --- what is counted ------------------------------------------------------------------------------------


def test_an_outage_counts_the_reads_it_kept_and_no_ordinary_gaps(stage: Stage) -> None:
    stage.publish(*[60] * 6)
    event, again = (stage.act("comms-outage", feeder="FEEDER_5") for _ in range(2))
    span = Span(stage.now, 15, 8)
    ordinary = emulate(stage.fleet.take(event_meters(event, stage.fleet)), span, [])
    assert not ordinary.sent.all()  # a meter of FEEDER_5 is silent for a while that evening
    stage.publish(*[15] * 8)
    truth = stage.truth(event)
    assert truth.reads_due == 8 * len(fleet_of(stage, event))
    assert truth.reads_missing == int(ordinary.sent.sum())
    assert mwh(truth.kwh_unread) == int(ordinary.honest_wh[ordinary.sent].sum()) * 1000
    assert (truth.reads_altered, truth.kwh_not_recorded) == (0, 0)
    assert stage.truth(again) == truth  # either of them explains the silence


def test_a_silent_theft_is_not_counted_as_unrecorded(stage: Stage) -> None:
    theft, outage = stage.act(), stage.act("comms-outage")
    stage.publish(15, 15)
    assert (stage.truth(theft).reads_altered, stage.truth(theft).kwh_not_recorded) == (0, 0)
    assert stage.truth(outage).reads_missing > 30


def test_a_sag_counts_low_reads_and_the_deeper_of_two_alters_them(stage: Stage) -> None:
    shallow, deep = stage.act("voltage-sag", 0.2), stage.act("voltage-sag", 1.0)
    weaker = stage.act("voltage-sag", 0.1)
    stage.publish(15, 15)
    volts = [volt for (meter, _), (_, volt) in stage.recorded().items() if meter in fleet_of(stage, deep)]
    low = sum(volt < 114 for volt in volts)
    for one in (shallow, deep, weaker):
        assert stage.truth(one).reads_low_voltage == low == len(volts)
    assert [stage.truth(one).reads_altered for one in (shallow, deep, weaker)] == [low, low, 0]
    assert stage.truth(deep).kwh_not_recorded == 0


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_year_at_this_rate(stage: Stage, pattern: str) -> None:
    event = stage.act(severity=0.4, pattern=pattern)
    chosen = stage.fleet.take(event_meters(event, stage.fleet))
    share = yearly_share(chosen, np.ones(len(chosen), dtype=bool), event.pattern)
    kwh_a_year = chosen.mean_wh_per_slot / 1000 * 4 * 24 * 365.25
    assert stage.truth(event).kwh_a_year == pytest.approx(0.4 * float((share * kwh_a_year).sum()))
    assert stage.truth(event).reads_due == 0


def test_a_pattern_takes_what_it_says(stage: Stage) -> None:
    event = stage.act(severity=1.0, pattern="slow-ramp")
    stage.publish(*[60] * 4)
    span = Span(NOW, 60, 4)
    reads = emulate(stage.fleet.take(event_meters(event, stage.fleet)), span, [])
    share = theft_share(event, span, stage.fleet.timezone)
    expected = float((np.where(reads.sent, reads.honest_wh, 0) * share).sum()) / 1000
    assert stage.truth(event).kwh_not_recorded == pytest.approx(expected, abs=1e-4)


def test_other_thefts_than_those_asked_for_do_not_count(stage: Stage) -> None:
    one, other = stage.act(), stage.act(feeder=OTHER)
    stage.publish(15)
    assert stage.ledger([one]).kwh_not_recorded(NOW) == stage.truth(one).kwh_not_recorded > 0
    assert stage.ledger([other]).kwh_not_recorded(NOW) == stage.truth(other).kwh_not_recorded > 0
    assert stage.ledger([one, other]).kwh_not_recorded(stage.now) == 0
    assert stage.ledger([]).kwh_not_recorded(NOW) == 0


def test_a_ledger_knows_what_was_done_up_to_any_time(stage: Stage) -> None:
    events = [stage.act(), stage.act("voltage-sag", feeder=OTHER), stage.act("comms-outage", feeder="FEEDER_5")]
    known = []
    for _ in range(3):
        stage.publish(15)
        known.append((stage.now, [stage.truth(event) for event in events]))
    ledger = stage.ledger(stage.log())
    for moment, truths in known:
        assert [ledger.truth(event, moment) for event in events] == truths, moment


# --- restarts and other databases -----------------------------------------------------------------------

ELSEWHERE = """
import json, sys
from dataclasses import asdict
from datetime import datetime
from helpers import SMALL_FLEET, TENANT
from gridlens_core.database.connection import connect
from gridlens_core.database.event_log import latest_events
from gridlens_core.database.discovery import discover
from gridlens_core.settings import Settings
from gridlens_core.publishing.seeding import local_fleet
from gridlens_core.explanation.truth import read_ledger
database = connect(sys.argv[1], is_local=True)
fleet = local_fleet(database, Settings(**SMALL_FLEET), TENANT)
with database.transaction(read_only=True) as connection:
    schema, now = discover(connection), datetime.fromisoformat(sys.argv[2])
    events = latest_events(connection, TENANT)[::-1]
    ledger = read_ledger(connection, schema, fleet, events, now)
    truths = [ledger.truth(one, now) for one in events]
print(json.dumps({str(one.id): asdict(truth) for one, truth in zip(events, truths, strict=True)}))
"""


def test_another_process_and_a_restart_say_the_same(make_demo: Callable[..., Demo]) -> None:
    demo = make_demo()
    for event_type, severity in (("theft", 0.6), ("theft", 0.3), ("voltage-sag", 0.5), ("comms-outage", 1.0)):
        feeder = OTHER if event_type == "comms-outage" else FEEDER
        demo.trigger(TENANT, EventRequest(event_type, feeder_id=feeder, severity=severity, duration_minutes=40))
    demo.publish(TENANT, cycles=4)
    here = {str(one.event.id): one.truth for one in demo.desk.explained(TENANT).receipts}
    assert len(here) == 4
    again = make_demo(data_dir=demo.settings.data_dir)
    assert {str(one.event.id): one.truth for one in again.desk.explained(TENANT).receipts} == here
    now = demo.desk.pulse(TENANT).grid_now.isoformat()
    told = json.loads(run_python(ELSEWHERE, url_of(demo.session.database), now).stdout)
    assert told == {event_id: asdict(truth) for event_id, truth in here.items()}
    assert all(UUID(event_id) for event_id in told)


@pytest.mark.parametrize("name", ["registry", "mean_loss", "partitioned"])
def test_what_a_column_rounds_away_is_not_lost(
    server: Server, new_database: Callable[..., str], tmp_path: Path, name: str
) -> None:
    """Whole milli-kWh by a trigger, single precision, four decimals: the parts still add up to what is recorded."""
    (shape,) = [one for one in SHAPES if one.name == name]
    url = new_database(template_of(server, shape))
    migrate(url, shape.role)
    demo = demo_on(url, shape, tmp_path / "data")
    demo.session.start()
    feeder = demo.desk.fleet(shape.tenant).feeders[0]
    for severity in (0.5, 0.3):
        demo.trigger(shape.tenant, EventRequest("theft", feeder_id=feeder, severity=severity, duration_minutes=240))
    cycles = demo.publish(shape.tenant, cycles=3, interval_minutes=shape.minutes).cycles
    span = Span.ending(cycles[0].read_at, shape.minutes)
    receipts = demo.desk.explained(shape.tenant).receipts
    chosen = demo.desk.fleet(shape.tenant)
    chosen = chosen.take(np.array(chosen.feeder_ids) == feeder)
    reads = emulate(chosen, Span(span.start, span.minutes, 3), [], chosen.missing_share)
    honest_kwh = float(reads.honest_wh[reads.sent].sum()) / 1000
    kept = [receipt.truth.kwh_not_recorded for receipt in receipts][::-1]
    assert sum(kept) == pytest.approx(honest_kwh * 0.65, rel=1e-3)
    assert kept[1] == pytest.approx(kept[0] * 0.3, rel=1e-2)
    assert [receipt.truth.reads_altered for receipt in receipts] == [int(reads.sent.sum())] * 2
    demo.stop()
