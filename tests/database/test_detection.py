"""Blind detection, scored: right names, wrong names, missed ones; and never theft where there is none."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from helpers import FROZEN, SMALL_FLEET, TENANT, event, event_request

from gridlens_core.clock import local_day
from gridlens_core.database.connection import Database, connect
from gridlens_core.database.event_log import insert_event
from gridlens_core.database.schema import discover
from gridlens_core.demo.demo import Demo
from gridlens_core.explanation.detection import is_voltage_issue, score_event, session_score
from gridlens_core.explanation.kpis import Kpis, read_kpis
from gridlens_core.explanation.trace import Observation
from gridlens_core.meters.events import EventRequest
from gridlens_core.meters.fleet import synthetic_fleet
from gridlens_core.publishing.publisher import publish_cycle
from gridlens_core.publishing.seeding import local_fleet, prepare_local
from gridlens_core.settings import Settings

QUARTER = timedelta(minutes=15)
FLEET = synthetic_fleet(TENANT, feeders=2, meters_per_feeder=4, seed=7, timezone="America/Chicago")
ONE, TWO = FLEET.meter_ids[:4], FLEET.meter_ids[4:]


def cycle(number: int, *named: str, issue: str = "CONSUMPTION_DROP", **more: str) -> Observation:
    """The names after the `number`-th cycle."""
    at = FROZEN + number * QUARTER
    kpis = Kpis(date(2026, 11, 18), named={**dict.fromkeys(named, issue), **more})
    return Observation(at, kpis, began_at=at - QUARTER)


THEFT = event(feeder="FEEDER_1", ends=FROZEN + 4 * QUARTER)


def score(seen: list[Observation], scored: Any = THEFT, events: Any = ()) -> Any:
    return score_event(scored, [scored, *events], FLEET, seen)


def test_of_those_touched_and_those_named() -> None:
    found = score([cycle(0), cycle(1), cycle(2, *ONE[:2]), cycle(3, ONE[2], TWO[0]), cycle(4), cycle(5, *ONE, *TWO)])
    assert (found.meters, found.found, found.wrongly_named, found.cycles) == (4, 3, 1, 4)
    assert (found.precision, found.recall) == (0.75, 0.75)
    assert (found.cycles_to_detection, found.detected_at) == (2, FROZEN + 2 * QUARTER)


def test_a_miss_is_a_miss() -> None:
    found = score([cycle(1), cycle(2, TWO[0]), cycle(3)])
    assert (found.precision, found.recall) == (0, 0)
    assert (found.cycles_to_detection, found.detected_at) == (None, None)
    assert score([cycle(1)]).precision is None  # nobody named: there is nothing to be right about
    assert score([]).recall is None


def test_a_sag_is_scored_by_voltage_and_theft_by_consumption() -> None:
    sag = event("voltage-sag", feeder="FEEDER_1", ends=FROZEN + 4 * QUARTER)
    seen = [cycle(1, *ONE, issue="VOLTAGE_LOW"), cycle(2, *ONE[:1])]
    assert (score(seen, sag).found, score(seen, sag).cycles_to_detection) == (4, 1)
    assert (score(seen).found, score(seen).cycles_to_detection) == (1, 2)
    assert score(seen, event("comms-outage", feeder="FEEDER_1")) is None
    assert is_voltage_issue("Low voltage")
    assert not is_voltage_issue("named")


def test_others_meters_are_not_wrongly_named_for_a_while_after() -> None:
    def other(**more: Any) -> Any:
        return event(feeder="FEEDER_2", **more)

    seen = [cycle(1, *ONE, *TWO)]
    assert score(seen).wrongly_named == 4
    assert score(seen, events=[other()]).wrongly_named == 0
    before = {"starts": FROZEN - timedelta(hours=3), "ends": FROZEN - QUARTER}
    assert score(seen, events=[other(**before)]).wrongly_named == 0
    long_ago = {"starts": FROZEN - timedelta(hours=9), "ends": FROZEN - timedelta(hours=3)}
    assert score(seen, events=[other(**long_ago)]).wrongly_named == 4
    assert score(seen, events=[event("voltage-sag", feeder="FEEDER_2")]).wrongly_named == 4


def test_one_meter_of_a_feeder() -> None:
    ring = event(feeder="FEEDER_1", meter=ONE[1], ends=FROZEN + 4 * QUARTER)
    found = score([cycle(1, ONE[1], ONE[2])], ring)
    assert (found.meters, found.found, found.wrongly_named) == (1, 1, 1)


def test_a_session_is_all_events_together() -> None:
    first = score([cycle(1, *ONE), cycle(2)])
    missed = score([cycle(1), cycle(2)], event(feeder="FEEDER_2"))
    late = score([cycle(1), cycle(2), cycle(3, ONE[0], TWO[0])])
    whole = session_score([first, missed, late])
    assert (whole.meters, whole.found, whole.wrongly_named, whole.cycles) == (12, 5, 1, 7)
    assert whole.recall == pytest.approx(5 / 12)
    assert whole.cycles_to_detection == 2  # of those found
    assert session_score([missed]).cycles_to_detection is None
    assert session_score([]) is None


# --- the local view -------------------------------------------------------------------------------------


@pytest.mark.parametrize("severity", [0.3, 0.7, 1.0])
def test_a_feeder_s_theft_is_found_and_scored(make_demo: Callable[..., Demo], severity: float) -> None:
    demo = make_demo()
    demo.publish(TENANT)
    demo.trigger(TENANT, event_request(severity=severity))
    demo.publish(TENANT, cycles=6)
    (receipt,) = demo.receipts(TENANT)
    found = receipt.score
    assert found is not None
    assert (found.meters, found.cycles, found.wrongly_named, found.precision) == (20, 4, 0, 1.0)
    assert found.cycles_to_detection == 1
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
    database = connect(server.create(f"detection_{request.param}"), is_local=True)
    prepare_local(database, Settings(now=FROZEN, **size), FROZEN, lambda _: None)
    yield database, size
    database.engine.dispose()


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
            done = publish_cycle(connection, schema, fleet, wall=FROZEN, interval_minutes=15, supply=True)
            kpis = read_kpis(connection, schema, TENANT, local_day(done.read_at, fleet.timezone))
            issues |= set(kpis.named.values())
    assert issues <= {"VOLTAGE_LOW"}
    outages, sags = (
        [(at, at + lasts) for kind, at, lasts in case if kind == one] for one in ("comms-outage", "voltage-sag")
    )
    assert bool(issues) == bool(set(sags) - set(outages))  # a sag that nobody could report is not named


def test_the_view_names_the_same_after_a_restart(make_demo: Callable[..., Demo]) -> None:
    demo = make_demo()
    demo.trigger(TENANT, event_request())
    demo.publish(TENANT, cycles=2)
    again = make_demo(data_dir=demo.settings.data_dir)
    assert [one.score for one in again.receipts(TENANT)] == [one.score for one in demo.receipts(TENANT)]
    with demo.transaction(read_only=True) as connection:
        rows = connection.execute(sa.text("SELECT id FROM ami_events")).scalars().all()
    assert [one.event.id for one in again.receipts(TENANT)] == [UUID(str(row)) for row in rows]
    assert len(again.fleet(TENANT)) == SMALL_FLEET["feeders"] * SMALL_FLEET["meters_per_feeder"]
