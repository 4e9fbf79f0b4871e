"""The waterfall: parts that add up as they are printed, by event and not by name."""

from __future__ import annotations

from decimal import Decimal

import pytest
from helpers import FROZEN

from gridlens_core.display.figures import OTHER_EVENTS, waterfall
from gridlens_core.display.labels import Label
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
