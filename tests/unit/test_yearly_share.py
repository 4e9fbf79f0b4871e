"""What part of a year's energy a pattern's hours hold, by each meter's own profile."""

from __future__ import annotations

import numpy as np
import pytest

from gridlens_core.meters.emulator import yearly_share
from gridlens_core.meters.fleet import synthetic_fleet

FLEET = synthetic_fleet("T", feeders=2, meters_per_feeder=30, seed=7, timezone="America/Chicago")
ALL = np.ones(len(FLEET), dtype=bool)


@pytest.mark.parametrize(("pattern", "share"), [("bypass", 1.0), ("slow-ramp", 1.0), ("intermittent", 0.5)])
def test_patterns_that_do_not_ask_for_the_hour(pattern: str, share: float) -> None:
    assert (yearly_share(FLEET, ALL, pattern) == share).all()


def test_homes_use_less_at_night_than_a_flat_load_would() -> None:
    share = yearly_share(FLEET, ALL, "nightly")
    assert 0.15 < share.mean() < 8 / 24
    assert share.std() > 0.01  # each meter has its own


def test_weekends_are_about_two_days_of_seven() -> None:
    assert yearly_share(FLEET, ALL, "weekend").mean() == pytest.approx(2 / 7, abs=0.06)


def test_only_the_chosen_meters_have_a_share() -> None:
    chosen = np.arange(len(FLEET)) < 5
    share = yearly_share(FLEET, chosen, "nightly")
    assert (share[5:] == 0).all()
    assert (share[:5] == yearly_share(FLEET, ALL, "nightly")[:5]).all()
