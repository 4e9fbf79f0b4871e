"""Evidence for each meter: its reads beside what was expected of it, and why it is named or not."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from existing_shapes import SHAPES, demo_on, migrate, template_of
from helpers import TENANT, Server, kpis_of

from gridlens_core.demo.demo import Demo
from gridlens_core.errors import UnknownMeterError
from gridlens_core.explanation.evidence import EVIDENCE_HOURS
from gridlens_core.meters.emulator import Span, event_meters, honest_intervals
from gridlens_core.meters.events import EventRequest

QUARTER = timedelta(minutes=15)


def act(demo: Demo, event_type: str, feeder: str = "FEEDER_7", **more: Any) -> Any:
    chosen = {"severity": 0.7, "duration_minutes": 120, **more}
    event = demo.trigger(TENANT, EventRequest(event_type, feeder_id=feeder, **chosen))
    demo.publish(TENANT, cycles=3)
    return event


def on(demo: Demo, feeder: str) -> list[str]:
    fleet = demo.desk.fleet(TENANT)
    return [meter for meter, of in zip(fleet.meter_ids, fleet.feeder_ids, strict=True) if of == feeder]


def test_a_named_meter_s_reads_fall_under_what_was_expected(demo: Demo) -> None:
    act(demo, "theft")
    named = kpis_of(demo, TENANT)[1].named
    assert named
    usual, taken = [], []
    for meter in sorted(named):
        seen = demo.desk.evidence(demo.desk.fresh(TENANT), meter)
        assert (seen.meter_id, seen.feeder_id, seen.named) == (meter, "FEEDER_7", True)
        assert len(seen.read_at) == len(seen.recorded_kwh) == len(seen.expected_kwh) > 80
        assert seen.read_at[-1] == demo.desk.pulse(TENANT).grid_now
        assert seen.read_at[-1] - seen.read_at[0] < timedelta(hours=EVIDENCE_HOURS)
        stolen, before = slice(-3, None), slice(0, -3)
        recorded = np.array([np.nan if kwh is None else kwh for kwh in seen.recorded_kwh])
        expected = np.array(seen.expected_kwh)
        taken.append((np.nansum(recorded[stolen]), expected[stolen].sum()))
        usual.append((np.nansum(recorded[before]), np.nansum(expected[before])))
        assert seen.sentence.startswith(f"{meter} is named for consumption drop: ")
        assert "FEEDER_7" in seen.sentence
    assert re.search(r"record \d\d % too little, the same share in 3 intervals; confidence 9\d %", seen.sentence)
    recorded, expected = np.sum(taken, axis=0)
    assert recorded < 0.4 * expected
    recorded_before, expected_before = np.sum(usual, axis=0)
    assert recorded_before == pytest.approx(expected_before, rel=0.25)


def test_why_a_neighbour_is_not_named(demo: Demo) -> None:
    thief = on(demo, "FEEDER_7")[3]
    act(demo, "theft", severity=1, meter_id=thief)
    named = kpis_of(demo, TENANT)[1].named
    assert "recorded 0.00 of" in demo.desk.evidence(demo.desk.fresh(TENANT), thief).sentence
    others = [meter for meter in on(demo, "FEEDER_7") if meter not in named]
    assert named
    assert others
    for meter in others:
        seen = demo.desk.evidence(demo.desk.fresh(TENANT), meter)
        assert not seen.named
        assert f"{meter} is not named though" in seen.sentence
        assert "of FEEDER_7" in seen.sentence
        assert "does not follow its reads" in seen.sentence
    elsewhere = demo.desk.evidence(demo.desk.fresh(TENANT), on(demo, "FEEDER_2")[0])
    assert "FEEDER_2 lost no more lately than its conductors explain" in elsewhere.sentence


def test_a_feeder_is_suspected_before_its_meters_can_be_named(demo: Demo) -> None:
    for thief in on(demo, "FEEDER_7")[:3]:
        demo.trigger(
            TENANT, EventRequest("theft", feeder_id="FEEDER_7", meter_id=thief, severity=0.6, duration_minutes=60)
        )
    demo.publish(TENANT, cycles=2)
    at = demo.desk.fresh(TENANT)
    assert at.kpis.named == {}
    assert at.kpis["revenue_or_meter_tasks"] == 1
    assert at.suspected.keys() == {"FEEDER_7"}
    assert "beyond what its conductors explain" in at.suspected["FEEDER_7"]
    sentence = demo.desk.evidence(at, on(demo, "FEEDER_7")[0]).sentence
    assert "the reads do not tell yet whose meters it was" in sentence


def test_a_silent_meter_is_a_comms_task_and_no_thief(demo: Demo) -> None:
    act(demo, "comms-outage")
    demo.publish(TENANT)
    seen = demo.desk.evidence(demo.desk.fresh(TENANT), on(demo, "FEEDER_7")[0])
    assert not seen.named
    assert seen.recorded_kwh[-4:] == (None,) * 4
    assert min(seen.expected_kwh[-4:]) > 0
    assert "sent no read in the last hour" in seen.sentence
    assert "not theft" in seen.sentence


def test_low_voltage_is_told_from_consumption(demo: Demo) -> None:
    one = on(demo, "FEEDER_7")[0]
    act(demo, "voltage-sag", meter_id=one)
    assert "is named for voltage low: " in demo.desk.evidence(demo.desk.fresh(TENANT), one).sentence
    neighbour = demo.desk.evidence(demo.desk.fresh(TENANT), on(demo, "FEEDER_7")[1])
    assert "lost no more lately than its conductors explain" in neighbour.sentence


def test_an_unknown_meter_is_refused(demo: Demo) -> None:
    with pytest.raises(UnknownMeterError):
        demo.desk.evidence(demo.desk.fresh(TENANT), "nobody's")


# --- databases of others --------------------------------------------------------------------------------


@pytest.fixture(params=["mean_loss", "partitioned"])
def existing(
    request: pytest.FixtureRequest, server: Server, new_database: Callable[..., str], tmp_path: Path
) -> Iterator[tuple[Demo, int]]:
    """A Demo on a shape, and the minutes its history's intervals have."""
    (shape,) = [one for one in SHAPES if one.name == request.param]
    url = new_database(template_of(server, shape))
    migrate(url, shape.role)
    demo = demo_on(url, shape, tmp_path / "data")
    demo.session.start()
    yield demo, shape.minutes
    demo.stop()


def test_expected_is_what_the_meter_usually_uses_in_such_an_interval(existing: tuple[Demo, int]) -> None:
    demo, minutes = existing
    demo.publish(TENANT, cycles=3, interval_minutes=minutes)
    demo.publish(TENANT, interval_minutes=5)
    meter = demo.desk.fleet(TENANT).meter_ids[0]
    seen = demo.desk.evidence(demo.desk.fresh(TENANT), meter)
    recorded, expected = np.array(seen.recorded_kwh, dtype=float), np.array(seen.expected_kwh)
    assert 0.7 < recorded[:-1].sum() / expected[:-1].sum() < 1.4
    assert 0.4 < recorded[-1] / expected[-1] < 2.5
    assert expected[-2] / expected[-1] == pytest.approx(minutes / 5, rel=0.3)
    assert "not named" in seen.sentence
    assert "conductors" not in seen.sentence  # of which this database says nothing


def test_honest_reads_of_the_chart_are_the_emulator_s(demo: Demo) -> None:
    """The chart's reads are those of the database, which theft has altered by just the severity."""
    event = act(demo, "theft", severity=0.5)
    fleet = demo.desk.fleet(TENANT)
    meter = on(demo, "FEEDER_7")[0]
    seen = demo.desk.evidence(demo.desk.fresh(TENANT), meter)
    chosen = fleet.take(event_meters(event, fleet) & (np.array(fleet.meter_ids) == meter))
    honest, _ = honest_intervals(chosen, Span(seen.read_at[-1] - 3 * QUARTER, 15, 3))
    kept = [kwh for kwh in seen.recorded_kwh[-3:] if kwh is not None]
    assert kept == pytest.approx((honest[0] / 2000)[-len(kept) :].tolist())
