"""What the preflight finds binds: nothing is published into a database that changes it, on any way in."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from api_client import PUBLISH, client_of
from existing_shapes import SHAPES, demo_on, engine_of, load
from helpers import TENANT

from gridlens_core.errors import DatabaseNotReadyError, DatabaseRefusedError, GridLensError
from gridlens_core.preflight.checks import preflight
from gridlens_core.preflight.findings import Finding

BY_NAME = {shape.name: shape for shape in SHAPES}
VARIANT_A = BY_NAME["variant_a"]


def trigger(body: str) -> str:
    return (f"CREATE FUNCTION public.acts() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body} END $$; "
            "CREATE TRIGGER acts BEFORE INSERT ON public.meter_reads_electric FOR EACH ROW "
            "EXECUTE FUNCTION public.acts()")  # fmt: skip


HIDDEN = """
DO $$ BEGIN CREATE ROLE gridlens_app LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$;
GRANT SELECT, INSERT ON ALL TABLES IN SCHEMA public TO gridlens_app;
ALTER TABLE public.meter_reads_electric ENABLE ROW LEVEL SECURITY;
CREATE POLICY see ON public.meter_reads_electric FOR SELECT USING (tenant_id = current_setting('app.tenant', true));
CREATE POLICY put ON public.meter_reads_electric FOR INSERT WITH CHECK (true);
"""
OTHER_TENANT = """
ALTER TABLE public.meter_reads_electric DROP CONSTRAINT mre_one_per_interval;
CREATE UNIQUE INDEX ON public.meter_reads_electric (meter_id, read_at);
INSERT INTO public.meter_reads_electric
SELECT 'OTHER', 'MTR-' || lpad(m::text, 5, '0'), 'FEEDER_1', 0.3, 120, t FROM generate_series(1, 90) m,
generate_series((SELECT max(read_at) FROM public.meter_reads_electric) + interval '15 min',
                (SELECT max(read_at) FROM public.meter_reads_electric) + interval '3 days', interval '15 min') t;
"""
DEFERRED = """
CREATE TABLE public.calendar AS SELECT DISTINCT read_at FROM public.meter_reads_electric;
ALTER TABLE public.calendar ADD PRIMARY KEY (read_at);
ALTER TABLE public.meter_reads_electric ADD FOREIGN KEY (read_at) REFERENCES public.calendar
  DEFERRABLE INITIALLY DEFERRED;
"""
CHANGES = {
    "a trigger that rounds to nothing": (trigger("NEW.kwh := round(NEW.kwh::numeric); RETURN NEW;"), "kWh stand"),
    "a trigger that drops half": (
        trigger("IF right(NEW.meter_id, 1) < '5' THEN RETURN NULL; END IF; RETURN NEW;"), "reads stand once",
    ),
    "a trigger that moves them to another time": (
        trigger("NEW.read_at := NEW.read_at + interval '1 minute'; RETURN NEW;"), "reads stand once",
    ),
    "a trigger that removes the voltage": (trigger("NEW.voltage := NULL; RETURN NEW;"), "lost their voltage"),
    "a rule": ("CREATE RULE no AS ON INSERT TO public.meter_reads_electric DO INSTEAD NOTHING", "reads stand once"),
    "a key shared with another tenant": (OTHER_TENANT, "reads stand once"),
    "a rule that is looked at when the transaction ends": (DEFERRED, "constraint"),
}  # fmt: skip


def count(url: str) -> int:
    with engine_of(url).connect() as connection:
        return int(connection.execute(sa.text("SELECT count(*) FROM public.meter_reads_electric")).scalar_one())


@pytest.mark.parametrize(("sql", "says"), CHANGES.values(), ids=CHANGES)
def test_a_database_that_changes_what_is_inserted_gets_nothing(on: Any, sql: str, says: str) -> None:
    demo, url = on(VARIANT_A)
    load(url, sql)
    before = count(url)
    (trial,) = [one for one in preflight(demo, TENANT) if one.what == "Trial publish"]
    assert (trial.state, says in trial.found) == ("blocked", True), trial
    assert trial.remedy
    for _ in range(2):
        with pytest.raises(GridLensError, match=says) as refused:
            demo.publish(TENANT)
        assert refused.value.status == 503
    assert count(url) == before


def test_a_trigger_that_comes_while_the_demo_runs_is_found_by_the_next_process(on: Any) -> None:
    demo, url = on(VARIANT_A)
    demo.publish(TENANT)
    load(url, trigger("NEW.kwh := 0; RETURN NEW;"))
    before = count(url)
    other = type(demo)(demo.settings)
    other.session.start()
    with pytest.raises(DatabaseRefusedError, match="kWh stand"):
        other.publish(TENANT)
    other.stop()
    assert count(url) == before


def test_on_the_api_it_is_503_with_finding_and_remedy(on: Any) -> None:
    demo, url = on(VARIANT_A)
    load(url, trigger("NEW.kwh := 0; RETURN NEW;"))
    answer = client_of(demo, demo.session.api_key).post(PUBLISH, json={"tenantId": TENANT})
    assert answer.status_code == 503
    error = answer.json()["error"]
    assert error["code"] == "database_refused"
    assert "kWh stand" in error["details"]["finding"]
    assert "trigger" in error["details"]["remedy"]


# --- a synthetic fleet is asked for --------------------------------------------------------------------


def fleet_finding(demo: Any, tenant: str) -> Finding:
    return next(one for one in preflight(demo, tenant) if one.what == "History")


@pytest.mark.parametrize("asked_for", [False, True])
def test_a_tenant_without_reads_gets_a_synthetic_fleet_only_where_it_is_asked_for(on: Any, asked_for: bool) -> None:
    demo, url = on(VARIANT_A, tenants=("NEW_TOWN",), may_synthesise=asked_for, feeders=2, meters_per_feeder=3)
    before = count(url)
    if asked_for:
        load(url, "INSERT INTO public.meters (meter_id, tenant_id, feeder_id) SELECT 'MTR-' || lpad(m::text, 5, '0'), "
                  "'NEW_TOWN', 'FEEDER_' || (1 + (m - 1) / 3) FROM generate_series(1, 6) m")  # fmt: skip
        assert demo.publish("NEW_TOWN").cycles[0].meters == 6
        return
    finding = fleet_finding(demo, "NEW_TOWN")
    assert finding.state == "blocked"
    assert "GRIDLENS_SYNTHETIC_FLEET=true" in finding.remedy
    with pytest.raises(DatabaseNotReadyError, match="GRIDLENS_SYNTHETIC_FLEET"):
        demo.publish("NEW_TOWN")
    assert count(url) == before


def test_a_tenant_that_differs_in_case_alone_never_gets_one(on: Any) -> None:
    demo, url = on(VARIANT_A, tenants=("demo_tenant",), may_synthesise=True)
    before = count(url)
    assert fleet_finding(demo, "demo_tenant").remedy == "Write GRIDLENS_TENANTS=DEMO_TENANT."
    with pytest.raises(DatabaseNotReadyError, match="there is a tenant 'DEMO_TENANT'"):
        demo.publish("demo_tenant")
    assert count(url) == before


def test_where_the_tenant_column_is_a_guess_nobody_gets_one(on: Any) -> None:
    demo, url = on(VARIANT_A, start=False, tenants=("NEW_TOWN",), may_synthesise=True)
    load(url, "ALTER TABLE public.meter_reads_electric RENAME tenant_id TO customer_id")
    demo.session.start()
    before = count(url)
    with pytest.raises(DatabaseNotReadyError, match="is a guess"):
        demo.publish("NEW_TOWN")
    assert count(url) == before


def test_reads_that_row_security_hides_are_no_reason_for_a_synthetic_fleet(on: Any, tmp_path: Path) -> None:
    _, url = on(VARIANT_A)
    load(url, HIDDEN)
    demo = demo_on(url, replace(VARIANT_A, role="gridlens_app"), tmp_path / "hidden")
    demo.session.start()
    before = count(url)
    with pytest.raises(DatabaseNotReadyError, match="row security"):
        demo.publish(TENANT)
    demo.stop()
    assert count(url) == before
