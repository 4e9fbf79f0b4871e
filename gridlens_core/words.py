"""Numbers and events in words: always with units, changes of percentages in points, no false digits."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import ROUND_FLOOR, ROUND_HALF_EVEN, Decimal
from zoneinfo import ZoneInfo

Number = float | int | Decimal

UNKNOWN = "—"
UNBROKEN = "\u00a0"
# A number and its unit stay on one line.
BEFORE_A_UNIT = re.compile(r"(?<=\d) (?=(?:%|pt|[kM]?Wh|V|min|h|d|s|ms)(?!\w))")
MODELLED = "supply and technical loss are modelled"  # of a tenant whose reads came from a file
DAYS_OF_A_NAME = 6  # the name of a weekday says which day it is


def unbroken(text: str) -> str:
    """A text in which no line ends between a number and its unit. Screens and briefs pass all they show through it."""
    return BEFORE_A_UNIT.sub(UNBROKEN, text)


def percent(value: Number | None, digits: int = 2) -> str:
    """5.84 %"""
    return UNKNOWN if value is None else f"{value:,.{digits}f} %"


def share(fraction: Number | None) -> str:
    """70 % of 0.7"""
    return UNKNOWN if fraction is None else f"{float(fraction) * 100:.0f} %"


def points(change: Number, digits: int = 2) -> str:
    """+0.71 pt: the change of a percentage, never percent of percent. What rounds to zero has no sign."""
    text = f"{change:+,.{digits}f}"
    return f"{text if shows_change(text) else text[1:]} pt"


def count(value: Number | None) -> str:
    """1,204"""
    return UNKNOWN if value is None else f"{value:,.0f}"


def count_change(change: Number) -> str:
    """+38"""
    text = f"{change:+,.0f}"
    return text if shows_change(text) else text[1:]


def number(value: Number) -> str:
    """4.62"""
    return f"{value:,.2f}"


def rounded_parts(parts: Sequence[Decimal], before: Decimal, after: Decimal, digits: int) -> list[Decimal]:
    """Parts of a movement, rounded so that they add up to the movement as it is printed (largest remainder)."""
    unit = Decimal(1).scaleb(-digits)
    wanted = _in_units(after, unit, ROUND_HALF_EVEN) - _in_units(before, unit, ROUND_HALF_EVEN)
    floors = [_in_units(part, unit, ROUND_FLOOR) for part in parts]
    missing = wanted - sum(floors)
    by_remainder = sorted(range(len(parts)), key=lambda number: parts[number] / unit - floors[number], reverse=True)
    if missing < 0:
        by_remainder.reverse()
    for turn in range(abs(missing)):
        floors[by_remainder[turn % len(parts)]] += 1 if missing > 0 else -1
    return [whole * unit for whole in floors]


def _in_units(value: Decimal, unit: Decimal, rounding: str) -> int:
    return int((value / unit).to_integral_value(rounding=rounding))


def shows_change(text: str) -> bool:
    """Whether a change still shows after rounding; +0.00 does not."""
    return any(digit in "123456789" for digit in text)


def energy(kwh: Number | None) -> str:
    """61.3 kWh; from 10 MWh on in MWh."""
    if kwh is None:
        return UNKNOWN
    amount = float(kwh)
    return f"{amount / 1000:,.1f} MWh" if abs(amount) >= 10_000 else f"{amount:,.1f} kWh"


def dollars(value: Number | None) -> str:
    """$10.40; from 10,000 on in thousands, as $91k."""
    if value is None:
        return UNKNOWN
    amount = float(value)
    if abs(amount) >= 999_500:
        return f"${amount / 1_000_000:,.1f}M"
    if abs(amount) >= 10_000:
        return f"${amount / 1000:,.0f}k"
    return f"${amount:,.2f}" if abs(amount) < 1000 else f"${amount:,.0f}"


def plural(number: int, noun: str) -> str:
    """1 meter, 40 meters"""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def clock_time(moment: datetime, timezone: str, *, beside: datetime | None = None) -> str:
    """14:30, or Mon 14:30 where the day is not the one of `beside`, or Mon 30 Nov 14:30 where it is a week away."""
    local = moment.astimezone(ZoneInfo(timezone))
    if beside is None:
        return f"{local:%a %H:%M}"
    days = abs((local.date() - beside.astimezone(ZoneInfo(timezone)).date()).days)
    if days == 0:
        return f"{local:%H:%M}"
    return f"{local:%a %H:%M}" if days < DAYS_OF_A_NAME else f"{local:%a %d %b %H:%M}"


def date_time(moment: datetime, timezone: str) -> str:
    """Mon 23 Nov 14:30"""
    return f"{moment.astimezone(ZoneInfo(timezone)):%a %d %b %H:%M}"


def span(length: timedelta) -> str:
    """1 h 15 min"""
    minutes = round(length.total_seconds() / 60)
    days, minutes = divmod(minutes, 24 * 60)
    hours, minutes = divmod(minutes, 60)
    parts = [f"{days} d" if days else "", f"{hours} h" if hours else "", f"{minutes} min" if minutes else ""]
    return " ".join(part for part in parts if part) or "0 min"


def and_list(items: list[str]) -> str:
    """a, b and c"""
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}" if items else ""


def lead(grid_now: datetime, wall: datetime) -> str:
    """The same in short: (+2 h), or nothing where both clocks agree."""
    off = grid_now - wall
    if timedelta(minutes=-60) < off <= timedelta(minutes=1):
        return ""
    return f"(+{span(off)})" if off > timedelta() else f"(-{span(-off)})"


def ahead(grid_now: datetime, wall: datetime) -> str:
    """How far the grid clock runs ahead of the wall clock."""
    lead = grid_now - wall
    if lead > timedelta(minutes=1):
        return f"{span(lead)} ahead of the wall clock"
    return "on time" if lead > timedelta(minutes=-60) else f"{span(-lead)} behind the wall clock"
