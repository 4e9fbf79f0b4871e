"""The energy balance closes exactly, per feeder and interval, whatever happens to the reads."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridlens_core.clock import INTERVAL_MINUTES
from gridlens_core.meters.emulator import Reads, Span, emulate, feeder_loss_wh, supply_error
from gridlens_core.meters.events import EVENT_TYPES, Event
from gridlens_core.meters.fleet import synthetic_fleet
from gridlens_core.meters.patterns import PATTERNS, new_event_id

FLEET = synthetic_fleet("DEMO_TENANT", feeders=3, meters_per_feeder=8, seed=7, timezone="America/Chicago")
FLEETS = {"with panels": FLEET, "without": FLEET.without_panels()}
START = datetime(2026, 11, 18, 18, tzinfo=UTC)


@dataclass(frozen=True)
class Balance:
    """Where the energy of each feeder and interval went, and its error, (n_feeders, n_intervals) [mWh]."""

    supplied: np.ndarray
    metered: np.ndarray
    technical_loss: np.ndarray
    supply_error: np.ndarray
    not_recorded: np.ndarray
    unread: np.ndarray


def balance(reads: Reads) -> Balance:
    honest_mwh = reads.honest_wh * 1000
    by_feeder = reads.fleet.sum_by_feeder
    delivered_wh = by_feeder(reads.honest_wh)
    loss_wh = feeder_loss_wh(reads.fleet, delivered_wh, reads.span.minutes)
    error_wh = np.rint((delivered_wh + loss_wh) * supply_error(reads.fleet, reads.span)).astype(np.int64)
    return Balance(
        supplied=reads.supplied_wh * 1000,
        metered=by_feeder(np.where(reads.sent, reads.recorded_mwh, 0)),
        technical_loss=loss_wh * 1000,
        supply_error=error_wh * 1000,
        not_recorded=by_feeder(np.where(reads.sent, honest_mwh - reads.recorded_mwh, 0)),
        unread=by_feeder(np.where(reads.sent, 0, honest_mwh)),
    )


events = st.builds(
    lambda kind, feeder, meter, percent, begins, minutes, pattern: Event(
        id=new_event_id(pattern) or UUID(int=1),
        tenant_id="DEMO_TENANT",
        feeder_id=feeder,
        meter_id=meter,
        event_type=kind,
        severity=Decimal(percent) / 100,
        starts_at=START + timedelta(minutes=begins),
        ends_at=START + timedelta(minutes=begins + minutes),
        created_at=START,
    ),
    st.sampled_from(EVENT_TYPES),
    st.sampled_from([None, *FLEET.feeders]),
    st.sampled_from([None, *FLEET.meter_ids[:10]]),
    st.integers(1, 100),
    st.integers(-120, 300),
    st.integers(1, 400),
    st.sampled_from(PATTERNS),
)


@pytest.mark.parametrize("which", FLEETS)
@given(st.lists(events, max_size=5), st.sampled_from(INTERVAL_MINUTES), st.floats(0, 0.2))
def test_supplied_is_metered_and_lost_and_not_recorded_and_unread_within_its_error(
    which: str, chosen: list[Event], minutes: int, missing_share: float
) -> None:
    found = balance(emulate(FLEETS[which], Span(START, minutes, 8), chosen, missing_share))
    parts = found.metered + found.technical_loss + found.not_recorded + found.unread
    assert np.array_equal(found.supplied, parts + found.supply_error)
    assert found.technical_loss.min() >= 0
    if which == "without":
        assert min(part.min() for name, part in vars(found).items() if name != "supply_error") >= 0


def test_each_event_shows_in_its_own_part() -> None:
    quiet = balance(emulate(FLEET, Span(START, 15, 4), [], missing_share=0))
    assert not quiet.not_recorded.any()
    assert not quiet.unread.any()
    assert (quiet.technical_loss > 0).all()
