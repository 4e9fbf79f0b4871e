"""Numbers as files write them: decimal comma, thousands, units and quality letters beside them, blanks."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gridlens_core.loading.gathered import ESTIMATED, MISSING, READ, Floats

BLANKS = {
    "",
    "-",
    "--",
    "na",
    "n/a",
    "nan",
    "null",
    "none",
    "nil",
    "missing",
    "no data",
    "nodata",
    "#n/a",
    ".",
    "?",
    "x",
}
_UNIT, _FLAG = r"(?:kwh|wh|mwh|kw|w|v|volts?)?", r"(\*|\(?(?:e|est|estimated|s|f|a)\)?)?"
_NUMBER = re.compile(rf"^([+-]?[\d\s'.,]*\d[.,]?(?:e[+-]?\d+)?)\s*{_UNIT}\s*{_FLAG}$", re.IGNORECASE)
_COMMA, _POINT = re.compile(r"^[+-]?\d*,\d+$"), re.compile(r"^[+-]?\d*\.\d+$")
_THOUSANDS = re.compile(r"^[+-]?[1-9]\d{0,2}(,\d{3})+$")

# What a column of flags says, by its first letter or by its word. NEM12: A, E, F, N, S, V.
ESTIMATES = {
    "e", "est", "estimated", "estimate", "s", "sub", "substituted", "f", "final", "interpolated", "edited", "projected",
}  # fmt: skip
MISSES = {"n", "null", "missing", "m", "fail", "failed", "gap"}


@dataclass(frozen=True)
class Numbers:
    """Values (n,), NaN where blank; marks (n,); and the place of the first text that is no number, or -1."""

    value: Floats
    mark: NDArray[np.int8]
    wrong: int


def decimal_of(sample: Sequence[str]) -> tuple[str, bool]:
    """The decimal sign of some numbers, "." or ",", and whether that is sure."""
    commas = [one.strip() for one in sample if _COMMA.match(one.strip())]
    points = sum(bool(_POINT.match(one.strip())) for one in sample)
    if not commas or points > len(commas):
        return ".", not commas or not all(_THOUSANDS.match(one) for one in commas) or points > 0
    thousands = all(_THOUSANDS.match(one) for one in commas)
    return (".", False) if thousands else (",", True)


def numbers(text: pd.Series, decimal: str = ".") -> Numbers:
    """The numbers of a column of text."""
    mark = np.full(len(text), READ, np.int8)
    fast = text.str.replace(",", ".", regex=False) if decimal == "," else text
    value = pd.to_numeric(fast, errors="coerce").to_numpy(np.float64, copy=True)
    rest = np.flatnonzero(np.isnan(value))
    for place in rest.tolist():
        said = str(text.iat[place]).strip()
        if said.lower() in BLANKS:
            mark[place] = MISSING
            continue
        number, estimated = _slowly(said, decimal)
        if number is None:
            return Numbers(value, mark, place)
        value[place] = number
        mark[place] = ESTIMATED if estimated else READ
    infinite = np.isinf(value)
    if infinite.any():
        return Numbers(value, mark, int(np.flatnonzero(infinite)[0]))
    return Numbers(value, mark, -1)


def share_of_numbers(texts: Sequence[str], decimal: str) -> float:
    """How many of some texts are numbers or blank."""
    column = pd.Series(texts, dtype="str")
    fast = column.str.replace(",", ".", regex=False) if decimal == "," else column
    rest = column[pd.to_numeric(fast, errors="coerce").isna().to_numpy(bool)]
    wrong = sum(one.strip().lower() not in BLANKS and _slowly(one.strip(), decimal)[0] is None for one in rest)
    return 1 - wrong / max(len(column), 1)


def _slowly(text: str, decimal: str) -> tuple[float | None, bool]:
    bracketed = re.fullmatch(r"\((.*)\)", text)  # accountants' minus
    found = _NUMBER.match(f"-{bracketed[1]}" if bracketed else text)
    if found is None:
        return None, False
    digits = re.sub(r"[\s']", "", found[1])
    digits = digits.replace(".", "").replace(",", ".") if decimal == "," else digits.replace(",", "")
    letter = (found[2] or "").strip("()").lower()
    try:
        return float(digits), letter not in ("", "a")
    except ValueError:
        return None, False


def marks_of(flags: pd.Series) -> NDArray[np.int8]:
    """What a column of quality flags says of each value."""
    codes, unique = pd.factorize(flags)
    said = np.array([_mark(str(one)) for one in unique] or [READ], np.int8)
    return np.where(codes < 0, np.int8(READ), said[codes])


def _mark(flag: str) -> int:
    plain = flag.strip().lower()
    word = re.split(r"[^a-z]", plain)[0]
    short = re.fullmatch(r"[a-z]\d{0,2}", plain)  # a method beside the flag, such as S14
    letter = plain[0] if short else word
    return ESTIMATED if letter in ESTIMATES else MISSING if letter in MISSES else READ
