"""From a clock on the wall to UTC: the hour that is skipped, the hour that comes twice, and files that keep
standard time all year."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np

from gridlens_core.loading.gathered import Ints

QUARTER_S = 900
STANDARD_SHARE = 0.5  # of the skipped hour's times that are there, from which on a file keeps standard time
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 (on the wall)


@dataclass(frozen=True)
class Localised:
    """Times in UTC [s since 1970], and what was found on the days on which the clock changes.

    standard : the file keeps standard time all year
    changes : days on which the clock changes; repeated : reads of an hour that comes twice, told apart by their order
    """

    utc: Ints
    standard: bool
    changes: int
    repeated: int


def localised(at: Ints, meter: Ints, zone: str) -> Localised:
    """UTC of times on the wall of a zone.

    at : (n,) seconds since 1970 on the wall; meter : (n,) whose, in the order of the file
    """
    quarter = at // QUARTER_S
    unique, where = np.unique(quarter, return_inverse=True)
    early, late, skipped = _offsets(unique, ZoneInfo(zone))
    changes = int((np.diff(early) != 0).sum())
    days = np.unique(unique[skipped] * QUARTER_S // 86400)
    there = int(skipped.sum())
    step = _usual_step(unique)
    due = len(days) * max(1, 3600 // (QUARTER_S * max(step, 1))) if len(days) else 0
    if (
        due
        and there > STANDARD_SHARE * due
        and (there > 1 or due == 1)
        and not _double(at, meter, (early != late) & ~skipped, where)
    ):
        return Localised(at - _standard_offset(unique, ZoneInfo(zone)), True, changes, 0)
    offset = early[where].copy()
    twice = (early != late)[where] & ~skipped[where]
    repeated = _second(at, meter, twice)
    offset[repeated] = late[where][repeated]
    return Localised(at - offset, False, changes, int(repeated.sum()))


def offsets_at(utc: Ints, zone: str) -> Ints:
    """(n,) seconds that the clock on the wall is ahead of UTC."""
    unique, where = np.unique(utc // QUARTER_S, return_inverse=True)
    tz = ZoneInfo(zone)
    ahead = [datetime.fromtimestamp(one * QUARTER_S, tz).utcoffset() for one in unique.tolist()]
    return np.array([(one or timedelta()).total_seconds() for one in ahead], np.int64)[where]


def _offsets(quarters: Ints, zone: ZoneInfo) -> tuple[Ints, Ints, np.ndarray]:
    """Of each local quarter hour: its offset the first time, the second time, and whether it is skipped."""
    early, late, skipped = (np.zeros(len(quarters), np.int64) for _ in range(3))
    for place, quarter in enumerate(quarters.tolist()):
        local = _EPOCH + timedelta(seconds=quarter * QUARTER_S)
        first = local.replace(tzinfo=zone).utcoffset() or timedelta()
        second = local.replace(tzinfo=zone, fold=1).utcoffset() or timedelta()
        early[place], late[place] = first.total_seconds(), second.total_seconds()
        skipped[place] = second > first
    return early, late, skipped.astype(np.bool_)


def _standard_offset(quarters: Ints, zone: ZoneInfo) -> int:
    middle = datetime.fromtimestamp(int(quarters[len(quarters) // 2]) * QUARTER_S, UTC).astimezone(zone)
    return int(((middle.utcoffset() or timedelta()) - (middle.dst() or timedelta())).total_seconds())


def _usual_step(unique: Ints) -> int:
    steps = np.diff(unique)
    return int(np.bincount(steps[steps < 200]).argmax()) if (steps < 200).any() else 1


def _double(at: Ints, meter: Ints, twice: np.ndarray, where: Ints) -> bool:
    """Whether any time of an hour that comes twice is there twice of one meter."""
    return bool(_second(at, meter, twice[where]).any())


def _second(at: Ints, meter: Ints, twice: np.ndarray) -> np.ndarray:
    """(n,) whether a read is the second of its meter and time, among those that may come twice."""
    rows = np.flatnonzero(twice)
    order = np.lexsort((rows, at[rows], meter[rows]))
    rows = rows[order]
    same = np.zeros(len(rows), np.bool_)
    same[1:] = (at[rows][1:] == at[rows][:-1]) & (meter[rows][1:] == meter[rows][:-1])
    same[2:] &= ~same[1:-1]  # a third one repeats the second
    found = np.zeros(len(at), np.bool_)
    found[rows[same]] = True
    return found
