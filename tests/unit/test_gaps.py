"""Reads that are missing without any event: alone as in a block, as long and as many as measured."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256

import numpy as np
import pytest
from model_samples import fleet, slot_at

from gridlens_core.meters.gaps import MISSING_SHARE, background_missing
from gridlens_core.meters.traits import meter_traits

GAP_DAYS = 730
PLAIN = replace(fleet(400), feeder_gaps=np.ones(10))  # as if all feeders were read equally well


@pytest.fixture(scope="module")
def missing() -> np.ndarray:
    return background_missing(PLAIN, slot_at(2025, 1, 1), GAP_DAYS * 96)


def gaps(missing: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    edges = np.diff(np.pad(missing.astype(np.int8), ((0, 0), (1, 1))), axis=1)
    row, begin = np.nonzero(edges == 1)
    return row, begin, np.nonzero(edges == -1)[1] - begin


def test_a_missing_read_is_missing_alone_and_in_any_fleet(missing: np.ndarray) -> None:
    first, (row, begin, _) = slot_at(2025, 1, 1), gaps(missing)
    some = np.unique(row[:40])
    for column in [*begin[:25].tolist(), 0, GAP_DAYS * 96 - 3]:
        single = background_missing(PLAIN, first + column, 1)
        assert np.array_equal(single[:, 0], missing[:, column])
        few = background_missing(PLAIN.take(some), first + column, 3)
        assert np.array_equal(few, missing[some, column : column + 3])


def test_gaps_have_the_measured_lengths_and_share(missing: np.ndarray) -> None:
    _, _, slots = gaps(missing)
    median, upper, long = np.percentile(slots / 4, (50, 75, 90))
    assert missing.mean() == pytest.approx(MISSING_SHARE, rel=0.2)
    assert 1.5 <= median <= 3
    assert 7 <= upper <= 14
    assert 35 <= long <= 65


def test_half_of_the_meters_have_hardly_any_gaps(missing: np.ndarray) -> None:
    assert np.median(missing.mean(axis=1)) < MISSING_SHARE / 3


def test_a_third_of_the_gaps_begin_together_with_a_neighbors(missing: np.ndarray) -> None:
    row, begin, _ = gaps(missing)
    _, where, times = np.unique(
        np.stack([PLAIN.feeder_index[row], begin]), axis=1, return_inverse=True, return_counts=True
    )
    assert 0.22 <= (times[where.ravel()] > 1).mean() <= 0.45


def test_the_share_of_missing_reads_follows_the_setting() -> None:
    first = slot_at(2025, 1, 1)
    assert not background_missing(PLAIN, first, 3000, 0.0).any()
    assert background_missing(PLAIN, first, 180 * 96, 0.02).mean() == pytest.approx(0.02, rel=0.2)


def test_a_weak_feeder_misses_more_reads_and_the_others_none_for_it(missing: np.ndarray) -> None:
    first = slot_at(2025, 1, 1)
    weak = replace(PLAIN, feeder_gaps=np.where(np.arange(10) == 4, 5.0, 1.0))
    now = background_missing(weak, first, GAP_DAYS * 96)
    of_feeder = PLAIN.feeder_index == 4
    assert np.array_equal(now[~of_feeder], missing[~of_feeder])
    assert now[of_feeder].mean() == pytest.approx(5 * MISSING_SHARE, rel=0.4)


def test_the_gaps_are_the_same_on_every_machine(missing: np.ndarray) -> None:
    assert sha256(np.packbits(missing).tobytes()).hexdigest()[:16] == IDENTITY


def test_an_empty_fleet_and_an_empty_span_have_no_gaps() -> None:
    first = slot_at(2025, 1, 1)
    assert background_missing(meter_traits(7, "DEMO_TENANT", [], []), first, 3).shape == (0, 3)
    assert background_missing(fleet(), first, 0).shape == (60, 0)


IDENTITY = "52b296bdc2c727a7"  # changes with any constant, table or stream of the gaps
