"""Reads from a file, loaded as a tenant of its own: shown, gone on with and reset like any other, whole or not."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa
from file_forms import HOMES, homes, long_csv, written
from helpers import FROZEN, SMALL_FLEET, TENANT, Server

from gridlens_core.__main__ import main
from gridlens_core.api.answers import QuickcheckAnswer
from gridlens_core.demo.demo import Demo
from gridlens_core.demo.loads import Wishes, load, look_for_loaded, named_after, planned
from gridlens_core.display.branding import Brand
from gridlens_core.errors import BadInputError, DatabaseNotReadyError, NotOnExistingDatabaseError, TenantNotAllowedError
from gridlens_core.leave_behind.brief import brief_of
from gridlens_core.loading.plan import Plan
from gridlens_core.loading.said import Said
from gridlens_core.meters.events import EventRequest
from gridlens_core.meters.load_model import technical_loss_wh
from gridlens_core.settings import Settings
from gridlens_core.show import Show
from gridlens_core.walkthrough.story import load_story

HOMES_TENANT = "HOMES"
ENDS = homes().ends[-1]


def plan_for(demo: Demo, folder: Path, **wishes: Any) -> Plan:
    path = long_csv(homes(), folder / "homes.csv")
    return planned(demo, [(path, path.name)], Said(), Wishes(**{"tenant_id": HOMES_TENANT, "keep_ids": True, **wishes}))


def rows(demo: Demo, sql: str) -> list[Any]:
    with demo.session.transaction(read_only=True) as connection:
        return list(connection.execute(sa.text(sql), {"tenant": HOMES_TENANT}).all())


READS = "SELECT meter_id, read_at, kwh FROM public.meter_reads_electric WHERE tenant_id = :tenant ORDER BY 1, 2"
COUNTS = "SELECT tenant_id, count(*), sum(kwh) FROM public.meter_reads_electric GROUP BY 1 ORDER BY 1"
SUPPLY = "SELECT feeder_id, read_at, supplied_kwh FROM public.feeder_supply WHERE tenant_id = :tenant ORDER BY 1, 2"


@pytest.fixture(scope="session")
def homes_template(server: Server, seeded_template: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A database with the emulated tenant and, beside it, one of nine days of a file that ended half a year ago."""
    folder = tmp_path_factory.mktemp("homes")
    url = server.create("homes_loaded", seeded_template)
    demo = Demo(Settings(now=FROZEN, data_dir=folder, **SMALL_FLEET), None, lambda _: url)
    demo.session.start()
    load(demo, plan_for(demo, folder))
    demo.session.database.engine.dispose()
    return "homes_loaded"


@pytest.fixture
def homes_demo(make_demo: Callable[..., Demo], homes_template: str) -> Demo:
    """A demo on a fresh copy of it."""
    return make_demo(template=homes_template)


def test_a_file_is_loaded_to_the_last_read_and_its_supply_is_the_reads_plus_technical_loss(homes_demo: Demo) -> None:
    stands = {(meter, at): float(kwh) for meter, at, kwh in rows(homes_demo, READS)}
    assert stands == pytest.approx(
        {(name, end): kwh for name, row in zip(homes().ids, homes().kwh.tolist(), strict=True)
         for end, kwh in zip(homes().ends, row, strict=True)}
    )  # fmt: skip
    fleet = homes_demo.desk.fleet(HOMES_TENANT)
    wh = np.rint(homes().kwh * 1000).astype(np.int64)
    position = [homes().ids.index(meter) for meter in fleet.meter_ids]
    delivered = fleet.sum_by_feeder(wh[position])
    lost = technical_loss_wh(delivered.mean(axis=1, keepdims=True) / 2, delivered, 2)
    supplied = np.array([float(row.supplied_kwh) for row in rows(homes_demo, SUPPLY)]).reshape(delivered.shape)
    # Feeders differ in what their conductors lose.
    assert supplied * 1000 == pytest.approx(delivered + lost, rel=1.5e-2, abs=1.5)


def test_two_tenants_stand_side_by_side_each_on_its_own_clock(homes_demo: Demo) -> None:
    assert homes_demo.session.tenants.names == (TENANT, HOMES_TENANT)
    assert homes_demo.desk.pulse(HOMES_TENANT).grid_now == ENDS
    assert homes_demo.desk.pulse(TENANT).grid_now == FROZEN - timedelta(minutes=15)
    cycle = homes_demo.publish(HOMES_TENANT).cycles[-1]
    assert (cycle.read_at, cycle.interval_minutes, cycle.meters) == (ENDS + timedelta(minutes=30), 30, HOMES)
    assert homes_demo.desk.pulse(TENANT).grid_now == FROZEN - timedelta(minutes=15)


def test_supply_and_loss_are_called_modelled_wherever_they_are_shown(homes_demo: Demo) -> None:
    moment = homes_demo.desk.fresh(HOMES_TENANT)
    assert "modelled technical loss" in str(QuickcheckAnswer.of(moment).loss_note)
    assert QuickcheckAnswer.of(homes_demo.desk.fresh(TENANT)).loss_note is None
    assert "supply and technical loss are modelled" in brief_of(moment, Brand()).label
    assert 1 < float(moment.kpis["loss_pct"] or 0) < 6


def test_a_theft_shows_and_a_reset_goes_back_to_the_end_of_the_file(homes_demo: Demo) -> None:
    before = rows(homes_demo, READS)
    quiet = homes_demo.publish(HOMES_TENANT, cycles=2)
    feeder = homes_demo.desk.fleet(HOMES_TENANT).feeders[0]
    homes_demo.trigger(HOMES_TENANT, EventRequest("theft", feeder_id=feeder, severity=0.8, duration_minutes=240))
    stolen = homes_demo.publish(HOMES_TENANT, cycles=4)
    assert stolen.after is not None
    assert quiet.after is not None
    assert stolen.after["loss_pct"] - quiet.after["loss_pct"] > 1  # type: ignore[operator]
    why = homes_demo.desk.explained(HOMES_TENANT).why("loss_pct")
    assert why is not None
    assert why.before + why.drift + sum(one.change for one in why.effects) == why.now
    homes_demo.reset(HOMES_TENANT)
    assert rows(homes_demo, READS) == before
    assert homes_demo.desk.pulse(HOMES_TENANT).grid_now == ENDS


def test_an_event_of_before_the_end_of_the_file_takes_nothing_of_the_file_away(homes_demo: Demo) -> None:
    before = rows(homes_demo, READS)
    early = ENDS - timedelta(hours=3)
    homes_demo.trigger(
        HOMES_TENANT, EventRequest("theft", feeder_id=None, severity=0.5, duration_minutes=60, starts_at=early)
    )
    homes_demo.reset(HOMES_TENANT)
    assert rows(homes_demo, READS) == before


def test_another_process_shows_the_tenant_and_goes_on_with_the_same_reads(
    homes_demo: Demo, make_demo: Callable[..., Demo]
) -> None:
    running = make_demo(data_dir=homes_demo.settings.data_dir, start=False)
    with pytest.raises(TenantNotAllowedError):
        running.session.check_tenant(HOMES_TENANT)
    running.session.start()
    ours, theirs = homes_demo.desk.fleet(HOMES_TENANT), running.desk.fleet(HOMES_TENANT)
    assert ours.meter_ids == theirs.meter_ids
    assert ours.habits is not None
    assert theirs.habits is not None
    assert np.array_equal(ours.habits.mean_wh, theirs.habits.mean_wh)
    assert theirs.habits.minutes == 30


def test_a_running_process_finds_what_another_has_loaded(make_demo: Callable[..., Demo], tmp_path: Path) -> None:
    running = make_demo()
    other = make_demo(data_dir=running.settings.data_dir)
    load(other, plan_for(other, tmp_path))
    assert look_for_loaded(running, at_once=True) == (TENANT, HOMES_TENANT)
    assert running.desk.pulse(HOMES_TENANT).grid_now == ENDS


def test_a_history_that_is_moved_goes_on_to_the_wall_clock(make_demo: Callable[..., Demo], tmp_path: Path) -> None:
    demo = make_demo()
    loaded = load(demo, plan_for(demo, tmp_path, shift_to_now=True))
    assert loaded.ends_at.weekday() == ENDS.weekday()
    assert timedelta(days=-7) < loaded.ends_at - FROZEN <= timedelta()
    assert demo.desk.pulse(HOMES_TENANT).grid_now >= FROZEN - timedelta(hours=1)
    minutes = rows(demo, "SELECT DISTINCT interval_minutes FROM public.feeder_supply WHERE tenant_id = :tenant")
    assert [row.interval_minutes for row in minutes] == [30]


def test_a_file_that_is_loaded_again_replaces_what_was_there(homes_demo: Demo, tmp_path: Path) -> None:
    before = rows(homes_demo, COUNTS)
    homes_demo.publish(HOMES_TENANT, cycles=3)
    load(homes_demo, plan_for(homes_demo, tmp_path))
    assert rows(homes_demo, COUNTS) == before
    assert homes_demo.desk.pulse(HOMES_TENANT).grid_now == ENDS


def test_estimated_reads_are_kept_as_such(make_demo: Callable[..., Demo], tmp_path: Path) -> None:
    table = homes().long(homes().local("%Y-%m-%d %H:%M"))
    table["quality"] = ["E" if place % 50 == 7 else "A" for place in range(len(table))]
    path = written(table.drop(index=100), tmp_path / "flags.csv")
    demo = make_demo()
    loaded = load(demo, planned(demo, [(path, path.name)], Said(), Wishes(HOMES_TENANT, keep_ids=True)))
    assert (loaded.estimated, loaded.missing) == (-(-(len(table) - 7) // 50), 1)
    marked = rows(demo, "SELECT meter_id, read_at FROM public.estimated_reads WHERE tenant_id = :tenant ORDER BY 1, 2")
    assert marked[0] == (homes().ids[0], homes().ends[7])
    assert len(marked) == loaded.estimated
    assert demo.session.tenants.loaded(HOMES_TENANT) == loaded


# --- refused, whole -------------------------------------------------------------------------------------


def test_a_load_that_breaks_off_leaves_nothing_behind(make_demo: Callable[..., Demo], tmp_path: Path) -> None:
    demo = make_demo()
    before = rows(demo, COUNTS)

    def breaks(doing: str, share: float) -> None:
        if share > 0.5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        load(demo, plan_for(demo, tmp_path), breaks)
    assert rows(demo, COUNTS) == before
    assert look_for_loaded(demo, at_once=True) == (TENANT,)


def test_a_day_that_cannot_be_played_back_is_not_loaded(make_demo: Callable[..., Demo], tmp_path: Path) -> None:
    table = homes().long(homes().local("%Y-%m-%d %H:%M"))
    table.loc[table["read_at"] > "2026-05-12 00:00", "kwh"] *= 8
    path = written(table, tmp_path / "jump.csv")
    demo = make_demo()
    plan = planned(demo, [(path, path.name)], Said(), Wishes(HOMES_TENANT))
    with pytest.raises(DatabaseNotReadyError, match="The history cannot be played back"):
        load(demo, plan)
    assert look_for_loaded(demo, at_once=True) == (TENANT,)


def test_an_emulated_tenant_is_never_replaced_and_an_existing_database_never_loaded_into(
    make_demo: Callable[..., Demo], tmp_path: Path
) -> None:
    demo = make_demo()
    with pytest.raises(BadInputError, match="a name that GRIDLENS_TENANTS does not have"):
        plan_for(demo, tmp_path, tenant_id=TENANT)
    with pytest.raises(BadInputError, match="a letter, then"):
        plan_for(demo, tmp_path, tenant_id="a'; --")
    plan = plan_for(demo, tmp_path)
    with pytest.raises(BadInputError, match="that no emulated tenant has"):
        load(demo, replace(plan, tenant_id=TENANT))
    existing = Demo(Settings(database_url="postgresql://nobody@127.0.0.1:1/none", data_dir=tmp_path))
    with pytest.raises(NotOnExistingDatabaseError):
        load(existing, plan)


@pytest.mark.parametrize(
    ("name", "tenant"), [("sydney-2013.csv.gz", "SYDNEY_2013"), ("1.csv", "FILE_1"), ("---.zip", "FILE_READS")]
)
def test_a_tenant_is_named_after_its_file(name: str, tenant: str) -> None:
    assert named_after(name) == tenant


# --- the command line -----------------------------------------------------------------------------------


def test_the_command_shows_the_plan_and_loads_only_when_told(
    make_demo: Callable[..., Demo], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    demo = make_demo()
    path = str(long_csv(homes(), tmp_path / "my-homes.csv"))
    show = Show(demo, load_story(tmp_path))
    assert main(["load", path], lambda: show) == 1
    shown = capsys.readouterr()
    assert "time zone     guess  America/Chicago" in shown.out
    assert "kWh played back" in shown.out
    assert shown.err == "gridlens: Nothing was loaded: say y, or add --yes.\n"


def test_the_command_loads_and_the_next_one_shows_it(
    make_demo: Callable[..., Demo], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    demo = make_demo()
    path = str(long_csv(homes(), tmp_path / "my-homes.csv"))
    assert main(["load", path, "--yes", "--unit", "kWh"], lambda: Show(demo, load_story(tmp_path))) == 0
    answer = json.loads(capsys.readouterr().out.partition("{")[2].join(["{", ""]))
    assert (answer["tenantId"], answer["meters"], answer["reads"]) == ("MY_HOMES", HOMES, homes().kwh.size)
    again = make_demo(data_dir=demo.settings.data_dir)
    assert main(["quickcheck", "--tenant", "MY_HOMES"], lambda: Show(again, load_story(tmp_path))) == 0
    assert "modelled technical loss" in json.loads(capsys.readouterr().out)["lossNote"]


def test_the_command_refuses_by_line(
    make_demo: Callable[..., Demo], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = homes().long(homes().local("%Y-%m-%d %H:%M")).astype({"kwh": "str"})
    table.loc[7, "kwh"] = "lots"
    path = str(written(table, tmp_path / "odd.csv"))
    show = Show(make_demo(), load_story(tmp_path))
    assert main(["load", path, "--yes"], lambda: show) == 1
    assert capsys.readouterr().err == "gridlens: odd.csv, line 9, column 'kwh': 'lots' is no number.\n"
