"""The sentences and figures of "What is it worth to you?": the same on page, walkthrough, brief and slides."""

from __future__ import annotations

from math import floor, log10

from gridlens_core import words
from gridlens_core.explanation.worth import HIT_RATE, HIT_RATE_SOURCE, INPUTS, Range, Worth

TITLE = "What is it worth to you?"
DIGITS = 2  # of an estimate
SCALES = ((1e9, 1e9, "B"), (1e6, 1e6, "M"), (1e4, 1e3, "k"), (0, 1, ""))  # from, unit and its letter
PART_HEAD = ("In the first year", "Low", "High")
BASIS_HEAD = ("Number", "Value", "Where it is from")
ESTIMATE = "An estimate from the numbers below, not a KPI and not measured here."


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


def formula(worth: Worth) -> str:
    """How the result is worked out, in words with the numbers in them."""
    one = worth.numbers
    return (
        f"Customers x use x tariff is a revenue of {rough(one.revenue_usd)} a year. "
        f"Of it {value('loss_pct', one.loss_pct)} is lost, of that {value('found_pct', one.found_pct)} is found: "
        "this is revenue recovered. Crews cost a truck roll for each customer found, and as one lead in "
        f"{1 / (1 - HIT_RATE):.0f} is wrong ({HIT_RATE_SOURCE}: {words.share(HIT_RATE)}), a quarter more. "
        f"Unread meters ({value('unread_pct', one.unread_pct)} of all) are told from theft: one truck roll each is "
        "spared. Assumed: a theft hides the whole use of one customer, and an unread meter would be visited once."
    )


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


def _visits(visits: float) -> str:
    return words.plural(round(visits), "visit")


def basis_rows(worth: Worth) -> list[tuple[str, str, str]]:
    """Each number that goes in under BASIS_HEAD."""
    numbers = worth.numbers
    return [(row.label, value(name, getattr(numbers, name)), numbers.basis[name]) for name, row in INPUTS.items()]


def basis(worth: Worth) -> str:
    """The same as running text."""
    return "; ".join(f"{label.lower()} {said} ({source})" for label, said, source in basis_rows(worth)) + "."


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
    """The range a number may be chosen from, with its source."""
    row = INPUTS[name]
    low, high = (value(name, end) for end in (row.limits.low, row.limits.high)) if not row.is_range else ("", "")
    said = value(name, row.limits) if row.is_range else f"{low} to {high}"
    return f"{said}: {row.source}."
