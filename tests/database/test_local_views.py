"""docs/contracts.md, "KPIs of the local views": which view moves for which event, and what stays as it is."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
import sqlalchemy as sa
from helpers import FROZEN, FULL_FLEET, READS, SMALL_FLEET, TENANT, lost_wh

from gridlens_core.clock import day_start, local_day
from gridlens_core.database.connection import Database, connect
from gridlens_core.database.discovery import discover
from gridlens_core.database.event_log import end_event, insert_event
from gridlens_core.database.schema import FEEDER_LOSS, FIELDOPS, KPI_VIEWS, OVERVIEW, SUSPICIOUS, Schema
from gridlens_core.explanation.days import day_rows
from gridlens_core.explanation.kpis import Kpis, read_kpis
from gridlens_core.explanation.truth import Truth, read_ledger
from gridlens_core.meters.emulator import Span, emulate
from gridlens_core.meters.events import EventRequest
from gridlens_core.meters.fleet import Fleet
from gridlens_core.publishing.publisher import Plan, publish_cycle
from gridlens_core.publishing.seeding import local_fleet, prepare_local
from gridlens_core.settings import Settings

ZONE = "America/Chicago"
STEPS = ("v_feeder_interval", "v_feeder_latest", "local_thresholds")
QUARTER = timedelta(minutes=15)
MIDNIGHT = day_start(date(2026, 11, 18), ZONE)
# Grid times at which events begin, in the order a history grows: the night and the morning are the next day's.
HOURS = {
    "14:00": MIDNIGHT + timedelta(hours=14),
    "19:00": MIDNIGHT + timedelta(hours=19),
    "03:00": MIDNIGHT + timedelta(hours=27),
    "09:00": MIDNIGHT + timedelta(hours=33),
}


@dataclass
class Stage:
    """A local database at a grid time, inside a transaction that will be rolled back."""

    connection: sa.Connection
    schema: Schema
    fleet: Fleet
    grid_now: datetime

    def publish(self, cycles: int = 1, *, missing_share: float = 0.0) -> Kpis:
        """Publishes, and says what the views say then."""
        for _ in range(cycles):
            fleet = replace(self.fleet, missing_share=missing_share)
            self.grid_now = publish_cycle(self.connection, Plan(self.schema, fleet, self.grid_now, supply=True)).read_at
        return self.kpis()

    def kpis(self) -> Kpis:
        return read_kpis(self.connection, self.schema, TENANT, local_day(self.grid_now, ZONE))

    def rows(self, view: str, first: date | None = None, last: date | None = None) -> list[dict[str, Any]]:
        """A view's rows, of today unless said otherwise."""
        today = local_day(self.grid_now, ZONE)
        return day_rows(self.connection, self.schema, view, TENANT, first or today, last or today)

    def trigger(self, event_type: str, severity: float, feeder: str | None, **more: Any) -> Any:
        asked = EventRequest(event_type, feeder_id=feeder, severity=severity, duration_minutes=300, **more)
        return insert_event(self.connection, asked.checked(TENANT, self.grid_now))

    def truth(self, event: Any) -> Truth:
        """What the only event did so far."""
        return read_ledger(self.connection, self.schema, self.fleet, [event], self.grid_now).truth(event, self.grid_now)

    def end(self, event: Any) -> None:
        end_event(self.connection, event.id, self.grid_now)


def stage_of(database: Database, connection: sa.Connection, settings: Settings, grid_now: datetime) -> Stage:
    return Stage(connection, discover(connection), local_fleet(database, settings, TENANT), grid_now)


@pytest.fixture(scope="module")
def full(server: Any, full_template: str) -> Iterator[Database]:
    """A copy of the full history that this module lets grow."""
    database = connect(server.create("local_views", full_template), is_local=True)
    yield database
    database.engine.dispose()
    server.drop("local_views")


@pytest.fixture(scope="module", params=HOURS.values(), ids=[f"at {hour}" for hour in HOURS])
def hour(request: pytest.FixtureRequest, full: Database) -> datetime:
    """The grid clock, to which the history has been filled."""
    grid_now: datetime = request.param
    prepare_local(full, Settings(now=FROZEN, **FULL_FLEET), grid_now + QUARTER, lambda _: None)
    return grid_now


@pytest.fixture
def stage(full: Database, hour: datetime) -> Iterator[Stage]:
    with full.engine.connect() as connection:
        yield stage_of(full, connection, Settings(**FULL_FLEET), hour)


@pytest.fixture(scope="module")
def clean(full: Database, hour: datetime) -> Kpis:
    """What the views say after two cycles without an event."""
    with full.engine.connect() as connection:
        return stage_of(full, connection, Settings(**FULL_FLEET), hour).publish(2)


ENERGIES = ["loss_pct", "loss_kwh", "supplied_kwh", "metered_kwh", "feeder_loss_pct"]
TASKS = ["suspicious_meters", "open_tasks", "power_quality_tasks", "revenue_or_meter_tasks", "comms_tasks"]


def expect_the_same(kpis: Kpis, clean: Kpis, *names: str) -> None:
    def said(one: Kpis) -> dict[str, Any]:
        return {name: one.feeder_loss_pct if name == "feeder_loss_pct" else one[name] for name in names}

    assert said(kpis) == said(clean)


def expect_all_clear(kpis: Kpis) -> None:
    assert {name: kpis[name] for name in TASKS} == dict.fromkeys(TASKS, 0)


# --- events ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("severity", "feeder"), [(0.7, "FEEDER_7"), (0.3, "FEEDER_2")])
def test_theft_moves_the_losses_and_names_meters_of_its_feeder(
    stage: Stage, clean: Kpis, severity: float, feeder: str
) -> None:
    usual = stage.kpis().feeder_loss_pct[feeder]
    event = stage.trigger("theft", severity, feeder)
    first, kpis = stage.publish(), stage.publish()
    assert first["loss_pct"] > clean["loss_pct"]
    assert kpis["loss_pct"] > first["loss_pct"]
    assert kpis.feeder_loss_pct[feeder] > first.feeder_loss_pct[feeder] > usual + Decimal("0.25")
    others = {name: loss for name, loss in clean.feeder_loss_pct.items() if name != feeder}
    assert {name: loss for name, loss in kpis.feeder_loss_pct.items() if name != feeder} == others
    expect_the_same(kpis, clean, "supplied_kwh", "read_success_pct", "voltage_compliance_pct")
    expect_the_same(kpis, clean, "power_quality_tasks", "comms_tasks")
    assert (kpis["revenue_or_meter_tasks"], kpis["open_tasks"]) == (1, 1)
    named = stage.rows(SUSPICIOUS)
    assert {(row["feeder_id"], row["issue"]) for row in named} == {(feeder, "CONSUMPTION_DROP")}
    assert len({row["meter_id"] for row in named}) == len(named) == kpis["suspicious_meters"] >= 5
    assert stage.rows(OVERVIEW)[0]["top_loss_feeders"]

    stolen = stage.truth(event)
    meters = meters_on(stage, feeder)
    assert (stolen.meters, stolen.reads_altered, stolen.reads_missing) == (meters, 2 * meters, 0)
    explained = Decimal(stolen.kwh_not_recorded)
    assert float(kpis["loss_kwh"] - clean["loss_kwh"]) == pytest.approx(float(explained), rel=1e-6)
    assert kpis["loss_pct"] == round(100 * (clean["loss_kwh"] + explained) / clean["supplied_kwh"], 4)

    stage.end(event)
    after = stage.publish(2)
    expect_all_clear(after)
    assert stage.rows(SUSPICIOUS) == []
    assert latest_loss_pct(stage, feeder) < Decimal("4.5")


@pytest.mark.parametrize(("severity", "feeder"), [(0.7, "FEEDER_7"), (0.1, "FEEDER_3")])
def test_a_sag_moves_voltage_compliance_and_no_energy(stage: Stage, clean: Kpis, severity: float, feeder: str) -> None:
    before = stage.kpis()["voltage_compliance_pct"]
    event = stage.trigger("voltage-sag", severity, feeder)
    first, kpis = stage.publish(), stage.publish()
    assert before > first["voltage_compliance_pct"] > kpis["voltage_compliance_pct"]
    assert clean["voltage_compliance_pct"] > kpis["voltage_compliance_pct"]
    expect_the_same(kpis, clean, *ENERGIES, "read_success_pct")
    for seen in (first, kpis):
        assert (seen["power_quality_tasks"], seen["revenue_or_meter_tasks"], seen["comms_tasks"]) == (1, 0, 0)
        assert seen["suspicious_meters"] == meters_on(stage, feeder)
    assert {(row["feeder_id"], row["issue"]) for row in stage.rows(SUSPICIOUS)} == {(feeder, "VOLTAGE_LOW")}

    stage.end(event)
    after = stage.publish(2)
    expect_all_clear(after)
    assert after["voltage_compliance_pct"] > kpis["voltage_compliance_pct"]


def test_an_outage_moves_read_success_and_is_not_a_loss(stage: Stage, clean: Kpis) -> None:
    before = stage.kpis()["read_success_pct"]
    event = stage.trigger("comms-outage", 0.7, "FEEDER_7")
    first, kpis = stage.publish(), stage.publish()
    assert before > first["read_success_pct"] > kpis["read_success_pct"]
    assert abs(kpis["loss_pct"] - clean["loss_pct"]) < Decimal("0.15")
    expect_the_same(kpis, clean, "voltage_compliance_pct")
    for feeder, loss in clean.feeder_loss_pct.items():
        assert abs(kpis.feeder_loss_pct[feeder] - loss) < Decimal("0.15"), feeder
    for seen in (first, kpis):
        assert (seen["comms_tasks"], seen["open_tasks"], seen["suspicious_meters"]) == (1, 1, 0)
    truth = stage.truth(event)
    assert (truth.reads_missing, truth.kwh_not_recorded) == (80, 0.0)
    assert float(clean["supplied_kwh"] - kpis["supplied_kwh"]) > truth.kwh_unread > 0

    stage.end(event)
    after = stage.publish(2)
    expect_all_clear(after)
    assert after["read_success_pct"] > kpis["read_success_pct"]


def test_ten_cycles_without_an_event_raise_no_alarm(stage: Stage) -> None:
    usual = stage.kpis()
    for _ in range(10):
        kpis = stage.publish(missing_share=0.002)
        expect_all_clear(kpis)
        assert abs(kpis["loss_pct"] - usual["loss_pct"]) < Decimal("0.15")
        for feeder, loss in kpis.feeder_loss_pct.items():
            assert 0.5 < float(loss) / technical_loss_pct(stage, feeder) < 1.8, feeder
        assert kpis["voltage_compliance_pct"] > 99
        assert kpis["read_success_pct"] > 98


def test_one_meter_s_theft_is_told_from_its_forty_neighbours(stage: Stage) -> None:
    on_feeder = [number for number, feeder in enumerate(stage.fleet.feeder_ids) if feeder == "FEEDER_7"]
    largest = max(on_feeder, key=lambda number: stage.fleet.mean_wh_per_slot[number])
    thief = stage.fleet.meter_ids[largest]
    event = stage.trigger("theft", 1.0, "FEEDER_7", meter_id=thief)
    stage.publish(4)
    assert {row["meter_id"] for row in stage.rows(SUSPICIOUS)} == {thief}
    stage.end(event)
    expect_all_clear(stage.publish(2))


def meters_on(stage: Stage, feeder: str) -> int:
    return stage.fleet.feeder_ids.count(feeder)


def technical_loss_pct(stage: Stage, feeder: str) -> float:
    """Of a feeder over a year."""
    return 100 * float(sum(shares[stage.fleet.feeders.index(feeder), 0] for shares in stage.fleet.loss_shares))


def latest_loss_pct(stage: Stage, feeder: str) -> Decimal:
    statement = sa.text(
        "SELECT 100 * (supplied_kwh - recorded_kwh - unread_kwh) / supplied_kwh FROM v_feeder_interval "
        "WHERE tenant_id = :tenant AND feeder_id = :feeder AND read_at = :read_at"
    )
    parameters = {"tenant": TENANT, "feeder": feeder, "read_at": stage.grid_now}
    return Decimal(stage.connection.execute(statement, parameters).scalar_one())


# --- definitions ----------------------------------------------------------------------------------------


@pytest.fixture
def small(local: Database) -> Iterator[Stage]:
    with local.engine.connect() as connection:
        yield stage_of(local, connection, Settings(**SMALL_FLEET), FROZEN - QUARTER)


def test_loss_is_the_technical_loss_where_every_read_is_there_and_honest(small: Stage) -> None:
    day = date(2026, 11, 16)
    reads = emulate(small.fleet, Span(day_start(day, ZONE), 15, 96), [])
    assert reads.sent.all()
    (overview,) = small.rows(OVERVIEW, day, day)
    assert overview["total_loss_kwh"] == Decimal(int(lost_wh(reads).sum())) / 1000
    assert overview["supplied_kwh"] == Decimal(int(reads.supplied_wh.sum())) / 1000
    assert overview["metered_kwh"] == overview["supplied_kwh"] - overview["total_loss_kwh"]
    assert overview["loss_percent_pct"] == round(100 * overview["total_loss_kwh"] / overview["supplied_kwh"], 4)
    assert (overview["read_success_pct"], overview["meters_reporting"]) == (100, 200)
    in_range = ((reads.voltage_dv >= 1140) & (reads.voltage_dv <= 1260)).mean()
    assert float(overview["voltage_compliance_pct"]) == pytest.approx(100 * in_range, abs=5e-4)
    feeders = small.rows(FEEDER_LOSS, day, day)
    for row in feeders:
        number = small.fleet.feeders.index(row["feeder_id"])
        assert row["loss_kwh"] == Decimal(int(lost_wh(reads)[number].sum())) / 1000
        assert row["loss_percent"] == round(row["loss_kwh"] / row["supplied_kwh"], 6)  # a fraction
    assert len(feeders) == 10
    worst = sorted(feeders, key=lambda row: (-row["loss_kwh"], row["feeder_id"]))
    assert overview["top_loss_feeders"] == [row["feeder_id"] for row in worst[:3]]


def test_a_day_has_a_row_for_each_local_day_and_no_other(small: Stage) -> None:
    days = [date(2026, 11, day) for day in (18, 17, 16, 15, 14)]
    assert [row["day"] for row in small.rows(OVERVIEW, days[-1], days[0])] == days
    assert [row["day"] for row in small.rows(FIELDOPS, days[-1], days[0])] == days
    statement = sa.text("SELECT min(day), max(day), count(*) FROM v_kpi_electric_overview_daily")
    assert tuple(small.connection.execute(statement).one()) == (days[-1], days[0], 5)


def test_the_contract_s_columns_are_there_by_name(small: Stage) -> None:
    wanted = {
        OVERVIEW: "tenant_id day total_loss_kwh loss_percent_pct top_loss_feeders last_updated "
        "supplied_kwh metered_kwh read_success_pct voltage_compliance_pct meters_reporting",
        FEEDER_LOSS: "tenant_id day feeder_id feeder loss_kwh loss_percent supplied_kwh metered_kwh read_success_pct",
        SUSPICIOUS: "tenant_id day meter_id issue feeder_id evidence",
        FIELDOPS: "tenant_id day open_tasks power_quality_tasks revenue_or_meter_tasks comms_tasks",
    }
    for view, columns in wanted.items():
        assert set(columns.split()) <= set(small.schema.views[view].columns), view


@pytest.mark.parametrize("view", [*KPI_VIEWS, *STEPS])
def test_a_view_asks_neither_the_clock_nor_the_events(small: Stage, view: str) -> None:
    definition = small.connection.execute(sa.text("SELECT pg_get_viewdef(:view)"), {"view": view}).scalar_one().lower()
    for word in ("now(", "current_", "localtime", "_timestamp(", "timeofday", "ami_events", "random("):
        assert word not in definition, word


def test_no_other_view_stands_between(small: Stage) -> None:
    views = small.connection.execute(sa.text("SELECT viewname FROM pg_views WHERE schemaname = 'public'")).scalars()
    assert set(views) == {*KPI_VIEWS, *STEPS}


@pytest.mark.parametrize("view", KPI_VIEWS)
def test_today_is_asked_for_through_an_index(small: Stage, view: str) -> None:
    explain = sa.text(f"EXPLAIN (FORMAT JSON) SELECT * FROM {view} WHERE tenant_id = :tenant AND day = :day")
    plan = small.connection.execute(explain, {"tenant": TENANT, "day": date(2026, 11, 18)}).scalar_one()
    nodes = list(every_node(plan[0]["Plan"]))
    assert {node.get("Relation Name") for node in nodes} >= {"feeder_supply", "feeder_interval_reads"}
    scanned = {node["Relation Name"] for node in nodes if node["Node Type"] == "Seq Scan"}
    large = {"feeder_supply", "feeder_interval_reads", "meter_expectation", READS}
    assert not scanned & large, json.dumps(plan, indent=1)


def every_node(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for below in plan.get("Plans", []):
        yield from every_node(below)


# --- days that are over ---------------------------------------------------------------------------------


def test_a_closed_day_does_not_change_when_later_days_are_published(local: Database) -> None:
    settings = Settings(now=FROZEN, **SMALL_FLEET)
    evening = day_start(date(2026, 11, 18), ZONE) + timedelta(hours=20)
    with local.transaction() as connection:
        for event_type, feeder in (("theft", "FEEDER_7"), ("voltage-sag", "FEEDER_3"), ("comms-outage", "FEEDER_5")):
            asked = EventRequest(event_type, feeder_id=feeder, severity=0.7, duration_minutes=240)
            insert_event(connection, asked.checked(TENANT, evening))

    def closed(wall: datetime) -> dict[str, list[dict[str, Any]]]:
        prepare_local(local, settings, wall, lambda _: None)
        with local.engine.connect() as connection:
            stage = stage_of(local, connection, settings, wall)
            return {view: stage.rows(view, date(2026, 11, 14), date(2026, 11, 18)) for view in KPI_VIEWS}

    midnight = day_start(date(2026, 11, 19), ZONE)
    at_midnight = closed(midnight + QUARTER)
    assert {row["issue"] for row in at_midnight[SUSPICIOUS]} == {"CONSUMPTION_DROP", "VOLTAGE_LOW"}
    assert at_midnight[FIELDOPS][0]["open_tasks"] == 3
    assert closed(midnight + timedelta(hours=9)) == at_midnight
    assert closed(midnight + timedelta(days=2)) == at_midnight


# --- ordinary life --------------------------------------------------------------------------------------

# In these days of spring up to four meters of four feeders are silent for hours, gaps that are ordinary.
SPRING = day_start(date(2026, 5, 20), ZONE) + timedelta(hours=3)
WITH_GAPS = sa.text("SELECT feeder_id FROM v_feeder_interval WHERE read_at = :read_at AND reads < meters_due")


def test_ordinary_gaps_cost_no_loss_and_hardly_name_a_meter(
    new_database: Callable[..., str], open_database: Callable[..., Database]
) -> None:
    database = open_database(new_database(), is_local=True)
    settings = Settings(now=SPRING, **{**SMALL_FLEET, "history_days": 10})
    prepare_local(database, settings, SPRING, lambda _: None)
    with database.engine.connect() as connection:
        stage = stage_of(database, connection, settings, SPRING - QUARTER)
        days = stage.rows(OVERVIEW, date(2026, 5, 17), date(2026, 5, 19))
        assert min(row["read_success_pct"] for row in days) < Decimal("99")
        assert all(Decimal(2) < row["loss_percent_pct"] < Decimal("3.5") for row in days)
        feeders = stage.rows(FEEDER_LOSS, date(2026, 5, 17), date(2026, 5, 19))
        # A customer may use more or less than usual just while the meter is silent, but seldom much.
        # Of a feeder of six no interval is complete while one meter is silent, and then nothing is said of it.
        known = [row for row in feeders if row["loss_percent"] is not None]
        over_usual = [100 * float(row["loss_percent"]) / technical_loss_pct(stage, row["feeder_id"]) for row in known]
        assert len(known) >= 24
        assert sum(0.6 < times < 1.5 for times in over_usual) >= len(known) - 2
        cycles_with_names = 0
        for _ in range(12):
            kpis = stage.publish(missing_share=0.002)
            gaps = stage.connection.execute(WITH_GAPS, {"read_at": stage.grid_now}).scalars().all()
            assert gaps
            assert kpis["power_quality_tasks"] == kpis["comms_tasks"] == 0
            named = stage.rows(SUSPICIOUS)
            assert {row["feeder_id"] for row in named} <= set(gaps)
            cycles_with_names += bool(named)
        assert cycles_with_names <= 3
