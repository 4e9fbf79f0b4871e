"""What thefts cost and what ending them brings back, in dollars. Ground truth of the emulator; not a KPI."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from gridlens_core.explanation.receipts import Receipt


@dataclass(frozen=True)
class Money:
    """Of the thefts since a time.

    lost_usd : not recorded so far, at the tariff
    at_risk_usd_a_year : what the running ones would cost in a year if nobody looks
    recovered_usd_a_year : what the ended ones would have cost in a year; a place is booked once
    """

    lost_usd: float
    at_risk_usd_a_year: float
    recovered_usd_a_year: float


def money_of(receipts: Sequence[Receipt], since: datetime, grid_now: datetime, tariff_usd_per_kwh: float) -> Money:
    """The money in these receipts, newest first; a theft that came back is at risk again, not recovered."""
    thefts = [one for one in receipts if one.event.event_type == "theft" and one.event.starts_at >= since]
    running = [one for one in thefts if one.event.ends_at > grid_now]
    ended: dict[tuple[str | None, str | None], Receipt] = {}
    for one in (other for other in thefts if other.event.ends_at <= grid_now):
        ended.setdefault((one.event.feeder_id, one.event.meter_id), one)
    back = {(one.event.feeder_id, one.event.meter_id) for one in running}
    return Money(
        lost_usd=sum(one.usd for one in thefts),
        at_risk_usd_a_year=sum(one.truth.kwh_a_year for one in running) * tariff_usd_per_kwh,
        recovered_usd_a_year=sum(one.truth.kwh_a_year for place, one in ended.items() if place not in back)
        * tariff_usd_per_kwh,
    )
