"""The sentences and figures of "What is it worth to you?": the same on page, walkthrough, brief and slides."""

from __future__ import annotations

from math import floor, log10

from gridlens_core import words
from gridlens_core.display.sentences import capital
from gridlens_core.explanation.worth import HIT_RATE, HIT_RATE_SOURCE, INPUTS, Range, Worth

TITLE = "What is it worth to you?"
DIGITS = 2  # of an estimate
SCALES = ((1e9, 1e9, "B"), (1e6, 1e6, "M"), (1e4, 1e3, "k"), (0, 1, ""))  # from, unit and its letter
PART_HEAD = ("In the first year", "Low", "High")
BASIS_HEAD = ("Number", "Value", "Where it is from")
ESTIMATE = "an estimate, not a KPI"


def rough(usd: float) -> str:
    """$1,200 of 1,234: dollars with two digits, for an estimate."""
    if not usd:
        return "$0"
    rounded = round(usd, DIGITS - 1 - floor(log10(abs(usd))))
    amount = abs(rounded)
    unit, letter = next((unit, letter) for least, unit, letter in SCALES if amount >= least)
    digits = 1 if amount / unit < 10 else 0
    return f"{'-' if rounded < 0 else ''}${amount / unit:,.{digits}f}{letter}"


def result(worth: Worth) -> str:
    """$1.2M to $25M"""
    low, high = rough(worth.low.total_usd), rough(worth.high.total_usd)
    return low if low == high else f"{low} to {high}"


def about(worth: Worth) -> str:
    """What the result is of: in the first year, for 240,000 customers"""
    return f"in the first year, for {words.plural(worth.numbers.customers, 'customer')}"


def sentence(worth: Worth) -> str:
    """The result in one sentence."""
    return f"Worth {result(worth)} {about(worth)}."


def formula(worth: Worth) -> tuple[str, ...]:
    """How the result is worked out, a sentence a step, with the numbers in them."""
    one = worth.numbers
    return (
        f"Revenue is customers, times use, times tariff: {rough(one.revenue_usd)} a year.",
        f"Of it {value('loss_pct', one.loss_pct)} is lost; of that {value('found_pct', one.found_pct)} is found and "
        "billed.",
        f"Each customer found takes a truck roll ({value('truck_roll_usd', one.truck_roll_usd)}), and as only "
        f"{words.share(HIT_RATE)} of the leads are right ({HIT_RATE_SOURCE}), {extra_visits()} more.",
        f"Unread meters ({value('unread_pct', one.unread_pct)} of all) are told from theft, which spares a truck roll "
        "each.",
        "Assumed: a theft hides the whole use of one customer, and an unread meter would be visited once a year.",
    )


def extra_visits() -> str:
    """25 %: visits to wrong leads, of those to right ones."""
    return words.share(1 / HIT_RATE - 1)


def part_rows(worth: Worth) -> list[tuple[str, str, str]]:
    """What the result is made of under PART_HEAD; each column is one way to choose from the ranges, and adds up."""
    low, high = worth.low, worth.high
    return [
        ("Non-technical loss", rough(low.lost_usd), rough(high.lost_usd)),
        ("Found and billed", rough(low.found_usd), rough(high.found_usd)),
        (
            "Crews to find it",
            f"{rough(-low.visits_usd)} ({_visits(low.visits)})",
            f"{rough(-high.visits_usd)} ({_visits(high.visits)})",
        ),
        (
            "Visits to unread meters spared",
            f"{rough(low.spared_usd)} ({_visits(low.unread_meters)})",
            f"{rough(high.spared_usd)} ({_visits(high.unread_meters)})",
        ),
        ("Worth", rough(low.total_usd), rough(high.total_usd)),
    ]


def dollars_of(low: str, high: str) -> str:
    """$400k to $4.0M of two cells of such a row."""
    ends = [cell.split(" (")[0] for cell in (low, high)]
    return ends[0] if ends[0] == ends[1] else " to ".join(ends)


def _visits(visits: float) -> str:
    return words.plural(round(visits), "visit")


def basis_rows(worth: Worth) -> list[tuple[str, str, str]]:
    """Each number that goes in under BASIS_HEAD."""
    numbers = worth.numbers
    return [(row.label, value(name, getattr(numbers, name)), numbers.basis[name]) for name, row in INPUTS.items()]


def in_short(worth: Worth) -> str:
    """The formula in one sentence."""
    return (
        f"Revenue ({rough(worth.numbers.revenue_usd)}: customers, times use, times tariff), times the loss, times the "
        f"share found; less a truck roll for each customer found and {extra_visits()} more for wrong leads "
        f"({HIT_RATE_SOURCE}); plus one for each unread meter, told from theft."
    )


def basis(worth: Worth) -> str:
    """Each number that goes in with where it is from, as running text."""
    said = "; ".join(f"{label.lower()} {number} ({source})" for label, number, source in basis_rows(worth))
    return f"{capital(said)}."


def value(name: str, number: float | Range) -> str:
    """A number that goes in, with its unit: 10,500 kWh, 1 to 4 %."""
    unit = INPUTS[name].unit
    if isinstance(number, Range):
        low, high = _plain(number.low), _plain(number.high)
        said = low if low == high else f"{low} to {high}"
        return f"${low}" + (f" to ${high}" if low != high else "") if unit == "$" else f"{said} %"
    if unit == "$/kWh":
        return f"${number:.3f} per kWh"
    return f"{number:,.0f} {unit}".strip()


def _plain(number: float) -> str:
    """1 of 1.0, and 0.5"""
    return f"{number:,.2f}".rstrip("0").rstrip(".")


def limits(name: str) -> str:
    """Range 1 to 5 %: the range a number may be chosen from, with its source."""
    row = INPUTS[name]
    ends = " to ".join(value(name, end) for end in (row.limits.low, row.limits.high))
    said = value(name, row.limits) if row.is_range else ends
    return f"Range {said}: {row.says} ({row.source})."
