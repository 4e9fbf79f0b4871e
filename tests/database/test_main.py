"""The command line: what it prints, what it leaves behind, and how it fails."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from helpers import FROZEN, READS, SMALL_FLEET, TENANT, Server, catalogue
from pydantic.alias_generators import to_camel

import gridlens_core
from gridlens_core.__main__ import main
from gridlens_core.database.schema import KPI_VIEWS
from gridlens_core.demo.demo import Demo
from gridlens_core.meters.events import EVENT_TYPES, Event
from gridlens_core.show import Show, make_show

ROOT = Path(gridlens_core.__file__).resolve().parent.parent
METERS = SMALL_FLEET["feeders"] * SMALL_FLEET["meters_per_feeder"]


class Cli:
    """Runs commands in this process and keeps what they print."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys
        self.make: Callable[[], Show] = make_show

    def __call__(self, *arguments: str) -> Any:
        """The JSON that a command prints when all goes well."""
        self._capsys.readouterr()
        status = main(arguments, self.make)
        printed = self._capsys.readouterr()
        assert (status, printed.err) == (0, "")
        return json.loads(printed.out)

    def fails(self, *arguments: str) -> tuple[int, str]:
        """Exit status and the one line on standard error; nothing is printed besides."""
        self._capsys.readouterr()
        try:
            status = main(arguments, self.make)
        except SystemExit as exit_:
            status = int(exit_.code or 0)
        printed = self._capsys.readouterr()
        assert printed.out == ""
        (line,) = printed.err.splitlines()
        assert line.startswith("gridlens: ")
        return status, line


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Cli:
    return Cli(capsys)


@pytest.fixture
def local(make_demo: Callable[..., Demo], cli: Cli, monkeypatch: pytest.MonkeyPatch) -> Demo:
    """A demo on the local database that the environment names to the command line."""
    demo = make_demo()
    # The command line works on this demo's database, and starts no other server.
    address = demo.session.database.engine.url.render_as_string(hide_password=False)
    cli.make = partial(make_show, start_database=lambda _: address)
    monkeypatch.setenv("GRIDLENS_DATA_DIR", str(demo.settings.data_dir))
    monkeypatch.setenv("GRIDLENS_NOW", FROZEN.isoformat())
    return demo


@pytest.fixture
def existing(
    new_database: Callable[..., str], seeded_template: str, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., str]:
    """`existing(url=None)` -> address of the existing database that the environment names to the command line."""

    def use(url: str | None = None) -> str:
        url = url or new_database(seeded_template)
        monkeypatch.setenv("DATABASE_URL", url)
        monkeypatch.setenv("GRIDLENS_NOW", FROZEN.isoformat())
        return url

    return use


# --- commands ------------------------------------------------------------------------------------------


def test_publish_publishes_the_cycles_it_is_told(cli: Cli, local: Demo) -> None:
    before = local.desk.pulse(TENANT).grid_now
    answer = cli("publish", "--cycles", "3")
    assert (local.desk.pulse(TENANT).grid_now - before).total_seconds() == 3 * 15 * 60
    assert answer["inserted"] + answer["notRead"] == 3 * METERS
    assert answer["kpis"]["after"]["suppliedKwh"] > answer["kpis"]["before"]["suppliedKwh"]


def test_publish_publishes_one_cycle_of_the_interval_it_is_told(cli: Cli, local: Demo) -> None:
    cli("publish")
    before = local.desk.pulse(TENANT).grid_now
    assert cli("publish", "--interval", "30", "--tenant", TENANT)["intervalMinutes"] == 30
    assert (local.desk.pulse(TENANT).grid_now - before).total_seconds() == 30 * 60


@pytest.mark.parametrize("event_type", EVENT_TYPES)
def test_event_writes_one_event(cli: Cli, local: Demo, event_type: str) -> None:
    answer = cli("event", event_type, "--feeder", "FEEDER_7", "--severity", "0.4", "--minutes", "30")
    assert answer.keys() == {to_camel(column.name) for column in fields(Event)}
    (event,) = local.events(TENANT)
    assert (event.event_type, event.where, event.fraction) == (event_type, "FEEDER_7", 0.4)
    assert event.starts_at == local.desk.pulse(TENANT).grid_now
    assert (event.ends_at - event.starts_at).total_seconds() == 30 * 60


def test_event_without_more_is_an_hour_on_every_feeder(cli: Cli, local: Demo) -> None:
    cli("event", "theft")
    (event,) = local.events(TENANT)
    assert (event.feeder_id, event.meter_id, event.fraction) == (None, None, 0.7)
    assert (event.ends_at - event.starts_at).total_seconds() == 60 * 60


def test_rehearse_prints_the_path_and_leaves_nothing(cli: Cli, local: Demo) -> None:
    before = local.desk.pulse(TENANT)
    answer = cli("rehearse", "voltage-sag", "--feeder", "FEEDER_7", "--cycles", "2")
    assert [step["kpis"]["voltageCompliancePct"] < 100 for step in answer["path"]] == [True, True]
    assert local.desk.pulse(TENANT) == before


def test_quickcheck_prints_what_the_api_answers(cli: Cli, local: Demo) -> None:
    cli("event", "theft", "--feeder", "FEEDER_7")
    cli("publish", "--cycles", "2")
    answer = cli("quickcheck")
    assert answer["currentLossPct"] == answer["overviewLast5"][0]["loss_percent_pct"]
    assert [event["eventType"] for event in answer["activeEvents"]] == ["theft"]
    assert {row["feeder_id"] for row in answer["suspiciousMetersLast10"]} == {"FEEDER_7"}


def test_check_is_status_0_where_all_is_there(existing: Callable[..., str]) -> None:
    existing()
    assert main(["check"]) == 0


# --- migrate -------------------------------------------------------------------------------------------


def test_migrate_adds_the_events_table_and_its_index_to_an_existing_database_and_nothing_else(
    cli: Cli, existing: Callable[..., str], existing_url: Callable[..., str], open_database: Callable[..., Any]
) -> None:
    database = open_database(
        existing(
            existing_url(
                f"CREATE TABLE public.{READS} (tenant_id text, meter_id text, read_at timestamptz, kwh float8);"
                f"CREATE VIEW public.{KPI_VIEWS[0]} AS SELECT tenant_id, read_at::date AS day FROM public.{READS}"
            )
        )
    )
    before = catalogue(database.engine)
    assert cli("migrate") == {"ok": True, "applied": "sql/phase3_ami_events.sql"}
    after = catalogue(database.engine)
    assert before <= after
    added = after - before
    assert {what for kind, what in added if kind == "relation"} == {
        "r ami_events",
        "i ami_events_pkey",
        "i idx_ami_events_tenant_time",
    }
    assert {kind for kind, _ in added} == {"relation", "column", "index", "constraint"}
    assert all("ami_events" in what for kind, what in added if kind != "constraint")
    cli("migrate")
    assert catalogue(database.engine) == after


def test_migrate_works_where_nothing_else_is_there_yet(
    cli: Cli, existing: Callable[..., str], existing_url: Callable[..., str]
) -> None:
    existing(existing_url())
    assert cli("migrate")["ok"] is True
    assert f"public.{READS} is missing" in cli.fails("publish")[1]


def test_migrate_keeps_the_events_that_are_there(cli: Cli, local: Demo) -> None:
    cli("event", "theft")
    cli("migrate")
    assert len(local.events(TENANT)) == 1


# --- failing in one clear line -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        pytest.param((), "required: COMMAND", id="no command"),
        pytest.param(("explode",), "explode", id="an unknown command"),
        pytest.param(("publish", "--cycles", "many"), "--cycles", id="a number that is none"),
        pytest.param(("publish", "--cycles", "2", "--every", "5"), "not allowed with", id="options at odds"),
        pytest.param(("event",), "required: type", id="a missing event type"),
        pytest.param(("event", "flood"), "comms-outage", id="an unknown event type"),
        pytest.param(("quickcheck", "--colour"), "--colour", id="an unknown option"),
    ],
)
def test_a_bad_option_is_status_2(cli: Cli, arguments: tuple[str, ...], says: str) -> None:
    status, line = cli.fails(*arguments)
    assert status == 2
    assert says in line


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        pytest.param(("publish", "--cycles", "0"), "cycles is 0; accepted: 1 to 96", id="too few cycles"),
        pytest.param(("publish", "--interval", "7"), "accepted: 5, 10, 15", id="an odd interval"),
        pytest.param(
            ("publish", "--every", "0.1"), "everySeconds is 0.1; accepted: 0.5 to 3600", id="a timer too fast"
        ),
        pytest.param(("publish", "--every", "nan"), "everySeconds", id="a timer without a number"),
        pytest.param(("publish", "--every", "5", "--interval", "7"), "intervalMinutes", id="a timer at odd times"),
        pytest.param(("publish", "--tenant", "OTHER"), "'OTHER' is not named in GRIDLENS_TENANTS", id="another tenant"),
        pytest.param(("event", "theft", "--feeder", "FEEDER_99"), "its feeders: FEEDER_1,", id="an unknown feeder"),
        pytest.param(("event", "theft", "--meter", "MTR-9"), "no meter 'MTR-9'", id="an unknown meter"),
        pytest.param(("event", "theft", "--severity", "7"), "severity is 7.0; accepted:", id="too severe"),
        pytest.param(("event", "theft", "--severity", "nan"), "severity is nan; accepted:", id="a severity of nothing"),
        pytest.param(("event", "theft", "--minutes", "inf"), "durationMinutes is inf; accepted:", id="without end"),
    ],
)
def test_what_cannot_be_done_is_status_1_and_changes_nothing(
    cli: Cli, local: Demo, arguments: tuple[str, ...], says: str
) -> None:
    before = local.desk.pulse(TENANT)
    status, line = cli.fails(*arguments)
    assert status == 1
    assert says in line
    assert local.desk.pulse(TENANT) == before


@pytest.mark.parametrize("command", [("migrate",), ("publish",), ("event", "theft"), ("quickcheck",)])
@pytest.mark.parametrize(
    ("variable", "value", "says"),
    [
        pytest.param("GRIDLENS_SEED", "seven", "GRIDLENS_SEED", id="a wrong setting"),
        pytest.param("DATABASE_URL", "mysql://host/db", "postgresql://", id="another kind of database"),
        pytest.param("DATABASE_URL", "postgresql://u:pass-7f3a@127.0.0.1:1/db", "nothing listens", id="a wrong port"),
        pytest.param(
            "DATABASE_URL", "postgresql://u:pass-7f3a@db.invalid/db", "host name is not known", id="a wrong host"
        ),
    ],
)
def test_a_setting_that_leads_nowhere_is_status_1(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...], variable: str, value: str, says: str
) -> None:
    monkeypatch.setenv(variable, value)
    status, line = cli.fails(*command)
    assert status == 1
    assert says in line
    assert "pass-7f3a" not in line


@pytest.mark.parametrize("command", [("publish",), ("event", "theft"), ("quickcheck",)])
def test_a_missing_events_table_is_named_with_its_remedy(
    cli: Cli, existing: Callable[..., str], open_database: Callable[..., Any], command: tuple[str, ...]
) -> None:
    with open_database(existing()).transaction() as connection:
        connection.exec_driver_sql("DROP TABLE public.ami_events")
    status, line = cli.fails(*command)
    assert status == 1
    assert "Remedy: run 'python -m gridlens_core migrate'" in line


def test_a_role_that_may_not_create_is_told_so(
    cli: Cli, existing: Callable[..., str], existing_url: Callable[..., str], server: Server
) -> None:
    url = existing_url()
    server.execute("DROP ROLE IF EXISTS onlooker")
    server.execute("CREATE ROLE onlooker LOGIN")
    existing(sa.make_url(url).set(username="onlooker").render_as_string(hide_password=False))
    status, line = cli.fails("migrate")
    assert status == 1
    assert "lacks the privilege" in line
    server.execute("DROP ROLE onlooker")


# --- as a process of its own ---------------------------------------------------------------------------


@pytest.fixture
def worker(new_database: Callable[..., str], seeded_template: str, tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """`worker(*arguments)` -> the command line as an operator starts it, on an existing database.

    Its standard error goes to the file `stderr`; a worker that does not end is ended.
    """
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "DATABASE_URL": new_database(seeded_template),
        "GRIDLENS_NOW": FROZEN.isoformat(),
    }
    with contextlib.ExitStack() as stack:

        def start(*arguments: str) -> subprocess.Popen[str]:
            process = stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-m", "gridlens_core", *arguments],
                    env=environment,
                    cwd=tmp_path,
                    stdout=subprocess.PIPE,
                    stderr=stack.enter_context((tmp_path / "stderr").open("w")),
                    text=True,
                )
            )
            stack.callback(process.kill)
            watchdog = threading.Timer(60, process.kill)
            watchdog.start()
            stack.callback(watchdog.cancel)
            return process

        yield start


def test_the_command_line_starts_as_a_module(worker: Callable[..., Any], tmp_path: Path) -> None:
    out, _ = worker("quickcheck").communicate()
    assert (tmp_path / "stderr").read_text() == ""
    assert json.loads(out)["tenantId"] == TENANT


@pytest.mark.parametrize("told", [signal.SIGINT, signal.SIGTERM], ids=lambda told: told.name)
def test_publishing_on_a_timer_goes_on_until_it_is_told_to_stop_and_ends_well(
    worker: Callable[..., Any], told: signal.Signals, tmp_path: Path
) -> None:
    process = worker("publish", "--every", "1")
    lines = [process.stdout.readline() for _ in range(2)]
    process.send_signal(told)
    rest, _ = process.communicate()
    assert (tmp_path / "stderr").read_text() == ""
    assert process.returncode == 0
    assert [line.split()[0] for line in lines] == ["2026-11-18T18:00Z", "2026-11-18T18:15Z"]
    for line in (*lines, *rest.splitlines()):
        assert re.search(r" \d+ of \d+ reads, loss today \d\.\d\d %$", line)
