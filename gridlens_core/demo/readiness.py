"""Whether the show can begin: a few things that are measured or known at a moment, each with the reason where it is not
as it should be. Reads nothing."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from gridlens_core import words
from gridlens_core.clock import day_start, local_day
from gridlens_core.explanation.moment import Moment

SLOW_VIEWS_S = 1.0  # longer, and a room waits for what a click does
SHORT_DAY = timedelta(hours=1)  # of grid time: four cycles, an act


@dataclass(frozen=True)
class Check:
    """One thing that was looked at; `said` is what is so, or what is not as it should be and why."""

    said: str
    ok: bool


def readiness(at: Moment, view_seconds: float) -> list[Check]:
    """What the figures of a moment say.

    view_seconds : how long the views took when they were last read [s]
    """
    return [_views(at, view_seconds), _explanation(at), _day(at)]


def _views(at: Moment, seconds: float) -> Check:
    if at.kpis.failed:
        view, reason = next(iter(at.kpis.failed.items()))
        return Check(f"the view {view} fails: {reason}", False)
    took = f"{1000 * seconds:.0f} ms" if seconds < SLOW_VIEWS_S else f"{seconds:.1f} s"
    return Check(f"views answer in {took}", seconds < SLOW_VIEWS_S)


def _explanation(at: Moment) -> Check:
    if at.unmeasured and not at.is_being_measured:
        return Check(f"explanation off: {at.unmeasured}", False)
    return Check("explanation on" if at.site.may_put_right else "explanation on, cycle by cycle", True)


def _day(at: Moment) -> Check:
    end = day_start(local_day(at.grid_now, at.timezone) + timedelta(days=1), at.timezone)
    left = end - at.grid_now
    if left < SHORT_DAY:
        return Check(f"{words.span(left)} of day left; at midnight the KPIs of the day begin anew", False)
    return Check(f"{words.span(left - timedelta(minutes=left.seconds // 60 % 60))} of day left", True)
