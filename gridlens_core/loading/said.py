"""What somebody says of a file before it is loaded, and what was found out about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Certainty = Literal["sure", "guess", "set"]
UNITS = ("kWh", "Wh", "MWh", "kW", "W")  # of energy in an interval, and of mean power over it


@dataclass(frozen=True)
class Said:
    """Corrections; empty or None where nothing is said.

    columns : by role (meter_id, feeder_id, read_at, kwh, voltage) the name of a column
    timezone : in which times without an offset are
    label : whether a time is the "start" or the "end" of its interval
    us_zone : whether a date that can be read both ways has the month first
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    unit: str = ""
    timezone: str = ""
    label: str = ""
    decimal: str = ""
    day_first: bool | None = None
    us_zone: bool = True


@dataclass(frozen=True)
class Item:
    """One line of the plan: what was found of what, how sure that is, and why."""

    what: str
    found: str
    certainty: Certainty
    why: str = ""


@dataclass(frozen=True)
class Meaning:
    """What the form of a file, or its columns, say of its values; empty where they do not.

    aware : times are instants; zone : else on the clock of this zone
    label : "start" or "end" of the interval; unit : of the energy
    """

    aware: bool
    zone: str = ""
    label: str = ""
    unit: str = ""
    energy_name: str = ""
    time_name: str = ""
