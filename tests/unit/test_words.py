"""Numbers in words."""

from __future__ import annotations

from datetime import timedelta

import pytest
from helpers import FROZEN

from gridlens_core import words


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        pytest.param("from 2.47 % to 8.35 %", "from 2.47~% to 8.35~%", id="percent"),
        pytest.param("+0.57 pt theft, 36.8 kWh", "+0.57~pt theft, 36.8~kWh", id="points and energy"),
        pytest.param("1 d 2 h 15 min left", "1~d 2~h 15~min left", id="a span"),
        pytest.param("40 meters, 3 days, 5 hits, 7 vans", "40 meters, 3 days, 5 hits, 7 vans", id="words"),
    ],
)
def test_a_number_keeps_its_unit(text: str, shown: str) -> None:
    assert words.unbroken(text) == shown.replace("~", words.UNBROKEN)


@pytest.mark.parametrize(
    ("off", "said"),
    [(timedelta(hours=2), "(+2 h)"), (timedelta(seconds=-30), ""), (timedelta(hours=-26), "(-1 d 2 h)")],
)
def test_how_far_the_grid_clock_is_off(off: timedelta, said: str) -> None:
    assert words.lead(FROZEN + off, FROZEN) == said
