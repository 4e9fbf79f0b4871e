"""What is found on one feeder: nothing, that it loses more than is explained, or also the meters that explain it:
those that fell silent, or all of them, or few whose reads the loss follows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from gridlens_core.detection.balance import UNREAD_TIMES, Balance, Flags, Floats, last_run, losing_since, quiet_since
from gridlens_core.detection.few_meters import Problem, Suspicion, explain

# All of a feeder: the loss is the same share of what it recorded, and so large a share of the supply.
WHOLE_SHARE, WHOLE_SHARE_SOON, WHOLE_SHARE_UNREAD = 0.10, 0.15, 0.20
SOON = 2  # intervals
WHOLE_INTERVALS = 8  # the latest, over which a share may grow
WHOLE_SLACK = 0.003  # of the loss
FEW = 4  # as many of the largest meters might steal all of a loss together
# Silence: meters that record nothing since the loss began explain so much of it.
SILENT_LEAST, SILENT_MOST = 0.25, 5.0
# Few meters: from so many intervals on, with such a confidence.
FEW_INTERVALS = 4
NAMED_FROM = 0.85
FIT_SIGMAS, WHOLE_FIT_SIGMAS = 3.0, 4.0  # by which a misfit may be larger than usual
QUIET_AT_MOST = 1  # intervals, where it is not known who it is
SUREST = 0.99


@dataclass(frozen=True)
class FeederDay:
    """What is known of a feeder's complete intervals of a day, oldest first.

    meter_ids : in a fixed order
    recorded, expected : (n_meters, n) [kWh]; NaN where no read arrived, or nothing is expected
    """

    feeder_id: str
    meter_ids: Sequence[str]
    balance: Balance
    recorded: Floats
    expected: Floats


@dataclass(frozen=True)
class Finding:
    """One thing that is found on a feeder; meter_id is None where it is the feeder itself."""

    feeder_id: str
    meter_id: str | None
    confidence: float
    evidence: str


def find(day: FeederDay) -> list[Finding]:
    """The findings of one feeder as of its last interval."""
    since = losing_since(day.balance)
    if since is None:
        return []
    quiet = quiet_since(day.balance)
    run = last_run(day.balance.lossy)
    silent = _silent(day)
    if silent:
        return [_feeder(day, since), *silent]
    whole = _whole(day, run)
    if whole is not None:
        return [] if quiet else [_feeder(day, since), *whole]
    few = _few(day, since, quiet)
    if few is None or (not few and quiet > QUIET_AT_MOST):
        return []
    return [_feeder(day, since), *few]


def _feeder(day: FeederDay, since: int) -> Finding:
    balance = day.balance
    lost, supplied = balance.unexplained[since:].sum(), balance.load[since:].sum()
    evidence = (
        f"{day.feeder_id} lost {100 * lost / supplied:.1f} % of its energy in {_intervals(len(balance) - since)}, "
        "beyond what its conductors explain"
    )
    return Finding(day.feeder_id, None, SUREST, evidence)


def _intervals(many: int) -> str:
    return f"{many} interval{'s' if many > 1 else ''}"


# --- all of the feeder ----------------------------------------------------------------------------------


def _whole(day: FeederDay, run: slice) -> list[Finding] | None:
    """Every meter of the feeder, where all of them record the same share too little; None where they do not."""
    latest = slice(max(run.start, run.stop - WHOLE_INTERVALS), run.stop)
    many = latest.stop - latest.start
    balance = day.balance
    recorded = np.nansum(day.recorded[:, latest], axis=0) + balance.unread[latest]
    lost = balance.unexplained[latest]
    least = WHOLE_SHARE if many > SOON else WHOLE_SHARE_SOON
    if not balance.all_read[latest].all():
        least = WHOLE_SHARE_UNREAD
    if not many or lost.sum() < least * balance.load[latest].sum():
        return None
    if many == 1 and _largest_could(day, latest.start):
        return None
    if many > 1 and not _one_share(lost, recorded, _sigma(balance, latest)):
        return None
    share = lost.sum() / (lost.sum() + max(float(recorded.sum()), 0.0))
    confidence = min(SUREST, 1.0 - 0.1 / many**2)
    evidence = (
        f"all meters of {day.feeder_id} record {100 * share:.0f} % too little, the same share in {_intervals(many)}"
        if many > 1
        else f"{day.feeder_id} lost {100 * share:.0f} % of its energy, more than few meters use"
    )
    return [Finding(day.feeder_id, meter, confidence, evidence) for meter in day.meter_ids]


def _sigma(balance: Balance, where: slice) -> Floats:
    noise = balance.sigma[where] + balance.uncertain[where] / UNREAD_TIMES
    return np.asarray(np.hypot(noise, WHOLE_SLACK * balance.unexplained[where]))


def _largest_could(day: FeederDay, at: int) -> bool:
    """Whether as few meters as FEW, the largest, might have used all that was lost in one interval."""
    expected = np.sort(np.nan_to_num(day.expected[:, at]))[::-1]
    return bool(expected[:FEW].sum() >= day.balance.unexplained[at])


def _one_share(lost: Floats, recorded: Floats, sigma: Floats) -> bool:
    """Whether the loss is one share of what was recorded, that may grow or shrink evenly in four intervals or more."""
    if not (recorded > 0).all():
        return bool((recorded <= 0).all())
    many = len(lost)
    terms = [recorded / sigma]
    if many > SOON + 1:
        terms.append(recorded * np.arange(many) / sigma)
    _, left, rank, _ = np.linalg.lstsq(np.stack(terms, axis=1), lost / sigma, rcond=None)
    return bool(rank == len(terms) and float(left[0]) <= _misfit_at_most(many - len(terms), WHOLE_FIT_SIGMAS))


def _misfit_at_most(free: int, sigmas: float) -> float:
    """The largest sum of squares that passes where so many numbers are free."""
    return free + sigmas * math.sqrt(2.0 * free)


# --- silence --------------------------------------------------------------------------------------------


def _silent(day: FeederDay) -> list[Finding]:
    """Meters that record nothing any more since the loss began, where what is expected of them explains it."""
    began = {row: _silent_since(day.recorded[row]) for row in range(len(day.meter_ids))}
    lossy = day.balance.lossy
    rows = [row for row, at in began.items() if at is not None and _began_with(lossy, at)]
    if not rows:
        return []
    first = min(at for row in rows if (at := began[row]) is not None)
    many = _intervals(len(lossy) - first)
    should = {row: float(np.nansum(day.expected[row, first:])) for row in rows}
    lost = float(day.balance.unexplained[first:].sum())
    if not SILENT_LEAST * lost <= sum(should.values()) <= SILENT_MOST * lost:
        return []
    evidence = f"kWh expected in {many} with unexplained loss on {day.feeder_id}"
    confidence = SUREST if first else NAMED_FROM
    return [
        Finding(day.feeder_id, day.meter_ids[row], confidence, f"recorded 0.00 of {should[row]:.2f} {evidence}")
        for row in rows
    ]


def _began_with(lossy: Flags, at: int) -> bool:
    """Whether a loss that goes on began with this interval or the next; what was lost before is somebody else's."""
    return bool(not lossy[max(at - 2, 0) : at].any() and lossy[at : at + 2].any() and lossy[at:].mean() >= 0.5)


def _silent_since(recorded: Floats) -> int | None:
    """The first of the last intervals in which a meter recorded nothing; None where there is no such."""
    something = np.flatnonzero(recorded != 0)  # a read that is missing is not nothing
    since = int(something[-1]) + 1 if len(something) else 0
    return since if since < len(recorded) else None


# --- few meters -----------------------------------------------------------------------------------------


def _few(day: FeederDay, since: int, quiet: int) -> list[Finding] | None:
    """The few meters whose reads the loss follows, [] where none can be told, None where the loss is over."""
    use = day.balance.all_read
    some = replace(
        day, balance=day.balance.at(use), recorded=np.nan_to_num(day.recorded[:, use]), expected=day.expected[:, use]
    )
    first = int(use[:since].sum())
    ends = sorted({len(some.balance), int(use[: len(day.balance) - quiet].sum())}, reverse=True)
    spans = [(start, end) for end in ends if end - first >= FEW_INTERVALS for start in _starts(some, first, end)]
    base = min((start for start, _ in spans), default=first)
    tried = [_tried(some, base, start, end) for start, end in spans if end - start >= FEW_INTERVALS]
    if not tried:
        return []
    _, start, end, found = min(tried, key=lambda one: one[0])
    if end < len(some.balance):
        return None
    free = end - start - len(found.columns)
    if not found.columns or free <= 0 or found.misfit > _misfit_at_most(free, FIT_SIGMAS):
        return []
    return [
        Finding(day.feeder_id, day.meter_ids[column], min(SUREST, confidence), _follows(day, times, end - start))
        for column, times, confidence in zip(found.columns, found.times, found.confidence, strict=True)
        if column < len(day.meter_ids) and confidence >= NAMED_FROM
    ]


def _follows(day: FeederDay, times: float, many: int) -> str:
    return (
        f"the unexplained loss of {day.feeder_id} follows this meter's reads in {_intervals(many)}, "
        f"as if {100 * times / (1 + times):.0f} % of its use were not recorded"
    )


def _starts(day: FeederDay, first: int, end: int) -> list[int]:
    """When it may have begun: by the balance, and by the meter that the loss follows best."""
    sigma = day.balance.sigma[:end]
    reads, loss = day.recorded[:, :end] / sigma, day.balance.unexplained[:end] / sigma
    along = np.cumsum((reads * loss)[:, ::-1], axis=1)[:, ::-1]
    size = np.cumsum((reads * reads)[:, ::-1], axis=1)[:, ::-1]
    gain = np.where(along > 0, along, 0.0) ** 2 / np.maximum(size, 1e-12)
    start = int(np.unravel_index(int(np.argmax(gain)), gain.shape)[1])
    return sorted({first, start})


def _tried(day: FeederDay, base: int, start: int, end: int) -> tuple[float, int, int, Suspicion]:
    """The best explanation from start to end, with what it costs that nothing is explained from base to
    start, and after the end."""
    balance = day.balance
    loss = balance.unexplained / balance.sigma
    found = explain(_problem(day, slice(start, end)))
    outside = float((loss[base:start] ** 2).sum() + (loss[end:] ** 2).sum())
    ended = math.log(end - start) * 2 if end < len(balance) else 0.0
    return found.value + outside + ended, start, end, found


def _problem(day: FeederDay, where: slice) -> Problem:
    """Meters beside two columns that are none: a share of all that was recorded, and the same loss all the time."""
    recorded, expected, sigma = day.recorded[:, where], day.expected[:, where], day.balance.sigma[where]
    many, meters = recorded.shape[1], len(recorded)
    all_of_it = recorded.sum(axis=0)
    columns = np.vstack([recorded, all_of_it, np.full(many, all_of_it.mean())]) / sigma
    unknown = np.full(2, np.nan)
    price = np.full(meters + 2, math.log(many) + 2.0 * math.log(meters))
    price[meters:] = math.log(many)
    return Problem(
        loss=day.balance.unexplained[where] / sigma,
        columns=columns.T,
        recorded=np.append(recorded.sum(axis=1), unknown),
        expected=np.append(np.nansum(expected, axis=1), unknown),
        price=price,
    )
