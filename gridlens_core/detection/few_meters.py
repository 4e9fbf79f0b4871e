"""Which few meters explain a loss: non-negative least squares on their reads, the number of meters by the Bayesian
information criterion. After Yip et al. 2017, Int. J. Electrical Power & Energy Systems 91, made sparse."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy.optimize import nnls

from gridlens_core.detection.balance import Floats

MOST_METERS = 12
INTERVALS, INTERVALS_PER_METER = 4, 2  # that a set of meters needs to be told from another
TRIED, SWAPPED, RIVALS = 6, 3, 8  # meters looked at in a step, most promising first
WORSE_AT_MOST = 15.0  # a step that makes it worse may lead to one that makes it better
USE_SIGMA = 0.7  # of ln(used / expected) over some intervals, where both are known. Tuned.
SAME = 1e-9


@dataclass(frozen=True)
class Suspicion:
    """A set of columns that explains a loss.

    columns : their positions; times : of what each recorded, how much more it used without recording it
    confidence : of each, that no other column does it as well
    misfit : sum of squares that is left, in standard deviations
    value : misfit with what is paid for each column; the less the better
    """

    columns: tuple[int, ...]
    times: tuple[float, ...]
    confidence: tuple[float, ...]
    misfit: float
    value: float


@dataclass(frozen=True)
class Problem:
    """A loss in n intervals, and what may explain it; both over the standard deviation of each interval.

    loss : (n,)
    columns : (n, m) what each meter recorded; others may follow that are no meters
    recorded, expected : (m,) energy over the intervals [kWh]; NaN where nothing is expected
    price : (m,) what is paid for each column
    known : values that were worked out already
    """

    loss: Floats
    columns: Floats
    recorded: Floats
    expected: Floats
    price: Floats
    known: dict[tuple[int, ...], float] = field(default_factory=dict)

    @property
    def most(self) -> int:
        """How many columns can be told from each other."""
        return min(MOST_METERS, (len(self.loss) - INTERVALS) // INTERVALS_PER_METER)

    def times(self, chosen: list[int]) -> tuple[Floats, float]:
        """How much each chosen column counts, and the sum of squares that is left."""
        if not chosen:
            return np.zeros(0), float(self.loss @ self.loss)
        times, left = nnls(self.columns[:, chosen], self.loss)
        return times, float(left * left)

    def value(self, chosen: list[int]) -> float:
        """The misfit, how far from expectation the meters would have used, and the price of the columns."""
        key = tuple(sorted(chosen))
        if key not in self.known:
            self.known[key] = self._value(list(key))
        return self.known[key]

    def _value(self, chosen: list[int]) -> float:
        times, misfit = self.times(chosen)
        used, expected = (1.0 + times) * self.recorded[chosen], self.expected[chosen]
        known = (used > 0) & (expected > 0)
        off = np.log(used[known] / expected[known]) / USE_SIGMA
        return misfit + float(off @ off) + float(self.price[chosen].sum())

    def promising(self, chosen: list[int], many: int) -> list[int]:
        """Columns by which the misfit would fall most beside the chosen ones, best first."""
        times, _ = self.times(chosen)
        beside, left = self.columns, self.loss
        if chosen:
            own, _ = np.linalg.qr(self.columns[:, chosen])
            left = self.loss - self.columns[:, chosen] @ times
            beside = self.columns - own @ (own.T @ self.columns)
        size, along = (beside * beside).sum(axis=0), left @ beside
        new = (along > 0) & (size > 1e-6 * (self.columns * self.columns).sum(axis=0) + 1e-12)
        new[chosen] = False
        gain = np.where(new, along * along / np.maximum(size, 1e-12), 0.0)
        return [int(one) for one in np.argsort(-gain, kind="stable")[:many] if gain[one] > 0]


def explain(problem: Problem) -> Suspicion:
    """The columns that explain the loss best, one at a time; each step also takes back and swaps what it can."""
    chosen: list[int] = []
    best, best_value = chosen, problem.value(chosen)
    while len(chosen) < problem.most:
        wider = [[*chosen, column] for column in problem.promising(chosen, TRIED)]
        if not wider:
            break
        size = len(chosen)
        chosen, value = _settled(problem, min(wider, key=problem.value))
        if value < best_value - SAME:
            best, best_value = chosen, value
        if value > best_value + WORSE_AT_MOST or len(chosen) <= size:
            break
    best = sorted(best)
    times, misfit = problem.times(best)
    confidence = tuple(_confidence(problem, best, column, best_value) for column in best)
    return Suspicion(tuple(best), tuple(times.tolist()), confidence, misfit, best_value)


def _settled(problem: Problem, chosen: list[int]) -> tuple[list[int], float]:
    """Takes columns away, or puts others in their place, as long as that is better."""
    value = problem.value(chosen)
    better = True
    while better:
        better = False
        for column in chosen:
            rest = [one for one in chosen if one != column]
            others = [[*rest, other] for other in problem.promising(rest, SWAPPED) if other != column]
            found = min([rest, *others], key=problem.value)
            if problem.value(found) < value - SAME:
                chosen, value, better = found, problem.value(found), True
                break
    return chosen, value


def _confidence(problem: Problem, chosen: list[int], column: int, value: float) -> float:
    """Of one of the chosen: its odds against doing without it and against each other column in its place."""
    rest = [one for one in chosen if one != column]
    rivals = [rest] + [[*rest, other] for other in problem.promising(rest, RIVALS) if other != column]
    worse = np.array([problem.value(rival) for rival in rivals]) - value
    return float(1.0 / (1.0 + np.exp(-worse / 2.0).sum()))
