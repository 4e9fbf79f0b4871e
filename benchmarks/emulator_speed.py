"""Reads a second of the load model on one core, beside numpy drawing as many normal and lognormal numbers.
Run as python -m benchmarks.emulator_speed [--fleet 100000]."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial

import numpy as np

from gridlens_core.meters.load_model import honest_reads
from gridlens_core.meters.traits import MeterTraits, meter_traits

FIRST_SLOT = 1_963_584  # 1 January 2026, 00:00 UTC
TIMEZONE = "America/Chicago"
METERS_PER_FEEDER = 40
YARDSTICK_READS = 1_000_000
REPEATS = 5


def fleet(n_meters: int) -> MeterTraits:
    meters = [f"MTR-{1 + number:05d}" for number in range(n_meters)]
    feeders = [f"FEEDER_{1 + number // METERS_PER_FEEDER}" for number in range(n_meters)]
    return meter_traits(7, "SPEED", meters, feeders)


def best_seconds(work: Callable[[], object]) -> float:
    """The shortest of a few runs, the one least disturbed by others on the machine."""
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def yardstick() -> float:
    """Pairs a second of one normal and one lognormal number from numpy's generator."""
    rng = np.random.default_rng(7)

    def draw() -> None:
        rng.standard_normal(YARDSTICK_READS)
        rng.lognormal(size=YARDSTICK_READS)

    return YARDSTICK_READS / best_seconds(draw)


def main() -> None:
    """Each row is kWh and volts together; a ratio of one means as fast as drawing two random numbers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fleet", type=int, default=100_000, help="meters of the large fleet")
    large, small = fleet(parser.parse_args().fleet), fleet(400)
    pairs = yardstick()
    print(f"{'meters':>8s}{'slots':>7s}{'ms':>10s}{'reads/s':>13s}{'ratio':>8s}   numpy: {pairs:,.0f} pairs/s")
    cases = [(small, 1), (small, 96), (small, 8 * 96), (small, 3000), (large, 1), (large, 4)]
    for traits, n_slots in cases:
        seconds = best_seconds(partial(honest_reads, traits, FIRST_SLOT, n_slots, TIMEZONE))
        rate = len(traits) * n_slots / seconds
        print(f"{len(traits):8d}{n_slots:7d}{1000 * seconds:10.2f}{rate:13,.0f}{rate / pairs:8.2f}")


if __name__ == "__main__":
    main()
