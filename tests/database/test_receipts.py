"""Every click leaves a receipt, and its lines add up."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from helpers import FROZEN, TENANT, event

from gridlens_core.demo.demo import Demo
from gridlens_core.explanation.kpis import Kpis
from gridlens_core.explanation.receipts import RECEIPT_KPIS, Line, receipt_lines
from gridlens_core.explanation.trace import Observation
from gridlens_core.meters.events import EventRequest

QUARTER = timedelta(minutes=15)
THEFT = event()
ID, OTHER_ID = str(THEFT.id), "another"


def kpis(loss: str | None, day: date = date(2026, 11, 18), **more: Any) -> Kpis:
    return Kpis(day, loss_pct=None if loss is None else Decimal(loss), **more)


def cycle(number: int, *values: str | None, steps: tuple[str, ...] = (ID,), day: date = date(2026, 11, 18)) -> Any:
    """Loss before the cycle, clean and after each step."""
    before, clean, *after = [kpis(value, day) for value in values]
    return Observation(
        FROZEN + number * QUARTER, [clean, *after][-1], before, clean, tuple(zip(steps, after, strict=True))
    )


def expect_sum(line: Line) -> None:
    parts = (line.before, line.drift, line.effect, line.others)
    assert sum(map(Fraction, parts), Fraction(0)) == Fraction(line.after)


def test_before_and_after_are_drift_effect_and_others() -> None:
    seen = [
        cycle(1, "2", "2.1", "3.1"),
        cycle(2, "3.1", "3.0", "4.5", "5.5", steps=(OTHER_ID, ID)),
        cycle(3, "5.5", "5.6", steps=()),
        cycle(4, "5.6", "5.61", "6.0000000000000000000000000000000000001"),
    ]
    cycles, (line,) = receipt_lines(THEFT, seen)
    assert cycles == 3
    assert (line.kpi, line.before, line.after) == ("loss_pct", 2, Decimal("6.0000000000000000000000000000000000001"))
    assert line.drift == Decimal("0.01")
    assert line.effect == Decimal("2.3900000000000000000000000000000000001")
    assert line.others == Decimal("1.6")  # the other event's, and the cycle this one was not in
    expect_sum(line)


def test_an_event_that_was_in_no_cycle_has_no_lines() -> None:
    assert receipt_lines(THEFT, []) == (0, ())
    assert receipt_lines(THEFT, [cycle(1, "2", "2.1", "3.1", steps=(OTHER_ID,))]) == (0, ())
    assert receipt_lines(THEFT, [cycle(1, "2", "2.1", "3", steps=(f"{OTHER_ID}+{ID}",))]) == (0, ())


def test_it_speaks_of_the_last_day() -> None:
    next_day = date(2026, 11, 19)
    seen = [cycle(1, "2", "2", "3"), cycle(2, "1", "1", "4", day=next_day), cycle(3, "4", "4", "5", day=next_day)]
    cycles, (line,) = receipt_lines(THEFT, seen)
    assert (cycles, line.before, line.after, line.effect) == (3, 1, 5, 4)


def test_what_the_database_does_not_have_is_left_out() -> None:
    cycles, lines = receipt_lines(THEFT, [cycle(1, None, None, None)])
    assert (cycles, lines) == (1, ())


def test_receipts_of_a_session(make_demo: Callable[..., Demo]) -> None:
    demo = make_demo()
    tariff = demo.settings.tariff_usd_per_kwh
    for event_type, feeder in (("theft", "FEEDER_7"), ("voltage-sag", "FEEDER_2"), ("comms-outage", "FEEDER_3")):
        demo.trigger(TENANT, EventRequest(event_type, feeder_id=feeder, severity=0.7, duration_minutes=30))
    demo.publish(TENANT, cycles=3)
    cancelled = demo.trigger(
        TENANT,
        EventRequest(
            "theft", feeder_id="FEEDER_1", severity=1, duration_minutes=60, starts_at=FROZEN + timedelta(days=1)
        ),
    )
    demo.end(cancelled.id)
    outage, sag, theft = demo.receipts(TENANT)
    assert [one.event.event_type for one in (outage, sag, theft)] == ["comms-outage", "voltage-sag", "theft"]
    for receipt in (outage, sag, theft):
        assert receipt.cycles == 2
        assert [line.kpi for line in receipt.lines] == list(RECEIPT_KPIS)
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
    assert theft.truth.reads_altered == sag.truth.reads_altered == sag.truth.reads_low_voltage == 40
    assert outage.truth.reads_missing == 40
