"""The check before the show: what is green, and the reason where it is not."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, cast

import pytest
from helpers import FROZEN

from gridlens_core.demo.readiness import Check, readiness


@dataclass
class Views:
    failed: dict[str, str] = field(default_factory=dict)


@dataclass
class Site:
    may_put_right: bool = True


@dataclass
class At:
    """As much of a moment as the checks look at; noon in Chicago."""

    grid_now: datetime = FROZEN
    timezone: str = "America/Chicago"
    unmeasured: str = ""
    is_being_measured: bool = False
    kpis: Views = field(default_factory=Views)
    site: Site = field(default_factory=Site)


def checks(view_seconds: float = 0.06, **changes: Any) -> list[Check]:
    return readiness(cast("Any", At(**changes)), view_seconds)


def test_a_quiet_noon_is_ready() -> None:
    assert checks() == [
        Check("views answer in 60 ms", True),
        Check("explanation on", True),
        Check("12 h of day left", True),
    ]


@pytest.mark.parametrize(
    ("place", "found", "said"),
    [
        pytest.param(0, checks(view_seconds=2.34), "views answer in 2.3 s", id="slow views"),
        pytest.param(0, checks(kpis=Views({"v": "no column"})), "the view v fails: no column", id="view fails"),
        pytest.param(1, checks(unmeasured="too slow"), "explanation off: too slow", id="not explained"),
        pytest.param(
            2, checks(grid_now=FROZEN + timedelta(hours=11, minutes=15)),
            "45 min of day left; at midnight the KPIs of the day begin anew", id="late in the evening",
        ),
    ],
)  # fmt: skip
def test_what_is_not_as_it_should_be_is_amber_with_its_reason(place: int, found: list[Check], said: str) -> None:
    assert found[place] == Check(said, False)
    assert sum(not one.ok for one in found) == 1


def test_what_is_still_being_measured_is_no_fault_and_an_existing_database_says_how() -> None:
    assert checks(unmeasured="the effect is being measured", is_being_measured=True)[1].ok
    assert checks(site=Site(may_put_right=False))[1] == Check("explanation on, cycle by cycle", True)


def test_hours_are_not_rounded_up() -> None:
    assert checks(grid_now=FROZEN + timedelta(hours=8, minutes=15))[2] == Check("3 h of day left", True)
