"""Times as files write them: the one form that reads all of a sample, and the moments it says."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from itertools import pairwise, product

import numpy as np
import pandas as pd

from gridlens_core.loading.gathered import Ints

NO_TIME = np.iinfo(np.int64).min
EXCEL_DAYS = (20_000.0, 80_000.0)  # serial numbers of 1954 to 2119
EXCEL_ZERO = -2_209_161_600  # 30 December 1899 [s since 1970]
EPOCHS = {"epoch s": (1e8, 1e10, 1.0), "epoch ms": (1e11, 1e13, 1e3), "epoch us": (1e14, 1e16, 1e6)}  # 1973 to 2286

_DATES = (
    "%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%Y%m%d", "%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%d-%m-%Y", "%m-%d-%Y",
    "%d/%m/%y", "%m/%d/%y", "%d.%m.%y", "%d-%m-%y", "%m-%d-%y", "%d %b %Y", "%d-%b-%Y", "%d-%b-%y", "%d%b%Y",
    "%d %B %Y", "%b %d %Y", "%b %d, %Y", "%B %d, %Y", "%a %d %b %Y",
)  # fmt: skip
_CLOCKS = ("%H:%M", "%H:%M:%S", "%H:%M:%S.%f", "%I:%M %p", "%I:%M:%S %p", "%I:%M%p", "%H.%M", "%H%M", "%H%M%S")
_BETWEEN = (" ", "T", "", ", ", ":", " - ")
_AFTER = ("", "%z", " %z")
_RESTS = [f"{between}{clock}{after}" for between, clock, after in product(_BETWEEN, _CLOCKS, _AFTER)]
_LOOKS = {
    "%Y": r"\d{4}", "%y": r"\d{2}", "%m": r"\d{1,2}", "%d": r"\d{1,2}", "%b": "[a-z]{3}", "%B": "[a-z]{3,9}",
    "%a": "[a-z]{3}", "%H": r"\d{1,2}", "%I": r"\d{1,2}", "%M": r"\d{2}", "%S": r"\d{2}", "%f": r"\d{1,6}",
    "%p": "[ap]m", "%z": r"(?:z|[+-]\d{2}:?\d{2})",
}  # fmt: skip
_MIDNIGHT = re.compile(r"(?<![\d:])24([:.]?00(?::00)?(?:\.0+)?)(?!\d)")
_NOT_A_DATE = re.compile(r"^-?\d+([.,]\d+)?$")
SAMPLE = 400


@dataclass(frozen=True)
class TimeForm:
    """How times are written.

    format : of strptime; or "epoch s", "epoch ms", "epoch us", "excel"
    aware : it says an instant; else a time on a clock of a zone that is not said
    day_first : of a date that could be read both ways, None where it could not
    """

    format: str
    aware: bool
    day_first: bool | None = None

    def moments(self, text: pd.Series) -> Ints:
        """(n,) seconds since 1970 of each, NO_TIME where it is none; `text` : (n,) strings."""
        codes, unique = pd.factorize(text)
        found = self._parsed(pd.Series(unique, dtype="str").str.strip())
        return np.where(codes < 0, NO_TIME, found[codes])

    def _parsed(self, text: pd.Series) -> Ints:
        if self.format == "excel" or self.format in EPOCHS:
            number = pd.to_numeric(text, errors="coerce").to_numpy(np.float64)
            scale = 86400.0 if self.format == "excel" else 1 / EPOCHS[self.format][2]
            zero = EXCEL_ZERO if self.format == "excel" else 0
            seconds = np.rint(np.nan_to_num(number) * scale).astype(np.int64) + zero
            return np.where(np.isnan(number), NO_TIME, seconds)
        late = np.zeros(len(text), np.int64)
        midnight = text.str.contains("24[:.]?00", regex=True).to_numpy(bool, copy=True)
        midnight[midnight] = [_MIDNIGHT.search(one) is not None for one in text[midnight]]
        if midnight.any():
            text = text.where(~midnight, text.str.replace(_MIDNIGHT, lambda found: "00" + found[1], regex=True))
            late[midnight] = 86400
        when = pd.to_datetime(text, format=self.format, errors="coerce", utc=self.aware)
        naive = when.dt.tz_convert(None) if self.aware else when
        seconds = naive.astype("datetime64[s]").astype("int64").to_numpy()
        return np.where(when.isna().to_numpy(), NO_TIME, seconds + late)


def form_of(sample: Sequence[str], *, day_first: bool | None = None, us_zone: bool = True) -> TimeForm | None:
    """The form that reads every one of the sample; None where there is none.

    day_first : as somebody said of a date such as 03/04/2024; else by the sample, else by whether the zone is American
    """
    texts = spread(list(dict.fromkeys(one.strip() for one in sample if one.strip())), SAMPLE)
    if not texts:
        return None
    if all(_NOT_A_DATE.match(one) for one in texts) and (number := _number_form(texts)) is not None:
        return number
    fits = [one for one in _candidates(texts[0]) if _reads_all(one, texts)]
    if not fits:
        return None
    ways = {one.startswith("%d") for one in fits if one[:2] in ("%d", "%m")}
    if len(ways) == 2:
        chosen = _regular(fits, sample) if day_first is None else day_first
        first = (not us_zone) if chosen is None else chosen
        one = next(form for form in fits if form.startswith("%d") == first)
        return TimeForm(one, "%z" in one, first)
    return TimeForm(fits[0], "%z" in fits[0])


def spread(texts: Sequence[str], most: int) -> list[str]:
    """Some of them, the first among them, from beginning to end."""
    return list(texts[:: -(-len(texts) // most)]) if texts else []


def _number_form(texts: Sequence[str]) -> TimeForm | None:
    values = [float(one.replace(",", ".")) for one in texts]
    for name, (low, high, _) in EPOCHS.items():
        if all(low <= value < high for value in values):
            # 20240131 and 202401310000 are dates, and lie among the seconds and milliseconds.
            if all(_is_date(one) for one in texts):
                return None
            return TimeForm(name, aware=True)
    if all(EXCEL_DAYS[0] <= value < EXCEL_DAYS[1] for value in values):
        return TimeForm("excel", aware=False)
    return None


def _is_date(text: str) -> bool:
    whole = {8: "%Y%m%d", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}
    return text.isdigit() and len(text) in whole and _strptime(text, whole[len(text)])


def _strptime(text: str, form: str) -> bool:
    with suppress(ValueError):
        return 1950 <= datetime.strptime(text, form).year < 2200  # noqa: DTZ007 (whether it fits, no more)
    return False


def _candidates(text: str) -> Iterator[str]:
    """The forms that read a text. `strptime` compiles each form anew, so that only likely ones are tried."""
    plain = _MIDNIGHT.sub(lambda found: "00" + found[1], text)
    for date in _DATES:
        found = _shape(date).match(plain)
        if found is None:
            continue
        rest = plain[found.end() :]
        if not rest and _strptime(plain, date):
            yield date
        for more in _RESTS:
            if rest and _shape(more).fullmatch(rest) and _strptime(plain, date + more):
                yield date + more


@lru_cache(maxsize=512)
def _shape(form: str) -> re.Pattern[str]:
    """What a text of a form looks like."""
    parts = re.split(r"(%[A-Za-z])", form)
    return re.compile("".join(_LOOKS.get(part, re.escape(part)) for part in parts), re.IGNORECASE)


def _reads_all(form: str, texts: Sequence[str]) -> bool:
    return all(_strptime(_MIDNIGHT.sub(lambda found: "00" + found[1], one), form) for one in texts)


def _regular(fits: Sequence[str], sample: Sequence[str]) -> bool | None:
    """Whether the day comes first, by which of the two readings has the shorter steps; None where they are alike."""
    text = pd.Series(list(dict.fromkeys(one for one in sample if one.strip())), dtype="str")
    lasts = {}
    for first in (True, False):
        form = next(one for one in fits if one.startswith("%d") == first)
        moments = TimeForm(form, "%z" in form).moments(text)
        if (moments == NO_TIME).any():
            return not first
        lasts[first] = int(moments.max()) - int(moments.min())
    return None if lasts[True] == lasts[False] else lasts[True] < lasts[False]


_CLOCK_LABEL = re.compile(
    r"^(?:.*[^\d:])??(\d{1,2}):(\d{2})(?::00)?(?:\s*(am|pm))?(?:\s*(?:-|to)\s*\d.*)?$", re.IGNORECASE
)
_NUMBER_LABEL = re.compile(
    r"^(?:h|he|hour|int|interval|period|slot|p|q|t|val|v|kwh|e|wh)?[ _.-]*(\d{1,3})$", re.IGNORECASE
)


def slots_of(labels: Sequence[str]) -> tuple[list[int], int] | None:
    """(seconds after midnight at which each column's interval ends, minutes of each) of columns that are headed by
    times of a day, or numbered; None where they are not.

    A clock label that includes 0:00 begins its interval; one that includes 24:00, or ends with 0:00, ends it.
    """
    if len(labels) < 24:
        return None
    clock = [_CLOCK_LABEL.match(one.strip()) for one in labels]
    if all(clock):
        seconds = [_seconds(found) for found in clock if found]
    else:
        numbers = [_NUMBER_LABEL.match(one.strip()) for one in labels]
        if not all(numbers):
            return None
        seconds = [int(found[1]) for found in numbers if found]
        if 86400 % len(labels) or seconds != list(range(seconds[0], seconds[0] + len(labels))) or seconds[0] > 1:
            return None
        step = 86400 // len(labels)
        return [step * (place + 1) for place in range(len(labels))], step // 60
    if len(labels) > 1 and seconds[-1] == 0:
        seconds[-1] = 86400
    step = seconds[1] - seconds[0]
    if step <= 0 or any(later - earlier != step for earlier, later in pairwise(seconds)):
        return None
    late = step if seconds[0] == 0 else 0
    return [one + late for one in seconds], step // 60


def _seconds(found: re.Match[str]) -> int:
    hour, half = int(found[1]), (found[3] or "").lower()
    if half:
        hour = hour % 12 + (12 if half == "pm" else 0)
    return 3600 * hour + 60 * int(found[2])
