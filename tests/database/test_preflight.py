"""The preflight: each thing the demo needs is passed, degraded or blocked, with the remedy, and nothing is changed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from existing_shapes import SHAPES, Shape, demo_on, engine_of, load
from helpers import TENANT, catalogue, checksums

from gridlens_core.__main__ import main
from gridlens_core.database.schema import KPI_VIEWS, OVERVIEW
from gridlens_core.demo.demo import Demo
from gridlens_core.preflight.checks import preflight, summary
from gridlens_core.preflight.findings import Finding
from gridlens_core.show import make_show

BY_NAME = {shape.name: shape for shape in SHAPES}
VARIANT_A, MEAN, GRANTS = BY_NAME["variant_a"], BY_NAME["mean_loss"], BY_NAME["least_grants"]


def found(demo: Demo, tenant: str = TENANT, **options: Any) -> dict[str, Finding]:
    findings = preflight(demo, tenant, **options)
    by_what = {one.what: one for one in findings}
    assert len(by_what) == len(findings), "each thing has one line"
    assert all(one.remedy for one in findings if one.state == "degraded" and one.what != "KPI views"), findings
    return by_what


def states(findings: dict[str, Finding], state: str) -> set[str]:
    return {what for what, one in findings.items() if one.state == state}


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)
def test_every_shape_can_carry_the_demo_and_the_preflight_leaves_nothing_behind(on: Any, shape: Shape) -> None:
    demo, url = on(shape, start=False)
    before = catalogue(engine_of(url)), checksums(engine_of(url)) if shape.name != "partitioned" else None
    findings = found(demo, shape.tenant)
    after = catalogue(engine_of(url)), checksums(engine_of(url)) if shape.name != "partitioned" else None
    assert after == before
    assert states(findings, "blocked") == set()
    assert findings["Trial publish"].state == "passed"
    assert summary(list(findings.values()))["ok"]
    assert not demo.session.ready, "it needs no demo that has started, and starts none"


def test_the_local_database_passes_whole(make_demo: Any) -> None:
    findings = found(make_demo())
    assert states(findings, "blocked") == states(findings, "degraded") == set()


# --- what cannot be reached ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "says", "remedy"),
    [
        ("postgresql://u:p@no-such-host.invalid/x", "host name is not known", "host"),
        ("postgresql://u:p@127.0.0.1:1/x", "nothing listens", "port"),
        ("postgresql://u:p@127.0.0.1:1/x?sslmode=nonsense", "sslmode", "verify-full"),
    ],
)
def test_a_wrong_address_is_one_blocked_line_with_the_reason(
    tmp_path: Path, address: str, says: str, remedy: str
) -> None:
    demo = demo_on(address, Shape("none", "", False), tmp_path)
    (finding,) = preflight(demo, TENANT)
    assert (finding.what, finding.state) == ("Connection", "blocked")
    assert says in finding.found
    assert remedy in finding.remedy
    assert "u:p" not in finding.found


def test_a_missing_database_is_one_blocked_line(on: Any, tmp_path: Path) -> None:
    _, url = on(MEAN, start=False)
    wrong = demo_on(url.replace("/test_", "/nowhere_", 1), MEAN, tmp_path / "wrong")
    (finding,) = preflight(wrong, TENANT)
    assert "does not exist" in finding.found


def test_a_wrong_corrections_file_is_one_blocked_line(on: Any) -> None:
    demo, _ = on(VARIANT_A, start=False)
    (demo.settings.data_dir / "bindings.toml").write_text("[nowhere]\n")
    (finding,) = preflight(demo, TENANT)
    assert (finding.what, finding.state) == ("Settings", "blocked")


def test_a_tenant_that_is_not_named_is_blocked(on: Any) -> None:
    demo, _ = on(VARIANT_A, start=False)
    (finding,) = preflight(demo, "REAL_UTILITY")
    assert (finding.what, finding.state) == ("Tenant", "blocked")


def test_a_tenant_that_does_not_fit_the_column_s_type_is_blocked(on: Any) -> None:
    demo, _ = on(BY_NAME["registry"], start=False, tenants=("forty-two",))
    assert "no integer" in found(demo, "forty-two")["Tenant"].found


# --- what is missing -----------------------------------------------------------------------------------


def test_an_empty_database_says_what_is_missing_and_goes_on_looking(existing_url: Any, tmp_path: Path) -> None:
    demo = demo_on(existing_url(), MEAN, tmp_path)
    findings = found(demo)
    assert states(findings, "blocked") == {"Reads table", "ami_events", "Tenant"}
    assert "is missing" in findings["Reads table"].found
    assert {"Overview", "Feeder loss", "Suspicious meters", "Field operations"} <= states(findings, "degraded")


def test_without_ami_events_the_remedy_is_the_command_or_the_file_for_the_dba(on: Any) -> None:
    owner, _ = on(VARIANT_A, migrated=False, start=False)
    assert "gridlens_core migrate" in found(owner)["ami_events"].remedy
    limited, _ = on(GRANTS, migrated=False, start=False)
    remedy = found(limited)["ami_events"].remedy
    assert remedy.startswith("Ask a DBA")
    assert "sql/phase3_ami_events.sql" in remedy


def test_another_table_by_the_name_of_ami_events_is_blocked(on: Any) -> None:
    demo, url = on(VARIANT_A, migrated=False, start=False)
    load(url, "CREATE TABLE public.ami_events (id serial, tenant_id text)")
    assert "no column feeder_id" in found(demo)["ami_events"].found


def test_missing_grants_are_named(on: Any) -> None:
    demo, url = on(GRANTS, start=False)
    load(url, "REVOKE INSERT ON public.meter_reads_electric FROM gridlens_app; "
              "REVOKE UPDATE ON public.ami_events FROM gridlens_app")  # fmt: skip
    findings = found(demo)
    assert findings["Grants: reads"].found.startswith("no INSERT")
    assert findings["Grants: events"].found.startswith("no UPDATE")
    assert findings["Trial publish"].found == "not tried"


def test_each_absent_view_and_column_names_what_is_off(on: Any) -> None:
    demo, url = on(VARIANT_A, start=False)
    load(url, f"DROP VIEW public.{KPI_VIEWS[3]}")
    findings = found(demo)
    assert "page Field operations" in findings["Field operations"].remedy
    assert "card Read success" in findings["Overview: without"].found


# --- what would not go in ------------------------------------------------------------------------------


def before_insert(body: str) -> str:
    """A trigger on the reads table that does this to each row."""
    return (
        f"CREATE FUNCTION act() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body}; END $$; "
        "CREATE TRIGGER act BEFORE INSERT ON {} FOR EACH ROW EXECUTE FUNCTION act()"
    )


NOBODY_FILLS = "ALTER TABLE {} ADD source text NOT NULL DEFAULT 'x'; ALTER TABLE {} ALTER source DROP DEFAULT"
A_RULE = "ALTER TABLE {} ADD CONSTRAINT low CHECK (kwh < 0.001) NOT VALID"


@pytest.mark.parametrize(
    ("name", "sql", "says"),
    [
        pytest.param("variant_a", NOBODY_FILLS, "column 'source' needs a value", id="a column that nobody fills"),
        pytest.param("variant_a", A_RULE, "constraint 'low'", id="a rule of the table"),
        pytest.param("variant_a", before_insert("RAISE 'closed'"), "trigger", id="a trigger that refuses"),
        pytest.param("variant_a", before_insert("RETURN NULL"), "0 of 200 reads", id="a trigger that drops"),
        pytest.param("variant_a", "CREATE RULE no AS ON INSERT TO {} DO INSTEAD NOTHING", "", id="a rule that drops"),
        pytest.param("partitioned", "DROP TABLE public.reads_18 CASCADE", "no partition", id="no partition"),
    ],
)
def test_what_the_database_would_refuse_is_said_in_plain_words(on: Any, name: str, sql: str, says: str) -> None:
    demo, url = on(BY_NAME[name], start=False)
    load(url, sql.replace("{}", "public.meter_reads_electric"))
    finding = found(demo)["Trial publish"]
    assert finding.state == "blocked"
    assert says in finding.found
    assert "psycopg2" not in finding.found


def test_reads_that_are_changed_on_the_way_are_found_out(on: Any) -> None:
    demo, url = on(VARIANT_A, start=False)
    load(url, before_insert("NEW.kwh := NEW.kwh * 0.98; RETURN NEW").replace("{}", "public.meter_reads_electric"))
    finding = found(demo)["Trial publish"]
    assert finding.state == "degraded"
    assert "kWh stand" in finding.found


def test_a_tried_trial_is_said_and_an_untried_one_too(on: Any) -> None:
    demo, _ = on(VARIANT_A, start=False)
    assert found(demo, trial=False)["Trial publish"].found == "not tried"


# --- what the KPIs are ---------------------------------------------------------------------------------


def test_a_mean_of_kwh_by_the_name_of_a_loss_is_found_out(on: Any) -> None:
    demo, _ = on(MEAN, start=False)
    findings = found(demo)
    assert "is no loss" in findings["Overview: under theft"].found
    assert "is no loss" in findings["Feeder loss: under theft"].found
    assert "deferrable" in findings["Reads: repeats"].found
    assert "every 60 min" in findings["Fleet"].found


def test_a_loss_that_no_utility_has_is_said(on: Any) -> None:
    demo, _ = on(BY_NAME["variant_a_static"], start=False)
    findings = found(demo)
    assert findings["Overview: level"].state == "degraded"
    assert findings["Overview: under theft"].state == "passed"


def test_views_slower_than_a_cycle_s_budget_are_said_and_the_theft_is_not_tried_on_them(on: Any) -> None:
    demo, url = on(MEAN, start=False, explain_budget_s=1)
    load(url, f"ALTER VIEW public.{OVERVIEW} RENAME TO quick; CREATE VIEW public.{OVERVIEW} AS "
              "SELECT q.* FROM public.quick q, (SELECT pg_sleep(1.1)) s")  # fmt: skip
    findings = found(demo)
    assert findings["KPI views: time"].state == "degraded"
    assert "Overview: under theft" not in findings


def test_what_came_since_the_start_is_used_once_the_demo_looks_again(on: Any) -> None:
    demo, url = on(VARIANT_A, start=False)
    load(url, f"DROP VIEW public.{KPI_VIEWS[3]}")
    demo.session.start()
    assert KPI_VIEWS[3] not in demo.session.schema.views
    load(
        url,
        f"CREATE VIEW public.{KPI_VIEWS[3]} AS SELECT 'DEMO_TENANT' AS tenant_id, current_date AS day, 1 AS open_tasks",
    )
    found(demo)
    assert KPI_VIEWS[3] not in demo.session.schema.views  # a preflight changes nothing
    demo.look_again()
    assert KPI_VIEWS[3] in demo.session.schema.views


# --- the command ---------------------------------------------------------------------------------------


@pytest.fixture
def check(capsys: pytest.CaptureFixture[str]) -> Any:
    """`check(demo, *options)` -> (status, standard output, standard error) of the command on a demo's settings."""

    def run(demo: Demo, *options: str) -> tuple[int, str, str]:
        status = main(["check", *options], lambda: make_show(demo.settings))
        said = capsys.readouterr()
        return status, said.out, said.err

    return run


def test_check_prints_a_line_for_each_thing_and_is_status_0_where_nothing_is_blocked(on: Any, check: Any) -> None:
    demo, _ = on(GRANTS, start=False)
    status, out, err = check(demo)
    assert (status, err) == (0, "")
    lines = [line for line in out.splitlines() if not line.startswith(" ")]  # but for rows of a table
    assert {line.split()[0] for line in lines} == {"passed", "degraded"}
    assert len({line.index(one.found) for line, one in zip(lines, preflight(demo, TENANT), strict=True)
                if "answers in" not in line and " ms" not in line}) == 1, "aligned"  # fmt: skip


def test_check_is_status_1_and_one_line_on_standard_error_where_something_is_blocked(on: Any, check: Any) -> None:
    demo, _ = on(GRANTS, migrated=False, start=False)
    status, out, err = check(demo)
    assert status == 1
    assert "blocked   ami_events" in out
    assert err == "gridlens: ami_events is blocked: public.ami_events is missing\n"


def test_check_as_json_says_the_same(on: Any, check: Any) -> None:
    demo, _ = on(GRANTS, start=False)
    status, out, _ = check(demo, "--json")
    answer = json.loads(out)
    assert (status, answer["ok"], answer["blocked"]) == (0, True, 0)
    assert answer["findings"][0].keys() == {"what", "state", "found", "remedy", "table"}
    assert answer["passed"] + answer["degraded"] == len(answer["findings"])


def test_check_of_a_wrong_address_is_one_clear_line(check: Any, tmp_path: Path) -> None:
    status, out, err = check(demo_on("postgresql://u:secret-1@127.0.0.1:1/x", Shape("none", "", False), tmp_path))
    assert (status, len(out.splitlines()), len(err.splitlines())) == (1, 1, 1)
    assert "nothing listens" in err
    assert "secret-1" not in out + err
