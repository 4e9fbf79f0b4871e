"""A KPI view that fails costs its own figures and nothing else, and says why by what PostgreSQL says."""

from __future__ import annotations

from typing import Any

import pytest
from existing_shapes import SHAPES, load
from helpers import room_of

from gridlens_core.api.answers import PublishAnswer, QuickcheckAnswer
from gridlens_core.database.schema import FEEDER_LOSS, FIELDOPS, OVERVIEW, SUSPICIOUS
from gridlens_core.display.cards import why_absent
from gridlens_core.meters.events import EventRequest
from gridlens_core.preflight.checks import preflight

VARIANT_A = next(shape for shape in SHAPES if shape.name == "variant_a")
TENANT = VARIANT_A.tenant

TASKS = "SELECT tenant_id, day, 1 AS open_tasks FROM public.v_feeder_day_energy"
FAILURES = {
    "never filled": (
        f"DROP VIEW public.{FIELDOPS}; CREATE MATERIALIZED VIEW public.{FIELDOPS} AS {TASKS} WITH NO DATA",
        "never filled",
    ),
    "function outside the search path": (
        "CREATE SCHEMA elsewhere; CREATE FUNCTION elsewhere.late() RETURNS int LANGUAGE sql AS 'SELECT 1'; "
        "CREATE FUNCTION public.asks() RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN late(); END'; "
        f"DROP VIEW public.{FIELDOPS}; CREATE VIEW public.{FIELDOPS} AS "
        "SELECT tenant_id, day, public.asks() AS open_tasks FROM public.v_feeder_day_energy",
        "a function it calls is not found",
    ),
    "setting that a row policy needs": (
        f"DROP VIEW public.{FIELDOPS}; CREATE VIEW public.{FIELDOPS} AS {TASKS} "
        "WHERE tenant_id = current_setting('app.tenant')",
        "a setting or type it asks for is not there",
    ),
}


@pytest.mark.parametrize(("sql", "reason"), FAILURES.values(), ids=FAILURES)
def test_a_failing_view_is_named_with_its_reason_and_everything_else_goes_on(on: Any, sql: str, reason: str) -> None:
    demo, url = on(VARIANT_A)
    load(url, sql)
    found = {one.what: one for one in preflight(demo, TENANT)}
    assert found["Field operations: query"].state == "degraded"
    assert reason in found["Field operations: query"].found
    published = demo.publish(TENANT, cycles=2)
    assert published.cycles[-1].inserted > 0
    assert published.after is not None
    assert published.after["loss_pct"] is not None
    assert published.after["open_tasks"] is None, "a view that fails does not say that nothing is open"
    cards = {card.key: card for card in room_of(demo, TENANT).cards}
    assert reason in cards["open_tasks"].note
    assert cards["open_tasks"].change == "its view fails"
    assert cards["loss_pct"].note == ""
    assert PublishAnswer.of(published).model_dump_json()
    assert QuickcheckAnswer.of(demo.desk.fresh(TENANT)).fieldops_last10 == []


def test_a_division_by_zero_that_an_outage_provokes_stops_neither_the_publish_nor_the_other_cards(on: Any) -> None:
    """The view counts the last interval's reads, and divides by them."""
    demo, url = on(VARIANT_A, start=False)
    load(url, f"ALTER VIEW public.{FEEDER_LOSS} RENAME TO honest; CREATE VIEW public.{FEEDER_LOSS} AS "
              "SELECT h.tenant_id, h.day, h.feeder_id, h.loss_percent * 1 / (SELECT count(*) FROM "
              "public.meter_reads_electric r WHERE r.feeder_id = h.feeder_id AND r.read_at = "
              "(SELECT max(read_at) FROM public.meter_reads_electric)) AS loss_percent "
              "FROM public.honest h")  # fmt: skip
    demo.session.start()
    demo.publish(TENANT)
    assert demo.desk.fresh(TENANT).kpis.failed == {}
    feeder = demo.desk.fleet(TENANT).feeders[0]
    event = demo.trigger(TENANT, EventRequest("comms-outage", feeder_id=feeder, severity=1, duration_minutes=30))
    for _ in range(2):
        cycle = demo.publish(TENANT).cycles[0]
        assert cycle.inserted > 0
    moment = demo.desk.fresh(TENANT)
    assert moment.kpis.failed == {FEEDER_LOSS: "it divides by zero"}
    assert moment.kpis["loss_pct"] is not None
    assert "divides by zero" in why_absent(moment.schema, "feeder_loss_pct", moment.kpis.failed)
    demo.end(event.id)
    demo.publish(TENANT)
    assert demo.desk.fresh(TENANT).kpis.failed == {}, "it is asked again with every moment"


def test_views_that_all_fail_are_never_called_a_lost_connection(on: Any) -> None:
    demo, url = on(VARIANT_A)
    for view in (OVERVIEW, FEEDER_LOSS, SUSPICIOUS, FIELDOPS):
        load(url, f"DROP VIEW IF EXISTS public.{view} CASCADE; CREATE MATERIALIZED VIEW public.{view} AS SELECT "
                  "'x'::text AS tenant_id, now()::date AS day, 'F'::text AS feeder_id, 'M'::text AS meter_id, "
                  "'I'::text AS issue, 1 AS loss_percent, 1 AS loss_percent_pct, 1 AS open_tasks, 1 AS total_loss_kwh, "
                  "1 AS loss_kwh, 1 AS power_quality_tasks, 1 AS revenue_or_meter_tasks WITH NO DATA")  # fmt: skip
    assert demo.publish(TENANT).cycles[0].inserted > 0
    assert len(demo.desk.fresh(TENANT).kpis.failed) == 4
