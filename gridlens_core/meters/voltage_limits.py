"""Voltage limits, as shares of the nominal voltage, and in volts on the 120 V base that is emulated."""

from __future__ import annotations

from math import log

NOMINAL_V = 120.0
RANGE_A = (0.95, 1.05)  # of nominal: service voltage, ANSI C84.1 Range A
SAG_BAND = (0.90, 0.95)  # of nominal: where a voltage sag brings the voltage

RANGE_A_V = (RANGE_A[0] * NOMINAL_V, RANGE_A[1] * NOMINAL_V)
LOW_VOLTAGE_V = RANGE_A_V[0]  # a read under it is a low-voltage interval

# What services are built for: ANSI C84.1, IEC 60038; common knowledge for those of primary meters.
NOMINALS_V = (
    100.0, 120.0, 208.0, 230.0, 240.0, 277.0, 347.0, 400.0, 480.0, 600.0, 690.0,
    2400.0, 4160.0, 4800.0, 7200.0, 7970.0, 11000.0, 12470.0, 13200.0, 13800.0, 14400.0, 19920.0, 22000.0, 33000.0,
)  # fmt: skip


def nominal_of(usual_v: float) -> float:
    """The nominal voltage [V] of a meter by its usual voltage; 120 where it has none."""
    if not usual_v > 0:
        return NOMINAL_V
    return min(NOMINALS_V, key=lambda nominal: abs(log(usual_v / nominal)))
