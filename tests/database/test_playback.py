"""A history is played back before it is continued, and what cannot be played back is not continued."""

from __future__ import annotations

from typing import Any

import pytest
from api_client import PUBLISH, client_of
from existing_shapes import SHAPES, Shape, engine_of, load

from gridlens_core.errors import DatabaseNotReadyError
from gridlens_core.preflight.checks import preflight
from gridlens_core.preflight.findings import Finding

BY_NAME = {shape.name: shape for shape in SHAPES}
VARIANT_A, MEAN = BY_NAME["variant_a"], BY_NAME["mean_loss"]
TENANT = VARIANT_A.tenant
READS = "public.meter_reads_electric"


def playback(demo: Any, tenant: str = TENANT) -> Finding:
    return next(one for one in preflight(demo, tenant) if one.what == "History: playback")


def count(url: str) -> int:
    with engine_of(url).connect() as connection:
        return int(connection.exec_driver_sql(f"SELECT count(*) FROM {READS}").scalar_one())


def test_variant_a_plays_back_within_the_bands_feeder_by_feeder(on: Any) -> None:
    demo, _ = on(VARIANT_A)
    found = playback(demo)
    assert found.state == "passed"
    assert len(found.table) == 8
    assert all(abs(float(str(row["off %"]))) < 3 for row in found.table)
    assert demo.publish(TENANT).cycles[0].inserted > 0


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)
def test_every_shape_is_played_back_or_says_why_not(on: Any, shape: Shape) -> None:
    demo, _ = on(shape)
    found = playback(demo, shape.tenant)
    assert found.state == "passed" or "less than two full days" in found.found
    assert demo.usual_interval(shape.tenant) == shape.minutes
    assert demo.publish(shape.tenant).cycles[0].interval_minutes == shape.minutes


REFUSED = {
    "a register": (
        f"UPDATE {READS} r SET kwh = s.dial FROM (SELECT meter_id, read_at, 12000 + sum(kwh) OVER "
        f"(PARTITION BY meter_id ORDER BY read_at) AS dial FROM {READS}) s "
        "WHERE (s.meter_id, s.read_at) = (r.meter_id, r.read_at)",
        "register",
    ),
    "daily reads": (f"DELETE FROM {READS} WHERE (read_at AT TIME ZONE 'UTC')::time <> '12:00'", "reads come"),
    "intervals side by side": (
        f"DELETE FROM {READS} WHERE right(meter_id, 1) < '4' AND extract(minute FROM read_at) <> 0", "another interval",
    ),
    "several channels": (
        f"ALTER TABLE {READS} DROP CONSTRAINT mre_one_per_interval; "
        f"INSERT INTO {READS} (tenant_id, meter_id, feeder_id, kwh, voltage, read_at) "
        f"SELECT tenant_id, meter_id, feeder_id, -kwh / 2, voltage, read_at FROM {READS}",
        "beside another of the same meter and time",
    ),
    "meters without a feeder": (
        f"UPDATE {READS} SET feeder_id = NULL WHERE right(meter_id, 1) < '4'", "have no feeder",
    ),
    "reads without energy": (f"UPDATE {READS} SET kwh = NULL WHERE right(meter_id, 1) < '4'", "no energy"),
    "a unit that changed": (
        f"UPDATE {READS} SET kwh = kwh * 1000 WHERE read_at > (SELECT max(read_at) FROM {READS}) - interval '1 day'",
        "feeders are off",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("sql", "says"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_played_back_is_blocked_with_the_remedy_and_nothing_is_written(
    on: Any, sql: str, says: str
) -> None:
    demo, url = on(VARIANT_A)
    load(url, sql)
    before = count(url)
    blocked = [one for one in preflight(demo, TENANT) if one.state == "blocked"]
    assert any(says in one.found and one.remedy for one in blocked), blocked
    with pytest.raises(DatabaseNotReadyError, match="cannot be played back"):
        demo.publish(TENANT)
    answer = client_of(demo, "a key").post(PUBLISH, json={"tenantId": TENANT})
    assert (answer.status_code, says in answer.json()["error"]["message"]) == (503, True)
    assert answer.json()["error"]["details"]["remedy"]
    assert count(url) == before


def test_the_interval_of_the_history_is_published_where_no_other_is_asked_for(on: Any) -> None:
    demo, _ = on(MEAN)
    client = client_of(demo, "a key")
    assert client.post(PUBLISH, json={"tenantId": TENANT}).json()["intervalMinutes"] == 60
    assert client.post(PUBLISH, json={"tenantId": TENANT, "intervalMinutes": 15}).json()["intervalMinutes"] == 15
