"""Few meters by non-negative least squares, on planted problems."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from gridlens_core.detection.balance import Balance, last_run, losing_since, quiet_since
from gridlens_core.detection.few_meters import Problem, explain

N, M = 30, 40
RANDOM = np.random.default_rng(3)
READS = RANDOM.lognormal(0, 0.8, (N, M))
NOISE = 0.05


def problem(times: dict[int, float], reads: NDArray[np.float64] = READS, noise: float = NOISE) -> Problem:
    loss = sum(reads[:, one] * much for one, much in times.items()) + noise * RANDOM.standard_normal(N)
    recorded = reads.sum(axis=0)
    price = np.full(reads.shape[1], np.log(N) + 2 * np.log(M))
    return Problem(np.asarray(loss) / noise, reads / noise, recorded, np.full_like(recorded, np.nan), price)


@pytest.mark.parametrize("times", [{4: 0.25}, {4: 0.25, 9: 1.0, 30: 0.5}, dict.fromkeys(range(0, 40, 5), 0.6)])
def test_planted_meters_are_found_with_their_shares(times: dict[int, float]) -> None:
    found = explain(problem(times))
    each = zip(found.columns, found.times, found.confidence, strict=True)
    assert {one: much for one, much, confidence in each if confidence > 0.9} == pytest.approx(times, abs=0.05)
    assert found.misfit < 2 * N


def test_nothing_is_found_in_noise() -> None:
    assert max(max(explain(problem({})).confidence, default=0.0) for _ in range(20)) < 0.9


def test_of_two_meters_alike_neither_is_sure() -> None:
    twins = READS.copy()
    twins[:, 5] = twins[:, 4]
    found = explain(problem({4: 0.5}, twins))
    assert len(found.columns) == 1
    assert found.confidence[0] <= 0.5


def test_a_meter_that_would_have_used_far_more_than_expected_is_less_likely() -> None:
    reads = READS.copy()
    reads[:, 5] = reads[:, 4] * (1 + 0.01 * RANDOM.standard_normal(N))
    reads[:, 4] /= 50
    loss = problem({5: 0.5}, reads)
    known = Problem(loss.loss, loss.columns, loss.recorded, reads.sum(axis=0) * 1.5, loss.price)
    assert explain(known).columns == (5,)


def test_the_most_promising_is_the_one_that_lowers_the_misfit_most() -> None:
    some = problem({4: 0.25, 9: 1.0, 30: 0.5})
    for chosen in ([], [9], [9, 30]):
        beside = [column for column in range(M) if column not in chosen]
        misfits = {column: np.linalg.lstsq(some.columns[:, [*chosen, column]], some.loss)[1][0] for column in beside}
        assert some.promising(chosen, 1) == [min(misfits, key=lambda one: misfits[one])]


def test_no_more_meters_than_the_intervals_can_tell_apart() -> None:
    few = problem(dict.fromkeys(range(0, 40, 5), 0.6))
    short = Problem(few.loss[:8], few.columns[:8], few.recorded, few.expected, few.price)
    assert len(explain(short).columns) <= 2


# --- the balance ----------------------------------------------------------------------------------------


def balance(shares: list[float], unread: float = 0.0) -> Balance:
    """Intervals of 10 kWh that lose such shares beyond what is explained."""
    lost = 10 * np.array(shares)
    of_each = np.full(len(shares), 10.0)
    return Balance(of_each, lost, np.full(len(shares), unread), np.full(len(shares), 0.1), np.full(len(shares), 15.0))


def test_a_feeder_loses_since_the_interval_from_which_the_loss_is_most_certain() -> None:
    assert losing_since(balance([0.0] * 10)) is None
    assert losing_since(balance([0.001, -0.001] * 20)) is None
    assert losing_since(balance([0.0] * 10 + [0.03])) == 10
    assert losing_since(balance([0.0] * 10 + [0.03] * 5)) == 10
    assert losing_since(balance([0.03] * 5 + [0.0] * 9)) is None  # it is over


def test_what_is_missing_may_explain_a_loss() -> None:
    assert losing_since(balance([0.0] * 10 + [0.08])) == 10
    assert losing_since(balance([0.0] * 10 + [0.08], unread=0.25)) is None


def test_the_last_run_of_lossy_intervals() -> None:
    assert last_run([False, True, True, False, True, True, False]) == slice(4, 6)
    assert last_run([True, True]) == slice(0, 2)
    assert last_run([False]) == slice(0, 0)
    assert [quiet_since(balance(shares)) for shares in ([0.0, 0.0], [0.1, 0.0], [0.0, 0.1])] == [2, 1, 0]
