"""Noise: each value equals its plain scalar version, and the tables have the stated mean and variance."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from plain_noise import scalar_hash, scalar_line, scalar_normal_noise, scalar_run

from gridlens_core.meters.noise import (
    CHUNK_READS,
    NORMAL,
    TABLE_SIZE,
    UNIFORM,
    Windows,
    chunks,
    counter_hash,
    field,
    happens,
    lognormal_table,
    name_key,
    normal_noise,
)

KEYS = np.array([name_key(7, "T", number) for number in range(5)], dtype=np.uint64)
streams = st.sampled_from(["day", "short_window", "own_gap 3"])
slots = st.integers(0, 3_000_000)
lengths = st.integers(1, 24)


@given(streams, slots, st.integers(1, 9))
def test_a_hash_equals_the_plain_one(stream: str, start: int, count: int) -> None:
    got = counter_hash(KEYS, stream, start, count)
    assert got.tolist() == [[scalar_hash(int(key), stream, start + i) for i in range(count)] for key in KEYS]


@given(st.integers(0, 2**64 - 1), st.integers(0, 4))
def test_a_field_is_twelve_bits_of_the_hash(value: int, number: int) -> None:
    assert field(np.array([value], dtype=np.uint64), number).tolist() == [value // 4096**number % 4096]


@given(slots, st.integers(1, 60), lengths)
def test_normal_noise_equals_the_plain_one(first: int, count: int, length: int) -> None:
    got = normal_noise(KEYS, "fronts", first, count, length)
    assert got.tolist() == [
        [scalar_normal_noise(int(key), "fronts", first + i, length) for i in range(count)] for key in KEYS
    ]


@given(st.data(), slots, st.integers(1, 40), lengths)
def test_lines_and_runs_of_windows_equal_the_plain_ones(
    data: st.DataObject, first: int, count: int, length: int
) -> None:
    phase = np.array(data.draw(st.lists(st.integers(0, 65_535), min_size=3, max_size=3)))
    windows = Windows.covering(phase, first, count, length)
    seed = np.random.default_rng(data.draw(st.integers(0, 99)))
    knots = seed.normal(size=(3, windows.number + 1))
    duration = seed.uniform(0, length, size=(3, windows.number))
    start = seed.uniform(0, length - duration)
    lines, runs = windows.lines(knots), windows.runs(start, duration, knots[:, :-1])
    assert lines.shape == runs.shape == (3, count)
    for key in range(3):
        for i in range(count):
            window, step = divmod(first + i + int(phase[key]), length)
            place = window - int(windows.index[key])
            assert lines[key, i] == scalar_line(knots[key, place], knots[key, place + 1], length, step)
            assert runs[key, i] == scalar_run(start[key, place], duration[key, place], knots[key, place], step)


@given(st.integers(0, 99), lengths)
def test_a_run_keeps_its_energy(seed: int, length: int) -> None:
    """Height times duration, wherever in its window it lies."""
    random = np.random.default_rng(seed)
    windows = Windows.covering(np.array([0]), 0, 3 * length, length)
    duration = random.uniform(0, length, size=(1, windows.number))
    start = random.uniform(0, length - duration)
    height = random.uniform(1, 9, size=(1, windows.number))
    energy = windows.runs(start, duration, height).reshape(3, length).sum(axis=1)
    assert np.allclose(energy, (duration * height)[0, :3])


def test_fields_of_a_hash_are_even_and_do_not_follow_each_other() -> None:
    hashes = counter_hash(KEYS, "day", 0, 20_000)
    values = np.stack([UNIFORM[field(hashes, number)].ravel() for number in range(5)])
    assert np.abs(values.mean(axis=1) - 0.5).max() < 0.005
    assert np.abs(np.corrcoef(values) - np.eye(5)).max() < 0.02


@pytest.mark.parametrize("chance", [0.0, 1e-4, 0.02, 1.0])
def test_a_chance_is_kept(chance: float) -> None:
    share = happens(counter_hash(KEYS, "own_gap 0", 0, 200_000), chance).mean()
    assert share == pytest.approx(chance, abs=4 * np.sqrt(chance * (1 - chance) / 1e6))


def test_two_streams_of_a_key_have_no_value_in_common() -> None:
    one, other = (counter_hash(KEYS, stream, 0, 5_000) for stream in ("day", "slow"))
    assert np.intersect1d(one, other).size == 0


@pytest.mark.parametrize("sigma", [0.3, 0.95])
def test_a_lognormal_table_has_mean_one(sigma: float) -> None:
    table = lognormal_table(sigma, 2.0)
    assert table.mean() == pytest.approx(1.0, abs=1e-4)
    assert (table.min(), table.max()) == pytest.approx(
        np.exp(sigma * np.array([-2, 2])) / np.exp(sigma * np.clip(NORMAL, -2, 2)).mean(), rel=2e-3
    )


def test_tables_hold_as_many_values_as_a_field_has() -> None:
    assert len(UNIFORM) == len(NORMAL) == len(lognormal_table(0.5, 2)) == TABLE_SIZE == 2**12


@pytest.mark.parametrize(("n_keys", "n_steps"), [(0, 5), (1, 5), (1000, 96), (3, 2 * CHUNK_READS)])
def test_chunks_hold_every_key_once(n_keys: int, n_steps: int) -> None:
    parts = [list(range(n_keys))[one] for one in chunks(n_keys, n_steps)]
    assert [key for part in parts for key in part] == list(range(n_keys))
    assert all(len(part) * n_steps <= CHUNK_READS or len(part) == 1 for part in parts)
