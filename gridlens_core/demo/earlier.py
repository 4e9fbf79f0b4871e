"""The energy of an earlier day at the same hours, for a chart that compares it with today's."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from gridlens_core.demo.session import Session
from gridlens_core.explanation.energy import FeederInterval
from gridlens_core.explanation.moment import CHART_HOURS, Moment


def energy_before(session: Session, at: Moment, days: int) -> Sequence[FeederInterval]:
    """Energy by feeder and interval of the chart's hours so many local days before a moment."""
    until = days_before(at.grid_now, days, at.timezone)
    with session.transaction(read_only=True) as connection:
        after = until - timedelta(hours=CHART_HOURS)
        return at.site.balance(connection, at.schema, at.fleet, after, until)


def days_before(moment: datetime, days: int, timezone: str) -> datetime:
    """The same time on the utility's clocks so many days earlier, whatever summer time has done since."""
    local = moment.astimezone(ZoneInfo(timezone))
    return (local - timedelta(days=days)).astimezone(UTC)
