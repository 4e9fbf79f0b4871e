"""How realistic the emulation is: the short table's figures for fleets that were not looked at while tuning."""

from datetime import UTC, datetime

import numpy as np
import pytest

from gridlens_core.meters.fleet import synthetic_fleet
from gridlens_core.meters.realism import emulated_day, figures, real_day

MIDNIGHT = datetime(2026, 11, 18, 6, tzinfo=UTC)


@pytest.mark.parametrize("seed", [2024, 77001])
def test_every_figure_of_the_short_table_is_inside_its_band(seed: int) -> None:
    fleet = synthetic_fleet("ANY_TENANT", feeders=10, meters_per_feeder=40, seed=seed, timezone="America/Chicago")
    outside = [(figure.name, figure.emulated) for figure in figures(fleet, MIDNIGHT) if not figure.inside]
    assert outside == []


def test_white_noise_would_not_pass_for_a_home() -> None:
    """The table can tell: a fleet whose homes all do the same at the same time falls outside."""
    fleet = synthetic_fleet("T", feeders=1, meters_per_feeder=40, seed=1, timezone="America/Chicago")
    clones = fleet.take(np.arange(40) < 40)
    same = np.zeros(40, dtype=np.int64)
    object.__setattr__(clones, "traits", fleet.traits.take(same))
    assert not all(figure.inside for figure in figures(clones, MIDNIGHT))


def test_both_days_are_shares_of_their_mean() -> None:
    fleet = synthetic_fleet("T", feeders=1, meters_per_feeder=20, seed=1, timezone="America/Chicago")
    for day in (real_day().values, emulated_day(fleet, MIDNIGHT)):
        assert len(day) == 96
        assert np.mean(day) == pytest.approx(1, abs=0.01)
        assert max(day) > 1.5
