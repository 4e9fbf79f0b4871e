"""Voltage limits: shares of the nominal voltage, and the same in the local views."""

from __future__ import annotations

import re
from pathlib import Path

from gridlens_core.meters.emulator import SAG_LIMITS_DV
from gridlens_core.meters.voltage_limits import LOW_VOLTAGE_V, NOMINAL_V, RANGE_A, RANGE_A_V, SAG_BAND

THRESHOLDS = Path(__file__).parents[2] / "sql" / "local" / "thresholds.sql"


def test_the_limits_at_120_v_are_those_of_ansi_c84_1() -> None:
    assert (NOMINAL_V, *RANGE_A_V, LOW_VOLTAGE_V) == (120, 114, 126, 114)


def test_a_sag_ends_where_range_a_begins() -> None:
    assert SAG_BAND[1] == RANGE_A[0]
    assert SAG_LIMITS_DV == (1080, 1139)


def test_the_local_views_have_the_same_limits() -> None:
    limits = re.findall(r"(\d+) AS (low_v|high_v)\b", THRESHOLDS.read_text(encoding="utf-8"))
    assert {name: float(limit) for limit, name in limits} == dict(zip(("low_v", "high_v"), RANGE_A_V, strict=True))
