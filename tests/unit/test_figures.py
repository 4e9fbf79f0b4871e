"""The waterfall: parts that add up as they are printed, by event and not by name."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from helpers import FROZEN

from gridlens_core.demo.earlier import days_before
from gridlens_core.display.figures import OTHER_EVENTS, earlier_kwh, span_of, waterfall
from gridlens_core.display.labels import Label
from gridlens_core.explanation.catalogue import ALL
from gridlens_core.explanation.energy import FeederInterval
from gridlens_core.explanation.why import Effect, Why


def why(before: str, drift: str, *effects: str) -> Why:
    """A loss, and what each of its events does to it; their ids are their numbers from 1."""
    changes = tuple(Effect(str(number), Decimal(change)) for number, change in enumerate(effects, 1))
    without = Decimal(before) + Decimal(drift)
    now = without + sum((one.change for one in changes), Decimal(0))
    return Why("loss_pct", FROZEN, Decimal(before), without, now, Decimal(drift), changes)


def labels(some: Why, text: str = "theft F{}") -> dict[str, Label]:
    return {one.event_id: Label(text.format(one.event_id), "theft") for one in some.effects}


def test_small_effects_are_gathered() -> None:
    seven = why("2.0", "-0.1", *(f"0.{number}" for number in range(1, 8)))
    bars = waterfall(seven, labels(seven))
    assert [bar.label for bar in bars] == [
        *("before", "natural drift", "theft F5", "theft F6", "theft F7", OTHER_EVENTS, "now")
    ]
    assert bars[-2].text == "+1.00 pt"
    assert bars[-2].end == pytest.approx(float(seven.now))
    assert [bar.start for bar in bars[2:-1]] == [bar.end for bar in bars[1:-2]]


def test_two_thefts_of_one_name_have_a_bar_each() -> None:
    two = why("2", "0", "1.5", "0.5")
    bars = waterfall(two, labels(two, "theft F1"))
    assert [(bar.label, bar.text) for bar in bars[2:-1]] == [("theft F1", "+1.50 pt"), ("theft F1", "+0.50 pt")]


@pytest.mark.parametrize(
    ("before", "parts"),
    [
        pytest.param("0", ("-0.05", "2.469", "3.255"), id="rounded one by one they would miss a hundredth"),
        pytest.param("2.3649", ("0.0049", "0.3049", "0.0049"), id="remainders that make a hundredth"),
        pytest.param("9.99", ("-0.004", "-0.004", "-0.004"), id="down"),
    ],
)
def test_the_printed_parts_add_up_to_the_printed_movement(before: str, parts: tuple[str, ...]) -> None:
    some = why(before, *parts)
    bars = waterfall(some, labels(some))
    first, *steps, last = [Decimal(bar.text.split()[0]) for bar in bars]
    assert first + sum(steps) == last


@pytest.mark.parametrize("kpi", [pytest.param(kpi, id=kpi) for kpi in ALL])
@pytest.mark.parametrize("level", [0.0, 2.71, 50.0, 99.9])
def test_a_small_change_is_no_plunge_on_any_kpis_axis(kpi: str, level: float) -> None:
    low, high = span_of([level, None, level + ALL[kpi].least_span / 40], kpi)
    assert low <= level <= level + ALL[kpi].least_span / 40 <= high
    assert high - low >= ALL[kpi].least_span
    assert low >= 0


def test_a_large_change_fills_its_axis() -> None:
    assert span_of([2.4, 9.8], "loss_pct") == (1.0, 11.0)
    assert span_of([], "loss_pct")[0] == 0


def test_the_same_times_of_an_earlier_day_are_those_on_the_clocks() -> None:
    # On 2 November 2025 the clocks of Chicago went back: the day before is 25 hours away.
    noon = datetime(2025, 11, 2, 18, tzinfo=UTC)
    assert days_before(noon, 1, "America/Chicago") == datetime(2025, 11, 1, 17, tzinfo=UTC)


def test_energy_that_was_not_there_stays_unknown() -> None:
    rows = [FeederInterval("F1", FROZEN, 2.0), FeederInterval("F2", FROZEN, 3.0)]
    later = FROZEN + timedelta(minutes=15)
    assert earlier_kwh(rows, None, [FROZEN, later]) == (5.0, None)
    assert earlier_kwh(rows, "F2", [FROZEN]) == (3.0,)
