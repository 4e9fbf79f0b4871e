"""Learning a fleet from its own recent reads, whatever the table's shape and size."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from existing_shapes import SHAPES, Shape, load
from helpers import FROZEN, TENANT

from gridlens_core.database import newest as clock
from gridlens_core.database.connection import connect
from gridlens_core.database.newest import latest_read_at
from gridlens_core.demo.demo import Demo
from gridlens_core.errors import DatabaseNotReadyError
from gridlens_core.meters.events import EventRequest
from gridlens_core.meters.fleet import Fleet
from gridlens_core.publishing import kept, past, seeding
from gridlens_core.publishing.history import interval_of, learn_fleet
from gridlens_core.publishing.past import Pace
from gridlens_core.publishing.seeding import existing_fleet

BY_NAME = {shape.name: shape for shape in SHAPES}


def learned(demo: Demo, tenant: str = TENANT) -> Fleet:
    """The fleet as another process would learn it now."""
    with demo.session.transaction(read_only=True) as connection:
        latest = latest_read_at(connection, demo.session.schema, tenant)
        today = demo.desk.today(demo.desk.pulse(tenant).grid_now)
        return existing_fleet(connection, demo.session.schema, demo.settings, tenant, latest, today)


@pytest.mark.parametrize(
    ("name", "meters", "feeders", "wh", "minutes"),
    [
        ("variant_a", 200, 8, 300, 15),
        ("mixed_case", 40, 4, 300, 15),
        ("partitioned", 30, 3, 500, 15),
        ("registry", 30, 3, 400, 15),
        ("mean_loss", 30, 3, 300, 60),
        ("least_grants", 30, 3, 600, 15),
    ],
)
def test_meters_feeders_level_and_interval_come_from_the_reads(
    on: Any, name: str, meters: int, feeders: int, wh: float, minutes: int
) -> None:
    shape = BY_NAME[name]
    demo, _ = on(shape)
    fleet = demo.desk.fleet(shape.tenant)
    assert (len(fleet), len(fleet.feeders)) == (meters, feeders)
    assert fleet.mean_wh_per_slot.mean() == pytest.approx(wh, rel=0.06)
    assert np.isfinite(fleet.habits.mean_wh).all()
    with demo.session.transaction(read_only=True) as connection:
        latest = latest_read_at(connection, demo.session.schema, shape.tenant)
        found = interval_of(connection, demo.session.schema, shape.tenant, fleet.meter_ids[0], latest)
    assert found == minutes


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)
def test_what_is_published_today_does_not_change_what_was_learned(on: Any, shape: Shape) -> None:
    """Every process, and every later look of the day, has the same honest reads."""
    demo, _ = on(shape)
    before = learned(demo, shape.tenant)
    demo.trigger(shape.tenant, EventRequest("theft", feeder_id=before.feeders[0], severity=0.9, duration_minutes=60))
    demo.publish(shape.tenant, interval_minutes=shape.minutes, cycles=2)
    after = learned(demo, shape.tenant)
    assert (after.meter_ids, after.feeder_ids) == (before.meter_ids, before.feeder_ids)
    assert np.array_equal(after.habits.mean_wh, before.habits.mean_wh)
    assert np.array_equal(after.habits.noise_key, before.habits.noise_key)


def test_a_history_that_ended_a_month_ago_goes_on_as_it_was(on: Any) -> None:
    demo, _ = on(BY_NAME["mixed_case"], now=FROZEN + timedelta(days=30))
    before = demo.desk.fleet(TENANT)
    demo.publish(TENANT)
    after = learned(demo)
    assert after.meter_ids == before.meter_ids
    assert np.array_equal(after.habits.mean_wh, before.habits.mean_wh)


def test_both_ways_to_the_newest_read_find_the_same(on: Any) -> None:
    demo, url = on(BY_NAME["variant_a"])
    assert demo.session.schema.newest_by_hops
    by_hops = learned(demo), demo.desk.pulse(TENANT).latest_read_at
    load(url, "CREATE INDEX ON public.meter_reads_electric (tenant_id, read_at)")
    other = Demo(demo.settings)
    other.session.start()
    assert not other.session.schema.newest_by_hops
    fleet, latest = learned(other), other.desk.pulse(TENANT).latest_read_at
    other.stop()
    assert (fleet.meter_ids, fleet.feeder_ids, latest) == (by_hops[0].meter_ids, by_hops[0].feeder_ids, by_hops[1])
    assert np.array_equal(fleet.habits.mean_wh, by_hops[0].habits.mean_wh)


def test_a_history_without_feeders_is_told_in_one_line(on: Any) -> None:
    demo, url = on(BY_NAME["mean_loss"])
    load(url, "UPDATE public.meter_reads_electric SET feeder_id = NULL")
    with pytest.raises(DatabaseNotReadyError, match="name no feeder in 'feeder_id'"):
        demo.desk.fleet(TENANT)


def test_reads_that_are_no_energy_are_not_learned_from(on: Any) -> None:
    demo, url = on(BY_NAME["mean_loss"])
    before = learned(demo)
    odd = "CASE extract(day FROM read_at)::int % 3 WHEN 0 THEN 'NaN'::real WHEN 1 THEN -5 ELSE 999999 END"
    load(
        url,
        f"UPDATE public.meter_reads_electric SET kwh = {odd} "
        "WHERE meter_id = 'M1-1' AND extract(hour FROM read_at) < 6",
    )
    after = learned(demo)
    assert np.isfinite(after.habits.mean_wh).all()
    assert after.mean_wh_per_slot.mean() == pytest.approx(before.mean_wh_per_slot.mean(), rel=0.03)


# --- the grid clock ------------------------------------------------------------------------------------


def forget_newest(url: str, meters: int, intervals: int = 1) -> None:
    """Takes the newest reads of the first meters away."""
    load(
        url,
        "DELETE FROM public.meter_reads_electric WHERE meter_id IN (SELECT meter_id FROM public.meter_reads_electric "
        f"GROUP BY 1 ORDER BY 1 LIMIT {meters}) AND read_at > (SELECT max(read_at) FROM public.meter_reads_electric) "
        f"- {intervals} * interval '15 minutes'",
    )


@pytest.mark.parametrize(
    ("meters", "intervals", "back"),
    [
        pytest.param(80, 1, 0, id="most have it"),
        pytest.param(120, 1, 1, id="most have it not yet"),
        pytest.param(80, 30, 0, id="many are hours late"),
        pytest.param(120, 30, 30, id="most are hours late"),
    ],
)
def test_half_of_a_spread_sample_tells_the_grid_clock(on: Any, meters: int, intervals: int, back: int) -> None:
    shape = BY_NAME["variant_a"]
    demo, url = on(shape)
    newest = demo.desk.pulse(TENANT).latest_read_at
    fleet = demo.desk.fleet(TENANT)
    assert 100 <= len(demo.session.schema.witnesses[TENANT]) < len(fleet) == 200
    forget_newest(url, meters, intervals)
    assert newest - demo.desk.pulse(TENANT).latest_read_at == back * timedelta(minutes=15)


def test_reads_of_half_an_interval_do_not_move_the_clock_of_a_table_without_an_index(
    on: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    shape = BY_NAME["least_grants"]
    demo, url = on(shape)
    assert not demo.session.schema.by_meter
    newest = demo.desk.pulse(shape.tenant).latest_read_at
    assert len(demo.desk.fleet(shape.tenant)) == 30
    table = demo.session.schema.require_reads()
    load(
        url,
        f"DELETE FROM {table.quoted} WHERE {table['read_at']} = (SELECT max({table['read_at']}) FROM {table.quoted}) "
        f"AND {table['meter_id']} IN (SELECT {table['meter_id']} FROM {table.quoted} GROUP BY 1 ORDER BY 1 LIMIT 20)",
    )
    monkeypatch.setattr(clock, "NEWEST_READS", 8)
    assert newest - demo.desk.pulse(shape.tenant).latest_read_at == timedelta(minutes=15)


# --- slices, and what is kept ---------------------------------------------------------------------------


def test_a_statement_that_is_broken_off_is_asked_again_of_half_as_much(on: Any) -> None:
    demo, _ = on(BY_NAME["variant_a"], start=False)
    database = connect(demo.settings.database_url.get_secret_value(), is_local=False)
    asked = []
    pace = Pace(800, 800)
    with database.transaction(statement_timeout_s=0.15, read_only=True) as connection:

        def ask(size: int) -> int:
            asked.append(size)
            connection.exec_driver_sql(f"SELECT pg_sleep({size} / 1000.0)")
            return size

        assert pace.ask(connection, ask)[0] == asked[-1] < 150
        connection.exec_driver_sql("SELECT 1")
    database.engine.dispose()
    assert asked[0] == 800
    assert asked == sorted(asked, reverse=True)


def test_any_slices_give_the_same_fleet(on: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("variant_a", "least_grants"):
        demo, _ = on(BY_NAME[name])
        before = learned(demo, BY_NAME[name].tenant)
        with monkeypatch.context() as patch:
            for small in ("FIRST_METERS", "MOST_METERS", "FIRST_MINUTES", "MOST_MINUTES"):
                patch.setattr(past, small, 7)
            patch.setattr(past, "HOP_S", 0.0)
            after = learned(demo, BY_NAME[name].tenant)
        assert after.meter_ids == before.meter_ids
        assert np.array_equal(after.habits.mean_wh, before.habits.mean_wh)
        assert np.array_equal(after.habits.mean_v, before.habits.mean_v, equal_nan=True)


def test_a_meter_that_moved_is_on_the_feeder_of_its_newest_read(on: Any) -> None:
    demo, url = on(BY_NAME["mixed_case"])
    before = learned(demo)
    table = demo.session.schema.require_reads()
    load(
        url,
        f"UPDATE {table.quoted} SET {table['feeder_id']} = '{before.feeders[-1]}' "
        f"WHERE {table['meter_id']} = '{before.meter_ids[0]}' AND {table['read_at']} > "
        f"(SELECT max({table['read_at']}) FROM {table.quoted}) - interval '2 hours'",
    )
    assert before.feeder_ids[0] != before.feeders[-1]
    assert learned(demo).feeder_ids[0] == before.feeders[-1]


@pytest.mark.parametrize(
    ("spoil", "again"),
    [
        pytest.param("nothing", False, id="the next process"),
        pytest.param("seed", True, id="another seed"),
        pytest.param("bytes", True, id="a broken file"),
        pytest.param("pickle", True, id="a foreign file"),
    ],
)
def test_a_large_fleet_is_kept_for_its_day(on: Any, monkeypatch: pytest.MonkeyPatch, spoil: str, again: bool) -> None:
    monkeypatch.setattr(kept, "KEPT_FROM", 100)
    demo, _ = on(BY_NAME["variant_a"])
    (file,) = demo.settings.data_dir.glob("fleet-*.npz")
    assert not list(demo.settings.data_dir.glob("*.part"))
    calls = []

    def learn(*given: Any) -> Fleet:
        calls.append(given)
        return learn_fleet(*given)

    monkeypatch.setattr(seeding, "learn_fleet", learn)
    fleet = demo.desk.fleet(TENANT)
    assert calls == []
    if spoil == "bytes":
        file.write_bytes(file.read_bytes()[:-1000])
    if spoil == "pickle":
        np.savez(file, key=np.array({"a": 1}, dtype=object))
    other = Demo(demo.settings.model_copy(update={"seed": 8} if spoil == "seed" else {}))
    other.session.start()
    found = other.desk.fleet(TENANT)
    other.stop()
    assert bool(calls) is again
    assert (found.meter_ids, found.feeder_ids) == (fleet.meter_ids, fleet.feeder_ids)
    assert np.array_equal(found.habits.mean_wh, fleet.habits.mean_wh)
    assert found.habits.minutes == 15
    assert np.array_equal(found.traits.key, fleet.traits.key) is (spoil != "seed")
