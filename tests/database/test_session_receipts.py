"""Every event has a receipt, and its lines add up."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from fractions import Fraction

import pytest
from helpers import FROZEN, TENANT

from gridlens_core.demo.demo import Demo
from gridlens_core.explanation.catalogue import CARD_KPIS
from gridlens_core.explanation.receipts import Line
from gridlens_core.meters.events import EventRequest


def expect_sum(line: Line) -> None:
    parts = (line.before, line.drift, line.effect, line.others)
    assert sum(map(Fraction, parts), Fraction(0)) == Fraction(line.after)


def test_receipts_of_a_session(make_demo: Callable[..., Demo]) -> None:
    demo = make_demo()
    tariff = demo.settings.tariff_usd_per_kwh
    for event_type, feeder in (("theft", "FEEDER_7"), ("voltage-sag", "FEEDER_2"), ("comms-outage", "FEEDER_3")):
        demo.trigger(TENANT, EventRequest(event_type, feeder_id=feeder, severity=0.7, duration_minutes=30))
    demo.publish(TENANT, cycles=2)
    cancelled = demo.trigger(
        TENANT,
        EventRequest(
            "theft", feeder_id="FEEDER_1", severity=1, duration_minutes=60, starts_at=FROZEN + timedelta(days=1)
        ),
    )
    demo.end(cancelled.id)
    moment = demo.desk.explained(TENANT)
    outage, sag, theft = moment.receipts
    assert [one.event.event_type for one in (outage, sag, theft)] == ["comms-outage", "voltage-sag", "theft"]
    for receipt in (outage, sag, theft):
        assert receipt.exact
        assert receipt.measured_at == moment.grid_now
        assert [line.kpi for line in receipt.lines] == list(CARD_KPIS)
        for line in receipt.lines:
            expect_sum(line)
    effects = {
        one.event.event_type: {line.kpi: line.effect for line in one.lines if line.effect}
        for one in (outage, sag, theft)
    }
    assert effects["theft"]["loss_pct"] > 0
    assert effects["voltage-sag"].keys() == {"voltage_compliance_pct", "suspicious_meters", "open_tasks"}
    assert effects["comms-outage"]["read_success_pct"] < 0
    assert effects["theft"].keys() == {"loss_pct", "suspicious_meters", "open_tasks"}
    assert theft.usd == pytest.approx(theft.truth.kwh_not_recorded * tariff) != 0
    assert (sag.usd, outage.usd, outage.score) == (0, 0, None)
    assert theft.truth.reads_altered == 40
    assert sag.truth.reads_altered == sag.truth.reads_low_voltage == 52  # of a larger feeder
    assert outage.truth.reads_missing == 12

    demo.publish(TENANT, cycles=2)  # all three are over: what was taken stays, and nobody is named any more
    over = {one.event.event_type: one for one in demo.desk.explained(TENANT).receipts}
    for receipt in over.values():
        counted = {line.kpi: line.effect for line in receipt.lines if line.kpi in ("suspicious_meters", "open_tasks")}
        assert counted == {"suspicious_meters": 0, "open_tasks": 0}
    lines = {line.kpi: line for line in over["theft"].lines}
    assert 0 < lines["loss_pct"].effect < effects["theft"]["loss_pct"]
    assert over["theft"].truth == theft.truth
