"""Learning a fleet from its own recent reads, whatever the table's shape and size."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from existing_shapes import SHAPES, Shape, load
from helpers import FROZEN, TENANT

from gridlens_core.database.newest import latest_read_at
from gridlens_core.demo.demo import Demo
from gridlens_core.errors import DatabaseNotReadyError
from gridlens_core.meters.events import EventRequest
from gridlens_core.meters.fleet import Fleet
from gridlens_core.publishing.history import interval_of
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
