"""The noise of the load model once more, one value at a time in plain Python numbers."""

from __future__ import annotations

from zlib import crc32

import numpy as np

from gridlens_core.meters.noise import NORMAL


def scalar_hash(key: int, stream: str, counter: int) -> int:
    z = ((counter + (crc32(stream.encode()) << 32)) * 0x9E3779B97F4A7C15 + key) % 2**64
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB % 2**64
    return z ^ (z >> 31)


def entry(table: np.ndarray, word: int, field: int = 0) -> float:
    return float(table[(word >> (12 * field)) & 4095])


def scalar_line(before: float, after: float, length: int, step: int) -> float:
    return before + (after - before) / length * step


def scalar_run(start: float, duration: float, height: float, step: int) -> float:
    return max(min(start + duration, step + 1.0) - max(start, float(step)), 0.0) * height


def scalar_normal_noise(key: int, stream: str, slot: int, length: int) -> float:
    index, step = divmod(slot + key % 65536, length)
    before, after = (entry(NORMAL, scalar_hash(key, stream, index + i)) for i in (0, 1))
    return scalar_line(before, after, length, step)
