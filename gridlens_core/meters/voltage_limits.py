"""Voltage limits, as shares of the nominal voltage, and in volts on the 120 V base that is emulated."""

from __future__ import annotations

NOMINAL_V = 120.0
RANGE_A = (0.95, 1.05)  # of nominal: service voltage, ANSI C84.1 Range A
SAG_BAND = (0.90, 0.95)  # of nominal: where a voltage sag brings the voltage

RANGE_A_V = (RANGE_A[0] * NOMINAL_V, RANGE_A[1] * NOMINAL_V)
LOW_VOLTAGE_V = RANGE_A_V[0]  # a read under it is a low-voltage interval
