"""Findings on emulated feeders with a noisy supply: thefts are named, and what looks like one is not."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pytest
from helpers import TENANT, event

from gridlens_core.clock import day_start
from gridlens_core.detection.balance import Balance, Floats
from gridlens_core.detection.findings import FeederDay, Finding, find
from gridlens_core.meters.emulator import Reads, Span, emulate, supply_wh
from gridlens_core.meters.fleet import synthetic_fleet

ZONE, DAYS, DAY = "America/Chicago", 8, 96
FLEET = synthetic_fleet(TENANT, feeders=1, meters_per_feeder=40, seed=7, timezone=ZONE)
FIRST = day_start(date(2026, 11, 10), ZONE)
MORNING = 32  # intervals of the day before a theft begins, at 08:00
LONG = 24
HISTORY = emulate(FLEET, Span(FIRST, 15, DAYS * DAY), [], 0)
USUAL = HISTORY.honest_wh.reshape(len(FLEET), DAYS, 24, 4).mean(axis=(1, 3)) / 1000
TECHNICAL = np.polyfit(
    (HISTORY.supplied_wh[0] * 4e-3) ** 2, (HISTORY.supplied_wh[0] - HISTORY.honest_wh.sum(axis=0)) * 4e-3, 1
)


def the_day(reads: Reads, until: int) -> FeederDay:
    """What a utility knows of the day after so many intervals, of those that are complete."""
    sent, hours = reads.sent[:, :until], np.arange(until) // 4
    recorded = np.where(sent, reads.recorded_mwh[:, :until] / 1e6, np.nan)
    usual = USUAL[:, hours]
    missing = np.where(sent, 0, usual).sum(axis=0) / usual.sum(axis=0)
    read = np.nansum(recorded, axis=0)
    unread = read * missing / (1 - missing)
    supplied = reads.supplied_wh[0, :until] / 1000
    balance = Balance.of(supplied, read, unread, np.full(until, 15.0), (TECHNICAL[1], TECHNICAL[0]))
    expected = usual / usual.sum(axis=0) * (read + unread + balance.unexplained)
    complete = sent.mean(axis=0) >= 0.9
    return FeederDay("FEEDER_1", FLEET.meter_ids, balance.at(complete), recorded[:, complete], expected[:, complete])


def ordinary(number: int = 0) -> Reads:
    """A day after the history, without a gap."""
    return emulate(FLEET, Span(FIRST + timedelta(days=DAYS + number), 15, DAY), [], 0)


def stolen(severity: float, thieves: list[int] | None = None, *, intervals: int = LONG, number: int = 0) -> Reads:
    """The day with a theft from 08:00 on, by some meters or by all."""
    begins = FIRST + timedelta(days=DAYS + number, hours=MORNING / 4)
    ends = begins + timedelta(minutes=15 * intervals)
    meters = [None] if thieves is None else [FLEET.meter_ids[one] for one in thieves]
    thefts = [event("theft", severity, feeder="FEEDER_1", meter=one, starts=begins, ends=ends) for one in meters]
    return emulate(FLEET, Span(FIRST + timedelta(days=DAYS + number), 15, DAY), thefts, 0)


def named(findings: list[Finding]) -> set[int]:
    return {FLEET.meter_ids.index(one.meter_id) for one in findings if one.meter_id is not None}


# --- thefts ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("severity", "soon"), [(0.2, 2), (0.4, 2), (0.7, 1), (1.0, 1)])
def test_all_of_a_feeder_is_named_as_soon_as_few_meters_cannot_be_it(severity: float, soon: int) -> None:
    reads = stolen(severity)
    assert [len(named(find(the_day(reads, MORNING + after)))) for after in (0, soon, LONG)] == [0, 40, 40]
    first = find(the_day(reads, MORNING + 1))
    assert first[0].meter_id is None  # the feeder itself, at once
    assert "FEEDER_1 lost" in first[0].evidence
    assert find(the_day(reads, MORNING + LONG + 1)) == []


@pytest.mark.parametrize("thieves", [[5, 17, 31], [1, 4, 9, 14, 20, 26, 33, 38]], ids=["a ring of 3", "a ring of 8"])
def test_a_ring_is_told_from_its_neighbours_by_what_its_reads_have_in_common_with_the_loss(thieves: list[int]) -> None:
    reads = stolen(0.4, thieves)
    assert find(the_day(reads, MORNING)) == []
    assert [one.meter_id for one in find(the_day(reads, MORNING + 1))] == [None]
    found = find(the_day(reads, MORNING + LONG))
    assert named(found) <= set(thieves)
    assert len(named(found)) >= 0.7 * len(thieves)
    assert all(0.85 <= one.confidence <= 0.99 for one in found)
    assert all("% of its use were not recorded" in one.evidence for one in found if one.meter_id)
    assert find(the_day(reads, MORNING + LONG + 2)) == []


def test_one_meter_is_named_with_the_share_that_it_does_not_record() -> None:
    found = [one for one in find(the_day(stolen(0.4, [12]), MORNING + LONG)) if one.meter_id]
    assert named(found) == {12}
    share = re.search(r"as if (\d+) % of its use", found[0].evidence)
    assert share
    assert 37 <= int(share[1]) <= 43


@pytest.mark.parametrize("thieves", [[12], [5, 17, 31]])
def test_meters_that_fall_silent_when_a_loss_begins_are_named(thieves: list[int]) -> None:
    reads = stolen(1.0, thieves)
    for after in (2, 8, LONG):
        found = find(the_day(reads, MORNING + after))
        assert named(found) == set(thieves)
    assert all("recorded 0.00 of" in one.evidence for one in found if one.meter_id)
    assert find(the_day(reads, MORNING + LONG + 2)) == []


def test_a_home_that_is_switched_off_while_another_steals_is_not_named() -> None:
    reads = with_use(lambda honest: honest[7, MORNING + 6 : MORNING + 12].fill(0))
    stealing = reads.recorded_mwh.copy()
    stealing[12, MORNING:] = 0
    for after in range(7, 13):
        found = find(the_day(replace(reads, recorded_mwh=stealing), MORNING + after))
        assert named(found) == {12}


def test_the_same_reads_give_the_same_findings() -> None:
    reads = stolen(0.4, [5, 17, 31])
    assert find(the_day(reads, MORNING + LONG)) == find(the_day(reads, MORNING + LONG))


# --- ordinary life --------------------------------------------------------------------------------------


def with_use(change: Callable[[Floats], None]) -> Reads:
    """A day of which the honest use is changed, in place and in Wh; the supply follows."""
    reads = ordinary()
    honest = reads.honest_wh.astype(np.float64)
    change(honest)
    honest_wh = np.rint(honest).astype(np.int64)
    return replace(
        reads, honest_wh=honest_wh, recorded_mwh=honest_wh * 1000, supplied_wh=supply_wh(FLEET, honest_wh, reads.span)
    )


def charge(honest: Floats) -> None:
    honest[3, 40:52] += 1750


def leave(honest: Floats) -> None:
    honest[int(USUAL.sum(axis=1).argmax()), 30:] *= 0.05


def switch_off(honest: Floats) -> None:
    honest[[7, 8], 30:44] = 0


def export(honest: Floats) -> None:
    honest[:8, 36:64] -= 2500


ORDINARY = {
    "a day like others": lambda _: None,
    "an electric car": charge,
    "an empty home": leave,
    "two homes that are switched off": switch_off,
    "panels that feed in at noon": export,
}


@pytest.mark.parametrize("change", ORDINARY.values(), ids=ORDINARY)
def test_nothing_is_found_in(change: Callable[[Floats], None]) -> None:
    reads = with_use(change)
    assert [until for until in range(1, DAY + 1) if find(the_day(reads, until))] == []


@pytest.mark.parametrize("silent", [[3], [3, 9, 20]])
def test_an_outage_is_not_a_theft(silent: list[int]) -> None:
    reads = with_use(charge)  # also where a meter that is not read charges a car
    sent = reads.sent.copy()
    sent[silent, 36:70] = False
    reads = replace(reads, sent=sent)
    assert [until for until in range(1, DAY + 1) if find(the_day(reads, until))] == []


def test_a_meter_that_is_exchanged_is_not_a_theft() -> None:
    """The old one is read no more, and the new one, of which nothing is expected, in its place."""
    for until in (MORNING + 1, MORNING + 4, DAY):
        day = the_day(ordinary(), until)
        old, new = day.recorded.copy(), np.full((1, until), np.nan)
        new[0, MORNING:] = old[12, MORNING:]
        old[12, MORNING:] = np.nan
        unknown = np.full((1, until), np.nan)
        exchanged = replace(
            day,
            meter_ids=(*day.meter_ids, "NEW"),
            recorded=np.vstack([old, new]),
            expected=np.vstack([day.expected, unknown]),
        )
        assert find(exchanged) == []


def test_a_day_that_has_not_begun_has_no_findings() -> None:
    nothing = np.zeros(0)
    balance = Balance.of(nothing, nothing, nothing, nothing, (0.1, 0.001))
    assert find(FeederDay("FEEDER_1", (), balance, np.zeros((0, 0)), np.zeros((0, 0)))) == []
