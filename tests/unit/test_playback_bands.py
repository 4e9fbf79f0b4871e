"""How far a played-back day may miss: what the meters' own days scatter, and no more."""

from __future__ import annotations

import numpy as np
import pytest

from gridlens_core.publishing.playback import _scatter_kwh


def test_the_band_is_what_the_meters_own_days_scatter() -> None:
    days = 20 + np.random.default_rng(5).normal(0, 4, (13, 40))
    one_day_beside_another = 4 * np.sqrt(40) * np.sqrt(2 + 1 / 13)
    assert _scatter_kwh(days) == pytest.approx(one_day_beside_another, rel=0.1)


def test_what_moves_all_meters_together_counts_whole() -> None:
    days = 20 + np.random.default_rng(6).normal(0, 4, (13, 1)) + np.zeros((13, 40))
    assert _scatter_kwh(days) > 2 * 4 * np.sqrt(40 * 2)


def test_one_day_alone_or_none_tells_nothing() -> None:
    assert _scatter_kwh(np.full((1, 40), 20.0)) == 0.0
    assert _scatter_kwh(np.full((3, 40), np.nan)) == 0.0
