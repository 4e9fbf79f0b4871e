"""Interval energies in kWh, in UTC, from what a file has: zone, label, register, unit, repeats, interval, sign, gaps.
Each with how sure it is and why; refused, with the line, where it cannot be told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from gridlens_core.clock import INTERVAL_MINUTES
from gridlens_core.database.measures import STARTS
from gridlens_core.errors import FileRefusedError
from gridlens_core.loading.energies import differences, energies, service_volts, signed
from gridlens_core.loading.gathered import ESTIMATED, READ, FileReads, Floats, Ints
from gridlens_core.loading.said import Certainty, Item, Meaning, Said
from gridlens_core.loading.zones import localised, offsets_at
from gridlens_core.meters.learning import Past, interval_lengths, odd_reads

ENDS = ("end", "until", "ending")
DOUBTFUL_AT_MOST = 0.02  # of reads that stand beside another of the same meter and time
LENGTH_SHARE = 0.02  # of reads that an interval must have to be one of the file's
OFF_GRID = 0.2  # of an interval that a clock may be out
MISSING_AT_MOST = 0.6
MOST_KWH = 100_000  # of a meter in an hour; more is no meter of a home or a shop


@dataclass(frozen=True)
class Settled:
    """Interval energies by meter and time; vectors (n_reads,), reads without energy left out.

    end : end of the interval [s since 1970]; kwh : energy; volts : on a 120 V base, NaN without; mark : of gathered
    due : reads that were due from each meter's first to its last; codes : left out as no energy
    """

    meters: tuple[str, ...]
    feeders: tuple[str, ...]
    meter: Ints
    end: Ints
    kwh: Floats
    volts: Floats
    mark: NDArray[np.int8]
    minutes: int
    due: int
    codes: int
    zone: str

    def __len__(self) -> int:
        return len(self.meter)

    @property
    def past(self) -> Past:
        """The reads as they are learned from."""
        return Past(self.meter, self.end, self.kwh, self.volts)


def settle(reads: FileReads, meaning: Meaning, said: Said, timezone: str) -> tuple[Settled, list[Item]]:
    """Settles what the values of the files mean; `timezone` is the utility's, for times that say none.

    Raises FileRefusedError.
    """
    items: list[Item] = []
    at, zone = _in_utc(reads, meaning, said, timezone, items)
    local = at + offsets_at(at, zone) if meaning.aware else reads.at
    first, last = np.full(len(reads.meters), np.iinfo(np.int64).max), np.zeros(len(reads.meters), np.int64)
    np.minimum.at(first, reads.meter, local)
    np.maximum.at(last, reads.meter, local)
    reads, step = _sorted(replace(reads, at=at), items)
    label, certainty, why = _label(meaning, first % 86400, last % 86400, step)
    if said.label:
        label, certainty, why = said.label, "set", "as you said"
    items.append(Item("a time is", f"the {label} of its interval", certainty, why))
    reads = _ends(reads, label, step)
    reads = differences(reads, items)
    kwh = energies(reads, meaning, said, step, items)
    volts = service_volts(reads, items)
    kwh = signed(kwh, items)
    reads, kwh, volts, minutes = _one_interval(reads, kwh, volts, items)
    codes = odd_reads(Past(reads.meter, reads.at, kwh, volts), len(reads.meters))
    codes |= np.nan_to_num(np.abs(kwh)) > MOST_KWH
    if codes.any():
        items.append(Item("no energy", f"{int(codes.sum()):,} values", "guess", "far from all else: codes, left out"))
    kept = ~codes & ~np.isnan(kwh)
    if not kept.any():
        raise FileRefusedError.at("the file", "no read of it has an energy")
    used = np.unique(reads.meter[kept])
    row = np.cumsum(np.isin(np.arange(len(reads.meters)), used)) - 1
    found = Settled(
        tuple(reads.meters[one] for one in used), tuple(reads.feeders[one] for one in used),
        row[reads.meter[kept]], reads.at[kept], kwh[kept], volts[kept], reads.mark[kept], minutes, 0,
        int(codes.sum()), zone,
    )  # fmt: skip
    return _gaps(found, items), items


# --- time -----------------------------------------------------------------------------------------------


def _in_utc(reads: FileReads, meaning: Meaning, said: Said, timezone: str, items: list[Item]) -> tuple[Ints, str]:
    if meaning.aware:
        items.append(Item("time zone", "each time has its own", "sure", "an offset, UTC or seconds since 1970"))
        return reads.at, said.timezone or timezone
    zone = said.timezone or meaning.zone or timezone
    found = localised(reads.at, reads.meter, zone)
    certainty: Certainty = "set" if said.timezone else "sure" if meaning.zone else "guess"
    why = "as you said" if said.timezone else "by the form of the file" if meaning.zone else "GRIDLENS_TIMEZONE"
    if found.standard:
        why += "; reads stand in the hour that the clock skips, so it is standard time all year"
        items.append(Item("time zone", f"{zone}, standard time", certainty, why))
    else:
        if found.repeated:
            why += f"; {found.repeated:,} reads of the hour that comes twice are told apart by their order"
            certainty = certainty if certainty == "set" else "sure"
        items.append(Item("time zone", zone, certainty, why))
    return found.utc, zone


def _sorted(reads: FileReads, items: list[Item]) -> tuple[FileReads, int]:
    """By meter and time, repeats left out; and the usual step [s]."""
    order = np.lexsort((np.isnan(reads.value), reads.at, reads.meter))
    reads = _take(reads, order)
    same = (reads.meter[1:] == reads.meter[:-1]) & (reads.at[1:] == reads.at[:-1])
    again = np.concatenate([[False], same])
    differs = again.copy()
    differs[1:] &= ~np.isnan(reads.value[1:]) & (reads.value[1:] != reads.value[:-1])
    if differs.sum() > DOUBTFUL_AT_MOST * len(reads):
        place = int(np.flatnonzero(differs)[0])
        raise FileRefusedError.at(
            "the file", f"{int(differs.sum()):,} reads stand beside another of the same meter and time with another "
            f"energy, the first of {reads.meters[int(reads.meter[place])]!r}: load one channel at a time",
            line=int(reads.line[place]) or None,
        )  # fmt: skip
    if again.any():
        text = f"{int(again.sum()):,} repeats left out"
        more = f", {int(differs.sum()):,} of them with another energy" if differs.any() else ""
        items.append(Item("repeats", text + more, "guess" if differs.any() else "sure", "the first one counts"))
    reads = _take(reads, np.flatnonzero(~again))
    steps = np.diff(reads.at)[reads.meter[1:] == reads.meter[:-1]]
    if not len(steps):
        raise FileRefusedError.at("the file", "no meter has more than one read")
    values, counts = np.unique(steps, return_counts=True)
    return reads, int(values[counts.argmax()])


def _take(reads: FileReads, rows: Ints) -> FileReads:
    names = ("meter", "at", "value", "volts", "mark", "line", "minutes")
    return replace(reads, **{name: getattr(reads, name)[rows] for name in names})


def _ends(reads: FileReads, label: str, step: int) -> FileReads:
    """Times moved to the end of their intervals."""
    if label == "end":
        return reads
    length, own = interval_lengths(Past(reads.meter, reads.at, reads.value, reads.volts), len(reads.meters))
    minutes = np.where(length > 0, length, own[reads.meter])
    return replace(reads, at=reads.at + 60 * np.where(minutes > 0, minutes, step // 60))


def _label(meaning: Meaning, first: Ints, last: Ints, step: int) -> tuple[str, Certainty, str]:
    """Whether a time starts or ends its interval; first, last : (n_meters,) seconds after midnight."""
    if meaning.label:
        return meaning.label, "sure", "by the form of the file"
    if STARTS.search(meaning.time_name):
        return "start", "sure", f"column {meaning.time_name!r}"
    if any(one in meaning.time_name.lower() for one in ENDS):
        return "end", "sure", f"column {meaning.time_name!r}"
    starts = np.mean((first == 0) & ((last + step) % 86400 == 0))
    ends = np.mean((first == step) & (last == 0))
    if max(starts, ends) > 0.5:
        return ("start" if starts > ends else "end"), "sure", "so the reads fill whole days"
    if np.mean(first == 0) > 0.5:
        return "start", "guess", "the first one is midnight"
    return "end", "guess", "as GridLens has it"


# --- interval -------------------------------------------------------------------------------------------


def _one_interval(
    reads: FileReads, kwh: Floats, volts: Floats, items: list[Item]
) -> tuple[FileReads, Floats, Floats, int]:
    """All reads at one interval, on its grid: shorter ones are added up."""
    past = Past(reads.meter, reads.at, kwh, volts)
    length = np.where(reads.minutes > 0, reads.minutes, interval_lengths(past, len(reads.meters))[0])
    values, counts = np.unique(length[length > 0], return_counts=True)
    if not len(values):
        raise FileRefusedError.at("the file", "no meter has reads that follow each other")
    common = values[counts >= LENGTH_SHARE * counts.sum()]
    minutes = int(common.max())
    if minutes not in INTERVAL_MINUTES or any(minutes % one for one in common.tolist()):
        raise _no_interval(reads, length, common.tolist())
    if len(common) > 1:
        shorter = len(np.unique(reads.meter[np.isin(length, common[:-1])]))
        text = f"{minutes} min; shorter ones ({', '.join(map(str, common[:-1]))}) of {shorter} meters are added up"
        items.append(Item("interval", text, "sure", "the longest that is usual"))
        return (*_added_up(reads, kwh, volts, length, minutes), minutes)
    items.append(Item("interval", f"{minutes} min", "sure", f"{100 * counts.max() / counts.sum():.1f} % of reads"))
    return (*_on_grid(reads, kwh, volts, minutes), minutes)


def _no_interval(reads: FileReads, length: Ints, common: Sequence[int]) -> FileRefusedError:
    shown = []
    for one in common[-3:]:
        place = int(np.flatnonzero(length == one)[0])
        every = "daily" if one == 24 * 60 else f"{one} min"
        shown.append(f"{every} of {reads.meters[int(reads.meter[place])]!r} (line {int(reads.line[place]):,})")
    accepted = ", ".join(map(str, INTERVAL_MINUTES))
    return FileRefusedError.at("the file", f"its intervals are {', '.join(shown)}; accepted: {accepted} minutes")


def _on_grid(reads: FileReads, kwh: Floats, volts: Floats, minutes: int) -> tuple[FileReads, Floats, Floats]:
    step = 60 * minutes
    end = (reads.at + step // 2) // step * step
    off = np.abs(reads.at - end)
    if (off > OFF_GRID * step).any():
        place = int(np.flatnonzero(off > OFF_GRID * step)[0])
        when = datetime.fromtimestamp(int(reads.at[place]), UTC)
        raise FileRefusedError.at(
            "the file", f"a read of {reads.meters[int(reads.meter[place])]!r} ends at {when:%Y-%m-%d %H:%M:%S} UTC, "
            f"and not at a whole {minutes} minutes", line=int(reads.line[place]) or None,
        )  # fmt: skip
    reads = replace(reads, at=end)
    again = np.concatenate([[False], (reads.meter[1:] == reads.meter[:-1]) & (end[1:] == end[:-1])])
    keep = np.flatnonzero(~again)
    return _take(reads, keep), kwh[keep], volts[keep]


def _added_up(
    reads: FileReads, kwh: Floats, volts: Floats, length: Ints, minutes: int
) -> tuple[FileReads, Floats, Floats]:
    """Sums over whole intervals of `minutes`; one that is not complete has no energy."""
    step = 60 * minutes
    end = -(-reads.at // step) * step
    first = np.concatenate([[True], (reads.meter[1:] != reads.meter[:-1]) | (end[1:] != end[:-1])])
    group = np.cumsum(first) - 1
    there = np.where(np.isnan(kwh), 0, length)
    whole = np.bincount(group, there) == minutes
    total = np.where(whole, np.bincount(group, np.nan_to_num(kwh)), np.nan)
    known = ~np.isnan(volts)
    mean = np.bincount(group[known], volts[known], len(total)) / np.maximum(
        np.bincount(group[known], minlength=len(total)), 1
    )
    mark = np.zeros(len(total), np.int8)
    np.maximum.at(mark, group, reads.mark)
    rows = np.flatnonzero(first)
    taken = _take(replace(reads, at=end), rows)
    return replace(taken, mark=mark), total, np.where(mean > 0, mean, np.nan)


def _gaps(found: Settled, items: list[Item]) -> Settled:
    """How many reads are missing, estimated; refused where most are missing."""
    step = 60 * found.minutes
    first = np.flatnonzero(np.concatenate([[True], found.meter[1:] != found.meter[:-1]]))
    last = np.append(first[1:], len(found)) - 1
    due = int(((found.end[last] - found.end[first]) // step + 1).sum())
    missing = due - len(found)
    if missing > MISSING_AT_MOST * due:
        raise FileRefusedError.at(
            "the file", f"{missing:,} of {due:,} reads that are due are missing or have no energy"
        )
    if int(found.end.max() - found.end.min()) + step < 86400:
        raise FileRefusedError.at("the file", "it covers less than a day; a week or more shows how the meters go on")
    estimated = int((found.mark == ESTIMATED).sum())
    text = f"{len(found):,} reads of {due:,} due; {missing:,} missing, {estimated:,} estimated"
    items.append(Item("reads", text, "sure", "" if (found.mark == READ).all() else "marked as such"))
    return replace(found, due=due)
