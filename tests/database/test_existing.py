"""Existing databases: whole demos on seven shapes, and a check that nothing else is touched."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from existing_shapes import SHAPES, Shape, demo_on, engine_of, load, migrate, wall_of
from helpers import catalogue, event_request, room_of

from gridlens_core.api.answers import PublishAnswer, QuickcheckAnswer
from gridlens_core.database.schema import KPI_VIEWS, OVERVIEW
from gridlens_core.demo.desk import rows_of
from gridlens_core.errors import (
    AutoPublishElsewhereError,
    DatabaseBusyError,
    DatabaseNotReadyError,
    DatabaseRefusedError,
)
from gridlens_core.explanation.why import EXACT
from gridlens_core.meters.events import EventRequest
from gridlens_core.preflight import checks as preflight

BY_NAME = {shape.name: shape for shape in SHAPES}
VARIANT_A = BY_NAME["variant_a"]

# What test helpers' catalogue leaves out: who owns what, views and functions to the letter, triggers by definition.
TO_THE_LETTER = """
SELECT 'view' AS kind, c.oid::regclass::text || ' ' || pg_get_viewdef(c.oid) AS what FROM pg_class c
  WHERE c.relkind IN ('v', 'm') AND c.relnamespace = 'public'::regnamespace
UNION ALL SELECT 'owner', c.oid::regclass::text || ' ' || pg_get_userbyid(c.relowner) FROM pg_class c
  WHERE c.relnamespace = 'public'::regnamespace
UNION ALL SELECT 'rule of a table', conrelid::regclass::text || ' ' || conname || ' ' || pg_get_constraintdef(oid)
  FROM pg_constraint WHERE connamespace = 'public'::regnamespace AND contype <> 'n'
UNION ALL SELECT 'function', pg_get_functiondef(oid) FROM pg_proc WHERE pronamespace = 'public'::regnamespace
UNION ALL SELECT 'trigger', pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal
UNION ALL SELECT 'partition', c.oid::regclass::text || ' ' || coalesce(pg_get_expr(c.relpartbound, c.oid), '')
  FROM pg_class c WHERE c.relispartition
UNION ALL SELECT 'database', datname || coalesce(datacl::text, '') FROM pg_database WHERE datname = current_database()
"""


each_shape = pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)


# --- what is discovered --------------------------------------------------------------------------------


@each_shape
def test_what_is_there_is_bound_and_repeats_are_kept_out_the_way_the_table_allows(on: Any, shape: Shape) -> None:
    demo, _ = on(shape)
    reads = demo.session.schema.require_reads()
    assert demo.session.schema.unique_key is shape.unique_key
    assert reads.has("voltage") is shape.voltage
    assert {role for role in ("tenant_id", "meter_id", "feeder_id", "read_at", "kwh") if reads.has(role)} >= {"kwh"}


@pytest.mark.parametrize(
    ("name", "view", "role", "column", "unit", "certainty"),
    [
        ("variant_a", OVERVIEW, "loss_pct", "loss_percent_pct", "percent", "sure"),
        ("variant_a", KPI_VIEWS[1], "loss_pct", "loss_percent", "fraction", "sure"),
        ("mixed_case", OVERVIEW, "loss_pct", "Loss", "fraction", "guess"),
        ("partitioned", KPI_VIEWS[1], "loss_pct", "loss_percent", "percent", "sure"),
        ("registry", KPI_VIEWS[1], "loss_pct", "loss_rate", "fraction", "guess"),
        ("registry", OVERVIEW, "metered_kwh", "consumption_kwh", "kWh", "guess"),
        ("least_grants", KPI_VIEWS[1], "loss_pct", "loss_percent", "fraction", "sure"),
    ],
)
def test_each_kpi_has_its_column_its_unit_and_how_sure_that_is(
    on: Any, name: str, view: str, role: str, column: str, unit: str, certainty: str
) -> None:
    demo, _ = on(BY_NAME[name])
    bound = demo.session.schema.views[view].bindings[role]
    assert (bound.column.name, bound.unit, bound.certainty) == (column, unit, certainty)


# --- a demo on each ------------------------------------------------------------------------------------


@each_shape
def test_a_demo_runs_from_the_first_cycle_to_the_reset(on: Any, shape: Shape) -> None:
    demo, url = on(shape, explain_budget_s=6)  # enough for two cycles on a busy machine
    tenant, minutes = shape.tenant, shape.minutes
    fleet = demo.desk.fleet(tenant)
    assert fleet.habits is not None
    quiet = demo.publish(tenant, interval_minutes=minutes, cycles=3)
    assert [cycle.inserted + cycle.not_read for cycle in quiet.cycles] == [len(fleet)] * 3
    assert PublishAnswer.of(quiet).model_dump_json()

    theft = demo.trigger(tenant, EventRequest("theft", feeder_id=fleet.feeders[0], severity=0.9, duration_minutes=240))
    demo.publish(tenant, interval_minutes=minutes, cycles=2)
    kpi, of = ("feeder_loss_pct", fleet.feeders[0]) if shape.loss is None else ("loss_pct", None)
    why = demo.desk.explained(tenant).why(kpi, of)
    if shape.loss == "down":
        assert why is None, "what falls under a theft is not shown as a loss"
    else:
        assert why is not None
        assert why.exact
        effect = why.effect_of(str(theft.id))
        assert effect > 0
        assert EXACT.add(why.before, EXACT.add(why.drift, effect)) == why.now
        assert why.without is not None
        assert EXACT.add(why.without, effect) == why.now

    outage = demo.trigger(
        tenant, EventRequest("comms-outage", feeder_id=fleet.feeders[1], severity=0.5, duration_minutes=120)
    )
    cycle = demo.publish(tenant, interval_minutes=minutes).cycles[0]
    assert cycle.not_read >= sum(feeder == fleet.feeders[1] for feeder in fleet.feeder_ids)
    assert {event.id for event in cycle.events} == {theft.id, outage.id}
    room = room_of(demo, tenant)
    assert len(room.meters) == len(fleet)
    assert "not a loss" in room.story

    assert demo.end(theft.id).ends_at == demo.desk.pulse(tenant).grid_now
    before = reads_of(url)
    assert demo.reset(tenant) == 1
    assert reads_of(url) == before, "a reset deletes no read of an existing database"
    assert len(demo.events(tenant)) == 2
    assert not demo.events(tenant, active=True)
    assert QuickcheckAnswer.of(demo.desk.fresh(tenant)).model_dump_json()


def test_without_a_voltage_column_a_sag_is_refused_with_the_reason(on: Any) -> None:
    demo, _ = on(BY_NAME["mean_loss"])
    with pytest.raises(DatabaseNotReadyError, match="no voltage column"):
        demo.trigger("DEMO_TENANT", EventRequest("voltage-sag", feeder_id="F1", severity=0.5, duration_minutes=60))
    assert not demo.events("DEMO_TENANT")
    assert demo.why_not("theft") is None


@pytest.mark.parametrize("shape", [shape for shape in SHAPES if shape.voltage], ids=lambda shape: shape.name)
def test_a_sag_puts_the_feeder_under_114_volts(on: Any, shape: Shape) -> None:
    demo, _ = on(shape)
    feeder = demo.desk.fleet(shape.tenant).feeders[0]
    demo.trigger(shape.tenant, EventRequest("voltage-sag", feeder_id=feeder, severity=0.9, duration_minutes=60))
    demo.publish(shape.tenant, interval_minutes=shape.minutes)
    states = {meter.state for meter in room_of(demo, shape.tenant).meters if meter.feeder_id == feeder}
    assert states <= {"low-voltage", "silent"}
    assert "low-voltage" in states


def test_a_day_that_has_no_partition_is_refused_in_plain_words_and_nothing_is_written(on: Any) -> None:
    shape = BY_NAME["partitioned"]
    demo, url = on(shape, now=wall_of("", shape) + timedelta(hours=6))
    before = reads_of(url)
    with pytest.raises(DatabaseRefusedError, match="no partition takes this time"):
        demo.publish(shape.tenant)
    assert reads_of(url) == before


def test_views_that_are_missing_say_so_on_their_own_cards_alone(on: Any) -> None:
    shape = BY_NAME["partitioned"]
    demo, _ = on(shape)
    cards = {card.key: card for card in room_of(demo, shape.tenant).cards}
    assert "v_kpi_suspicious_meters_daily is missing" in cards["suspicious_meters"].note
    assert "no column for read_success_pct" in cards["read_success_pct"].note
    assert (cards["loss_pct"].note, cards["open_tasks"].note) == ("", "")


@pytest.mark.parametrize("view", KPI_VIEWS)
def test_without_any_one_view_the_demo_goes_on(on: Any, view: str) -> None:
    demo, url = on(VARIANT_A, start=False)
    load(url, f"DROP VIEW public.{view} CASCADE")
    demo.session.start()
    demo.publish(VARIANT_A.tenant)
    assert rows_of(demo.desk.fresh(VARIANT_A.tenant), view) == []
    assert len(room_of(demo, VARIANT_A.tenant).cards) == 6


def test_a_view_this_role_may_not_read_is_off_and_the_others_go_on(on: Any) -> None:
    shape = BY_NAME["least_grants"]
    demo, url = on(shape, start=False)
    load(url, f"REVOKE SELECT ON public.{OVERVIEW} FROM gridlens_app")
    demo.session.start()
    demo.publish(shape.tenant)
    cards = {card.key: card for card in room_of(demo, shape.tenant).cards}
    assert "no SELECT" in cards["loss_pct"].note
    assert cards["open_tasks"].value == "3"


def test_a_view_whose_own_query_fails_is_off_and_the_others_go_on(on: Any) -> None:
    demo, url = on(VARIANT_A, start=False)
    load(url, f"DROP VIEW public.{KPI_VIEWS[3]}; CREATE VIEW public.{KPI_VIEWS[3]} AS "
              "SELECT tenant_id, day, 1 / (day - day) AS open_tasks FROM public.v_feeder_day_energy")  # fmt: skip
    demo.session.start()
    assert "its own query fails" in demo.session.schema.why_not(KPI_VIEWS[3])
    demo.publish(VARIANT_A.tenant)


# --- the history goes on -------------------------------------------------------------------------------


@pytest.mark.parametrize("hour", [1, 10, 22], ids=lambda hour: f"{hour}:00 UTC")
def test_ten_quiet_cycles_leave_the_loss_where_the_history_had_it_and_theft_moves_it_within_two(
    on: Any, hour: int
) -> None:
    demo, url = on(VARIANT_A, start=False)
    demo, url = on(VARIANT_A, now=wall_of(url, VARIANT_A).replace(hour=hour))
    history = [row["loss_pct"] for row in rows_of(demo.desk.fresh(VARIANT_A.tenant), OVERVIEW)]
    usual = sum(history) / len(history)
    demo.publish(VARIANT_A.tenant, cycles=10)
    after = demo.desk.fresh(VARIANT_A.tenant).kpis
    assert abs(after["loss_pct"] - usual) <= Decimal("0.5")
    demo.trigger(VARIANT_A.tenant, event_request())
    demo.publish(VARIANT_A.tenant, cycles=2)
    stolen = demo.desk.fresh(VARIANT_A.tenant).kpis
    assert stolen["loss_pct"] > after["loss_pct"] + Decimal("0.2")
    assert stolen.feeder_loss_pct["FEEDER_7"] > after.feeder_loss_pct["FEEDER_7"] + Decimal(2)


def test_where_a_view_counts_a_whole_day_s_supply_the_effect_of_a_theft_is_still_told_from_the_drift(on: Any) -> None:
    shape = BY_NAME["variant_a_static"]
    demo, _ = on(shape)
    demo.publish(shape.tenant)
    theft = demo.trigger(shape.tenant, EventRequest("theft", feeder_id=None, severity=0.9, duration_minutes=60))
    demo.publish(shape.tenant, cycles=2)
    why = demo.desk.explained(shape.tenant).why("loss_pct")
    assert why is not None
    assert why.exact
    assert why.effect_of(str(theft.id)) > 1
    assert why.drift < -1


# --- nothing else is touched ---------------------------------------------------------------------------


def everything(url: str) -> set[tuple[str, str]]:
    with engine_of(url).connect() as connection:
        letters = {(row.kind, row.what) for row in connection.execute(sa.text(TO_THE_LETTER))}
    return {(kind, what) for kind, what in catalogue(engine_of(url)) if kind not in ("role", "constraint")} | letters


def reads_of(url: str, until: str | None = None) -> tuple[int, str]:
    """(rows, digest of every row to the bit and where it lies) of the reads table."""
    with engine_of(url).connect() as connection:
        return tuple(  # type: ignore[return-value]
            connection.exec_driver_sql(
                "SELECT count(*), coalesce(md5(string_agg(t::text || tableoid || ctid || xmin, ' ' "
                "ORDER BY tableoid, ctid)), '') FROM public.meter_reads_electric t"
                + (f" WHERE xmin::text::bigint < {until}" if until else "")
            ).one()
        )


def other_tables(url: str) -> dict[str, tuple[int, str]]:
    """(rows, digest) of every table but the reads and the events."""
    with engine_of(url).connect() as connection:
        names = connection.exec_driver_sql(
            "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' "
            "AND relname NOT IN ('meter_reads_electric', 'ami_events') AND NOT relispartition"
        ).scalars()
        return {
            name: tuple(
                connection.exec_driver_sql(
                    f"SELECT count(*), coalesce(md5(string_agg(t::text || ctid || xmin, ' ' ORDER BY ctid)), '') "
                    f"FROM public.{name} t"
                ).one()
            )
            for name in names.all()
        }


@pytest.mark.parametrize("shape", [one for one in SHAPES if one.name != "variant_a"], ids=lambda one: one.name)
def test_a_whole_demo_leaves_ami_events_and_new_reads_and_nothing_else(on: Any, shape: Shape) -> None:
    demo, url = on(shape, migrated=False)
    tables, everything_before, reads_before = other_tables(url), everything(url), reads_of(url)
    with engine_of(url).connect() as connection:
        now = str(connection.exec_driver_sql("SELECT pg_snapshot_xmax(pg_current_snapshot())").scalar_one())

    migrate(url, shape.role)
    preflight.preflight(demo, shape.tenant)
    feeders = demo.desk.fleet(shape.tenant).feeders
    for number, event_type in enumerate(("theft", "voltage-sag", "comms-outage")):
        demo.publish(shape.tenant, interval_minutes=shape.minutes)
        with suppress(DatabaseNotReadyError):  # a sag without a voltage column
            demo.trigger(
                shape.tenant, EventRequest(event_type, feeder_id=feeders[number], severity=0.8, duration_minutes=90)
            )
    demo.rehearse(
        shape.tenant,
        EventRequest("theft", feeder_id=feeders[0], severity=0.5, duration_minutes=60),
        cycles=2,
        interval_minutes=shape.minutes,
    )
    most = 4 if shape.minutes == 60 else 17  # as many as stay within the day where there are partitions
    demo.publish(shape.tenant, interval_minutes=shape.minutes, cycles=most)
    room_of(demo, shape.tenant)
    demo.desk.fresh(shape.tenant)
    assert demo.reset(shape.tenant) >= 0

    new = everything(url) - everything_before
    assert everything_before <= everything(url)
    assert new, "the migration has made its table"
    assert [what for what in new if "ami_events" not in what[1]] == []
    assert other_tables(url) == tables
    assert reads_of(url, until=now) == reads_before
    assert reads_of(url)[0] > reads_before[0]


# --- slow views ----------------------------------------------------------------------------------------


def test_slow_views_hold_up_neither_publishing_nor_pages(on: Any) -> None:
    demo, url = on(VARIANT_A, explain_budget_s=1.0)
    tenant = VARIANT_A.tenant
    demo.publish(tenant)
    seen = demo.desk.fresh(tenant)
    load(url, f"""ALTER VIEW public.{OVERVIEW} RENAME TO quick;
                  CREATE VIEW public.{OVERVIEW} AS SELECT q.* FROM public.quick q, pg_sleep(2.5)""")  # fmt: skip
    published = demo.publish(tenant)
    assert published.cycles[0].inserted == 200
    assert published.after is None, "the KPIs of before are not given for those after"
    assert demo.desk.pulse(tenant).grid_now > seen.grid_now
    shown = demo.desk.moment(tenant)
    assert not shown.current
    assert shown.value is seen, "the page shows the last moment, whole, while a newer one is under way"
    room = room_of(demo, tenant)
    assert room.grid_now == published.cycles[0].read_at
    assert room.kpis == demo.desk.moment(tenant).value.kpis


def test_an_impatient_reader_is_told_when_nothing_is_known_yet(on: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    demo, url = on(VARIANT_A)
    load(url, f"""ALTER VIEW public.{OVERVIEW} RENAME TO quick;
                  CREATE VIEW public.{OVERVIEW} AS SELECT q.* FROM public.quick q, pg_sleep(2)""")  # fmt: skip
    monkeypatch.setattr("gridlens_core.demo.desk.STATEMENT_TIMEOUT_S", 0.2)
    with pytest.raises(DatabaseBusyError, match="still being read"):
        demo.desk.moment(VARIANT_A.tenant, patience_s=0.2)


# --- a pooler between ----------------------------------------------------------------------------------


@pytest.mark.parametrize("pooled", [False, True], ids=["session", "pooler in transaction mode"])
def test_one_publisher_a_tenant_is_held_by_the_database(
    on: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pooled: bool
) -> None:
    monkeypatch.setattr("gridlens_core.publishing.auto.is_pooled", lambda _: pooled)
    shape = BY_NAME["least_grants"]
    demo, url = on(shape)
    other = demo_on(url, shape, tmp_path / "other")
    other.session.start()
    demo.auto.start(demo.session.database, shape.tenant, 3600, 15)
    with pytest.raises(AutoPublishElsewhereError):
        other.auto.start(other.session.database, shape.tenant, 3600, 15)
    assert other.auto_state(shape.tenant).running
    demo.auto._by_tenant[shape.tenant]._keep_lock()
    demo.auto.stop(shape.tenant)
    assert not other.auto_state(shape.tenant).running
    other.auto.start(other.session.database, shape.tenant, 3600, 15)
    other.stop()
