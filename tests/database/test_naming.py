"""What the local suspicious-meters view names: theft where there is one, and never where there is none."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from helpers import FROZEN, SMALL_FLEET, TENANT, event_request

from gridlens_core.clock import local_day
from gridlens_core.database.connection import Database, connect
from gridlens_core.database.discovery import discover
from gridlens_core.database.event_log import insert_event
from gridlens_core.demo.demo import Demo
from gridlens_core.explanation.kpis import read_kpis
from gridlens_core.meters.events import EventRequest
from gridlens_core.publishing.publisher import Plan, publish_cycle
from gridlens_core.publishing.seeding import local_fleet, prepare_local
from gridlens_core.settings import Settings

QUARTER = timedelta(minutes=15)


@pytest.mark.parametrize("severity", [0.3, 0.7, 1.0])
def test_a_feeder_s_theft_is_found_and_scored(make_demo: Callable[..., Demo], severity: float) -> None:
    demo = make_demo()
    demo.publish(TENANT)
    demo.trigger(TENANT, event_request(severity=severity))
    demo.publish(TENANT, cycles=6)
    (receipt,) = demo.desk.explained(TENANT).receipts
    found = receipt.score
    assert found is not None
    assert (found.meters, found.cycles, found.wrongly_named, found.precision) == (20, 4, 0, 1.0)
    assert found.cycles_to_detection == (1 if severity > 0.5 else 2)
    assert found.recall is not None
    assert found.recall > 0.3
    assert receipt.before_detection_usd is not None
    assert 0 < receipt.before_detection_usd < receipt.usd
    assert receipt.usd == pytest.approx(receipt.truth.kwh_not_recorded * 0.17)


def combinations() -> list[Any]:
    """(type, begins after minutes, lasts minutes) of what overlaps on one feeder."""
    odd = [
        [("comms-outage", 0, 60)],
        [("voltage-sag", 7, 40)],
        [("comms-outage", 0, 60), ("voltage-sag", 0, 60)],
        [("voltage-sag", 0, 75), ("comms-outage", 22, 15)],
        [("comms-outage", 3, 31), ("voltage-sag", 19, 44), ("comms-outage", 61, 1)],
    ]
    return [pytest.param(case, id=" and ".join(f"{kind} from {at}" for kind, at, _ in case)) for case in odd]


@pytest.fixture(scope="module", params=[4, 100], ids=["4 meters a feeder", "100 meters a feeder"])
def sized(request: pytest.FixtureRequest, server: Any) -> Any:
    """A local database with few meters on a feeder, or many."""
    size = {"feeders": 3, "meters_per_feeder": request.param, "history_days": 4}
    name = f"detection_{request.param}"
    database = connect(server.create(name), is_local=True)
    prepare_local(database, Settings(now=FROZEN, **size), FROZEN, lambda _: None)
    yield database, size
    database.engine.dispose()
    server.drop(name)


@pytest.mark.parametrize("case", combinations())
def test_an_outage_and_a_sag_are_never_called_theft(sized: tuple[Database, Any], case: Any) -> None:
    database, size = sized
    fleet = local_fleet(database, Settings(**size), TENANT)
    issues: set[str] = set()
    with database.engine.connect() as connection:
        schema = discover(connection)
        for kind, at, minutes in case:
            asked = EventRequest(kind, feeder_id="FEEDER_2", severity=0.9, duration_minutes=minutes)
            insert_event(connection, asked.checked(TENANT, FROZEN - QUARTER + timedelta(minutes=at)))
        for _ in range(8):
            done = publish_cycle(connection, Plan(schema, fleet, FROZEN, supply=True))
            kpis = read_kpis(connection, schema, TENANT, local_day(done.read_at, fleet.timezone))
            issues |= set(kpis.named.values())
    assert issues <= {"VOLTAGE_LOW"}
    outages, sags = (
        [(at, at + lasts) for kind, at, lasts in case if kind == one] for one in ("comms-outage", "voltage-sag")
    )
    assert bool(issues) == bool(set(sags) - set(outages))  # a sag during an outage of its meters is not named


def test_the_view_names_the_same_after_a_restart(make_demo: Callable[..., Demo]) -> None:
    demo = make_demo()
    demo.trigger(TENANT, event_request())
    demo.publish(TENANT, cycles=2)
    again = make_demo(data_dir=demo.settings.data_dir)
    assert [one.score for one in again.desk.explained(TENANT).receipts] == [
        one.score for one in demo.desk.explained(TENANT).receipts
    ]
    with demo.session.transaction(read_only=True) as connection:
        rows = connection.execute(sa.text("SELECT id FROM ami_events")).scalars().all()
    assert [one.event.id for one in again.desk.explained(TENANT).receipts] == [UUID(str(row)) for row in rows]
    assert len(again.desk.fleet(TENANT)) == SMALL_FLEET["feeders"] * SMALL_FLEET["meters_per_feeder"]
