"""Blind detection, scored: right names, wrong names, missed ones."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest
from helpers import FROZEN, TENANT, event

from gridlens_core.explanation.detection import is_voltage_issue, score_event, session_score
from gridlens_core.explanation.kpis import Kpis
from gridlens_core.explanation.trace import Observation
from gridlens_core.meters.fleet import synthetic_fleet

QUARTER = timedelta(minutes=15)
FLEET = synthetic_fleet(TENANT, feeders=2, meters_per_feeder=4, seed=7, timezone="America/Chicago")
ONE, TWO = FLEET.meter_ids[:4], FLEET.meter_ids[4:]


def cycle(number: int, *named: str, issue: str = "CONSUMPTION_DROP", **more: str) -> Observation:
    """The names after the `number`-th cycle."""
    at = FROZEN + number * QUARTER
    kpis = Kpis(date(2026, 11, 18), named={**dict.fromkeys(named, issue), **more})
    return Observation(at, kpis)


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
    assert score([cycle(1)]).precision is None  # no meter named, so there is no precision
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
