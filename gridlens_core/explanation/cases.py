"""Cases: suspected thefts, from the first look in which the suspicious-meters view names meters of a feeder until
somebody dismisses them or they are recovered. Pure: what a moment and a decision make of the cases there are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from statistics import median
from typing import Literal

from gridlens_core.clock import local_day
from gridlens_core.database.schema import FEEDER_LOSS
from gridlens_core.errors import BadInputError
from gridlens_core.explanation.detection import is_voltage_issue
from gridlens_core.explanation.kpis import Kpis, by_role
from gridlens_core.explanation.moment import Moment
from gridlens_core.meters.fleet import Fleet

MOST_CASES = 100
MOST_NAMED = 30  # meters of a case whose evidence is kept
MOST_LETTERS = 200  # of the evidence against one meter
NAMED_LATE = timedelta(hours=1)  # after its end a theft may still be why meters are named

State = Literal["open", "confirmed", "dismissed", "recovered"]
Basis = Literal["", "truth", "estimate"]
NEXT: Mapping[State, tuple[State, ...]] = {
    "open": ("confirmed", "dismissed"),
    "confirmed": ("recovered", "dismissed"),
    "dismissed": ("open",),
    "recovered": ("confirmed",),
}


@dataclass(frozen=True)
class Case:
    """One suspected theft; times are grid times.

    number : by which it is called, from 1
    meters : the most that were named at once
    evidence : by meter, what the view said of it the last time, of MOST_NAMED of them
    decided_at : of the latest decision; None while nobody has decided
    lost_kwh : not recorded so far, until it was dismissed or recovered; None where that is not known [kWh]
    a_year_kwh : what it would be in a year; known of the emulator's own thefts alone [kWh]
    basis : of both: the emulator's ground truth, or an estimate from the feeder-loss view
    confirmed_kwh : `lost_kwh` when it was confirmed
    """

    number: int
    feeder_id: str
    opened_at: datetime
    last_named_at: datetime
    meters: int
    evidence: Mapping[str, str] = field(default_factory=dict)
    state: State = "open"
    decided_at: datetime | None = None
    lost_kwh: float | None = None
    a_year_kwh: float | None = None
    basis: Basis = ""
    confirmed_kwh: float | None = None

    @property
    def is_live(self) -> bool:
        """Whether something is still to be decided."""
        return self.state in ("open", "confirmed")

    @property
    def recovered_kwh(self) -> float | None:
        """Not recorded from the confirmation on, which can be billed [kWh]; None before it."""
        if self.state not in ("confirmed", "recovered") or self.lost_kwh is None:
            return None
        return max(self.lost_kwh - (self.confirmed_kwh or 0.0), 0.0)


@dataclass(frozen=True)
class Cases:
    """The cases of one tenant, oldest first, and the grid time up to which looks are in them."""

    all: tuple[Case, ...] = ()
    seen_until: datetime | None = None


def followed(cases: Cases, at: Moment) -> Cases:
    """The cases once all that was seen up to a moment is in them; an older moment changes nothing."""
    if cases.seen_until is not None and at.grid_now < cases.seen_until:
        return cases
    found, before = cases.all, cases.seen_until
    for seen in at.history:
        if before is None or seen.grid_now > before:
            told = at.evidence if seen.grid_now == at.grid_now else {}
            found = _named(found, named_by_feeder(seen.kpis, at.fleet, told), before, seen.grid_now)
            before = seen.grid_now
    return Cases(_bounded([_with_losses(one, at) if one.is_live else one for one in found]), before)


def taken_back(cases: Cases, grid_now: datetime) -> Cases:
    """The cases after the grid clock was set back: none that is of later than it."""
    return Cases(tuple(one for one in cases.all if one.opened_at <= grid_now), grid_now)


def decided(cases: Cases, number: int, state: State, grid_now: datetime) -> Cases:
    """The cases once somebody has decided on one; the same decision again changes nothing.

    Raises BadInputError where there is no such case, or it cannot come to that state.
    """
    case = next((one for one in cases.all if one.number == number), None)
    if case is None:
        raise BadInputError(f"There is no case {number} any more.", case=number)
    if state == case.state:
        return cases
    if state not in NEXT[case.state]:
        raise BadInputError(f"Case {number} is {case.state} by now.", case=number, state=case.state)
    changed = replace(case, state=state, decided_at=grid_now)
    if state == "confirmed" and case.state == "open":
        changed = replace(changed, confirmed_kwh=case.lost_kwh or 0.0)
    return replace(cases, all=tuple(changed if one is case else one for one in cases.all))


def named_by_feeder(kpis: Kpis, fleet: Fleet, told: Mapping[str, str | None]) -> Mapping[str, Mapping[str, str]]:
    """By feeder the meters that are named for their consumption, each with the evidence."""
    feeder_of = dict(zip(fleet.meter_ids, fleet.feeder_ids, strict=True))
    found: dict[str, dict[str, str]] = {}
    for meter, issue in kpis.named.items():
        if meter in feeder_of and not is_voltage_issue(issue):
            evidence = told.get(meter) or issue.replace("_", " ").lower()
            found.setdefault(feeder_of[meter], {})[meter] = evidence[:MOST_LETTERS]
    return found


def _named(
    cases: Sequence[Case], named: Mapping[str, Mapping[str, str]], before: datetime | None, at: datetime
) -> tuple[Case, ...]:
    """One look: a feeder's names go on with its live case, or with the run of names that was decided on; else they open
    a case.

    before : the grid time of the look before
    """
    found = list(cases)
    for feeder, evidence in named.items():
        place = next((n for n in reversed(range(len(found))) if found[n].feeder_id == feeder), None)
        latest = None if place is None else found[place]
        if place is None or latest is None or not (latest.is_live or latest.last_named_at == before):
            number = max((one.number for one in found), default=0) + 1
            found.append(Case(number, feeder, at, at, len(evidence), _some(evidence)))
        elif latest.is_live:
            known = _some({**evidence, **{m: said for m, said in latest.evidence.items() if m not in evidence}})
            meters = max(latest.meters, len(evidence))
            found[place] = replace(latest, last_named_at=at, meters=meters, evidence=known)
        else:
            found[place] = replace(latest, last_named_at=at)
    return tuple(found)


def _some(evidence: Mapping[str, str]) -> Mapping[str, str]:
    return dict(list(evidence.items())[:MOST_NAMED])


def _bounded(cases: Sequence[Case]) -> tuple[Case, ...]:
    """Without the oldest of those decided on, where there are too many; without the oldest of all if need be."""
    more = len(cases) - MOST_CASES
    over = [one for one in cases if not one.is_live] + [one for one in cases if one.is_live]
    gone = {id(one) for one in over[: max(more, 0)]}
    return tuple(one for one in cases if id(one) not in gone)


def _with_losses(case: Case, at: Moment) -> Case:
    """A live case with what it has cost by a moment."""
    thefts = [
        event
        for event in at.events
        if (event.event_type, event.feeder_id) == ("theft", case.feeder_id)
        and event.overlaps(case.opened_at - NAMED_LATE, case.last_named_at)
    ]
    if thefts:
        truths = [at.truth(event) for event in thefts]
        lost_kwh = sum(one.kwh_not_recorded for one in truths)
        known_kwh = (
            case.lost_kwh if case.basis == "truth" else None
        )  # of a theft too long ago it is not worked out again
        a_year_kwh = sum(one.kwh_a_year for one in truths)
        return replace(case, lost_kwh=max(lost_kwh, known_kwh or 0.0), a_year_kwh=a_year_kwh, basis="truth")
    if case.basis == "truth" or case.last_named_at < at.grid_now:
        return case
    return replace(case, lost_kwh=(lost := estimated_kwh(case, at)), basis="" if lost is None else "estimate")


def estimated_kwh(case: Case, at: Moment) -> float | None:
    """What the feeder lost beyond its usual loss since the day of the case, by the feeder-loss view [kWh]; None where
    the view does not say it. Usual is the median share of the days before."""
    view = at.schema.views.get(FEEDER_LOSS)
    if view is None or not view.has("loss_pct"):
        return None
    rows = by_role(view, [*at.rows[FEEDER_LOSS], *at.closed[FEEDER_LOSS]])
    first = local_day(case.opened_at, at.timezone)
    known = [
        (row["day"], float(row["loss_pct"]), supplied)
        for row in rows
        if row["feeder_id"] == case.feeder_id and isinstance(row["day"], date) and row["loss_pct"] is not None
        and (supplied := _supplied_kwh(row)) is not None
    ]  # fmt: skip
    usual = [loss_pct for day, loss_pct, _ in known if day < first]
    since = [(loss_pct, supplied) for day, loss_pct, supplied in known if day >= first]
    if not usual or not since:
        return None
    return sum(max(loss_pct - median(usual), 0.0) / 100 * supplied for loss_pct, supplied in since)


def _supplied_kwh(row: Mapping[str, object]) -> float | None:
    """What was supplied, said by the view or by its loss in both units."""
    supplied, loss_kwh, loss_pct = (row.get(name) for name in ("supplied_kwh", "loss_kwh", "loss_pct"))
    if supplied is not None:
        return float(str(supplied))
    return float(str(loss_kwh)) / float(str(loss_pct)) * 100 if loss_kwh is not None and loss_pct else None
