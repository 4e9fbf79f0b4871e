"""Repeatable noise from counter hashes: a value depends on a key, a stream and a counter, and on no other value.
Only integer arithmetic, table look-ups and plain IEEE arithmetic, so every machine gets the same bits."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import blake2b
from statistics import NormalDist
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from gridlens_core.meters.profiles import Floats, Ints, quantised

Hashes = NDArray[np.uint64]
Flags = NDArray[np.bool_]

GOLDEN = np.uint64(0x9E3779B97F4A7C15)  # splitmix64: Steele, Lea, Flood, OOPSLA 2014
MIX_1, MIX_2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
FIELD_BITS = 12
TABLE_SIZE = 1 << FIELD_BITS
FIELD_SHIFTS = tuple(np.uint64(number * FIELD_BITS) for number in range(5))
FIELD_MASK = np.uint64(TABLE_SIZE - 1)
CHUNK_READS = 32_768  # the arrays of a chunk stay in a second-level cache


def table(value: Callable[[float], float]) -> Floats:
    """Tabulate an inverse distribution function at the middles of TABLE_SIZE equal shares.

    value : share over 0 and under 1 -> value
    Returns (TABLE_SIZE,), quantised.
    """
    return quantised(np.array([value((i + 0.5) / TABLE_SIZE) for i in range(TABLE_SIZE)]))


def lognormal_table(sigma: float, clip: float) -> Floats:
    """Tabulate a lognormal distribution of mean one: (TABLE_SIZE,), quantised.

    sigma : standard deviation of the logarithm
    clip : standard deviations beyond which the normal variable is cut off
    """
    normal = [max(-clip, min(clip, NormalDist().inv_cdf((i + 0.5) / TABLE_SIZE))) for i in range(TABLE_SIZE)]
    values = [math.exp(sigma * z) for z in normal]
    return quantised(np.array(values) * (TABLE_SIZE / math.fsum(values)))


UNIFORM = (np.arange(TABLE_SIZE) + 0.5) / TABLE_SIZE
NORMAL = table(NormalDist().inv_cdf)


def name_key(*names: object) -> int:
    """A 64-bit key of names, such as seed, tenant and meter id (BLAKE2b)."""
    return int.from_bytes(blake2b("\x1f".join(map(str, names)).encode(), digest_size=8).digest(), "little")


def counter_hash(keys: Hashes, stream: str, start: Ints | int, count: int) -> Hashes:
    """Splitmix64 of the counters start .. start + count - 1 under each key.

    keys : (n,)
    stream : what the values are for; two streams are 2^32 counters or more apart
    start : (n,), or one number for all keys
    Returns (n, count).
    """
    stream_start = np.uint64(crc32(stream.encode()) << 32)
    first = (np.atleast_1d(start).astype(np.uint64) + stream_start) * GOLDEN + keys
    z = first[:, None] + np.arange(count, dtype=np.uint64) * GOLDEN
    z ^= z >> np.uint64(30)
    z *= MIX_1
    z ^= z >> np.uint64(27)
    z *= MIX_2
    z ^= z >> np.uint64(31)
    return z


def field(hashes: Hashes, number: int) -> Ints:
    """Field `number`, 0 to 4, of each hash: twelve bits, a position in a table; any shape."""
    shifted = hashes >> FIELD_SHIFTS[number]
    shifted &= FIELD_MASK
    return shifted.view(np.int64)


def phase_of(hashes: Hashes) -> Ints:
    """How far windows are staggered, 0 to 65,535 steps; any shape."""
    return (hashes & np.uint64(0xFFFF)).astype(np.int64)


def happens(hashes: Hashes, chance: Floats | float) -> Flags:
    """Decide by the upper 40 bits of each hash, for chances too small for a table of 4,096 entries.

    chance : 0 to 1, broadcast against hashes
    """
    return (hashes >> np.uint64(24)).astype(np.float64) < np.asarray(chance) * 2.0**40


@dataclass(frozen=True)
class Windows:
    """Windows of `length` steps that cover `count` common steps; each key's windows are shifted by its phase.

    index : (n,) number of each key's first window
    offset : (n,) position of the first common step in that window
    number : how many windows of a key cover the common steps
    """

    index: Ints
    offset: Ints
    number: int
    length: int
    count: int

    @classmethod
    def covering(cls, phase: Ints, first: int, count: int, length: int) -> Windows:
        """The windows that cover steps first .. first + count - 1; phase : (n,) [steps]."""
        index, offset = np.divmod(first + phase, length)
        return cls(index, offset, (count + length - 2) // length + 1, length, count)

    @property
    def place(self) -> tuple[Ints, Ints]:
        """(n, count) in which window each common step lies, and which of its steps it is."""
        window, step = np.divmod(self.offset[:, None] + np.arange(self.count), self.length)
        return window, step

    @property
    def is_short(self) -> bool:
        """Whether there are so few common steps that looking each up is less work than making whole windows."""
        return self.count < self.length

    def at(self, values: Floats, window: Ints) -> Floats:
        """(n, number) a value of each window -> (n, count) that of each step's window."""
        return values if self.number == 1 else np.take_along_axis(values, window, axis=1)

    def cut(self, steps: Floats) -> Floats:
        """(n, number * length) steps of each key's own windows -> (n, count) common steps."""
        views = np.lib.stride_tricks.sliding_window_view(steps, self.count, axis=1)
        return views[np.arange(len(steps)), self.offset]

    def lines(self, knots: Floats) -> Floats:
        """Straight lines between knots at the starts of windows: (n, number + 1) -> (n, count)."""
        before, rise = knots[:, :-1], (knots[:, 1:] - knots[:, :-1]) / self.length
        if self.is_short:
            window, own = self.place
            return self.at(before, window) + self.at(rise, window) * own
        steps = np.empty((len(knots), self.number * self.length))
        for step in range(self.length):
            steps[:, step :: self.length] = before + rise * step
        return self.cut(steps)

    def runs(self, start: Floats, duration: Floats, height: Floats) -> Floats:
        """One run in each window: height times the part of each step that the run covers.

        start, duration : (n, number), in steps from the start of the window
        height : (n, number), any unit
        Returns (n, count), the unit of height.
        """
        end = start + duration
        if self.is_short:
            window, own = self.place
            covered = np.minimum(self.at(end, window), own + 1.0)
            covered -= np.maximum(self.at(start, window), own)
            return np.asarray(np.maximum(covered, 0.0, out=covered) * self.at(height, window))
        steps = np.empty((len(start), self.number * self.length))
        for step in range(self.length):
            covered = np.minimum(end, step + 1.0)
            covered -= np.maximum(start, float(step))
            np.maximum(covered, 0.0, out=covered)
            np.multiply(covered, height, out=steps[:, step :: self.length])
        return self.cut(steps)


def normal_noise(keys: Hashes, stream: str, first: int, count: int, length: int) -> Floats:
    """Standard normal values every `length` steps with straight lines between: (n,) keys -> (n, count)."""
    windows = Windows.covering(phase_of(keys), first, count, length)
    hashes = counter_hash(keys, stream, windows.index, windows.number + 1)
    return windows.lines(NORMAL[field(hashes, 0)])


def chunks(n_keys: int, n_steps: int) -> Iterator[slice]:
    """Slices of keys, each of about CHUNK_READS values of n_steps steps."""
    step = max(1, CHUNK_READS // n_steps)
    return (slice(start, start + step) for start in range(0, n_keys, step))
