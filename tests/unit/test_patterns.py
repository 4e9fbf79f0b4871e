"""Theft patterns: what an id tells, and when each pattern takes its share."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import numpy as np
import pytest

from gridlens_core.meters.patterns import PATTERNS, YEARLY_SHARE, Pattern, new_event_id, pattern_of, weights

CHICAGO = "America/Chicago"
WEDNESDAY_NOON = datetime(2026, 11, 18, 18, tzinfo=UTC)
WEEK = [WEDNESDAY_NOON + timedelta(hours=hour) for hour in range(24 * 7)]
SOME_ID = UUID("676c0400-0000-8000-8000-000000000001")


@pytest.mark.parametrize("pattern", PATTERNS[1:])
def test_an_id_tells_its_pattern_and_is_a_version_8_uuid(pattern: Pattern) -> None:
    event_id = new_event_id(pattern)
    assert event_id is not None
    assert pattern_of(event_id) == pattern
    assert event_id.bytes[6] >> 4 == 8
    assert event_id.bytes[8] >> 6 == 0b10


def test_ids_of_other_services_mean_bypass() -> None:
    assert new_event_id("bypass") is None
    assert {pattern_of(uuid4()) for _ in range(200)} == {"bypass"}
    assert pattern_of(UUID("676cff00-0000-8000-8000-000000000001")) == "bypass"


def test_ids_of_one_pattern_differ() -> None:
    assert len({new_event_id("nightly") for _ in range(100)}) == 100


def test_bypass_takes_its_share_always() -> None:
    assert (weights("bypass", SOME_ID, WEDNESDAY_NOON, WEEK, CHICAGO) == 1).all()


def test_nightly_takes_from_22_to_6_local_time() -> None:
    taken = weights("nightly", SOME_ID, WEDNESDAY_NOON, WEEK[:24], CHICAGO)
    assert [12 + hour for hour in np.flatnonzero(taken)] == [22, 23, 24, 25, 26, 27, 28, 29]


def test_weekend_takes_on_saturday_and_sunday_local_time() -> None:
    taken = weights("weekend", SOME_ID, WEDNESDAY_NOON, WEEK, CHICAGO)
    assert taken.sum() == 48
    assert np.flatnonzero(taken)[0] == 60  # Wednesday noon to Saturday midnight


def test_a_slow_ramp_grows_for_a_day_and_then_stays() -> None:
    taken = weights("slow-ramp", SOME_ID, WEDNESDAY_NOON, WEEK, CHICAGO)
    assert (np.diff(taken[:25]) > 0).all()
    assert (taken[24:] == 1).all()


def test_intermittent_begins_on_and_is_on_about_half_of_the_hours() -> None:
    taken = weights("intermittent", SOME_ID, WEDNESDAY_NOON, WEEK, CHICAGO)
    assert taken[0] == 1
    assert 0.35 < taken.mean() < 0.65
    assert (taken == weights("intermittent", SOME_ID, WEDNESDAY_NOON, WEEK, CHICAGO)).all()


@pytest.mark.parametrize("pattern", ["bypass", "intermittent"])
def test_the_yearly_share_is_what_the_weights_come_to(pattern: Pattern) -> None:
    taken = weights(pattern, SOME_ID, WEDNESDAY_NOON, WEEK, CHICAGO)
    assert taken.mean() == pytest.approx(YEARLY_SHARE[pattern], abs=0.1)
