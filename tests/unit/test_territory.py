"""The drawn territory: the same fleet gives the same picture, no two streets cross, no two meters coincide."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from helpers import TENANT

from gridlens_core.display.territory import HEIGHT, WIDTH, Points, Territory, territory


def laid_out(*meters_of_feeders: int, tenant: str = TENANT, name: str = "FEEDER_{}") -> Territory:
    feeders = tuple(name.format(number) for number in range(len(meters_of_feeders)))
    of_meters = [feeder for feeder, count in zip(feeders, meters_of_feeders, strict=True) for _ in range(count)]
    return territory(tenant, feeders, tuple(of_meters))


FLEETS = [
    pytest.param((40,) * 10, id="ten feeders of forty"),
    pytest.param((10,) * 8, id="eight small feeders"),
    pytest.param((400, 3, 60, 1, 25), id="feeders of very different sizes"),
    pytest.param((40,), id="a single feeder"),
    pytest.param((60,) * 26, id="three substations"),
]


def segments(territory: Territory) -> tuple[Points, Points]:
    """Both ends of every straight piece of street: (n, 2) each."""
    lines = [line for feeder in territory.feeders for line in (feeder.trunk, *feeder.laterals)]
    return np.concatenate([line[:-1] for line in lines]), np.concatenate([line[1:] for line in lines])


def turn(a: Points, b: Points, c: Points) -> Points:
    return (b[..., 0] - a[..., 0]) * (c[..., 1] - a[..., 1]) - (b[..., 1] - a[..., 1]) * (c[..., 0] - a[..., 0])


@pytest.mark.parametrize("fleet", FLEETS)
def test_no_two_streets_cross(fleet: tuple[int, ...]) -> None:
    a, b = segments(laid_out(*fleet))
    # Where one street branches off another the ends touch; a little shorter, they do not.
    a, b = a + (b - a) * 0.02, b - (b - a) * 0.02
    p, q, r, s = a[:, None], b[:, None], a[None], b[None]
    crossed = (turn(p, q, r) * turn(p, q, s) < 0) & (turn(r, s, p) * turn(r, s, q) < 0)
    assert not crossed.any()


@pytest.mark.parametrize("fleet", FLEETS)
def test_every_meter_has_a_place_of_its_own_beside_its_street(fleet: tuple[int, ...]) -> None:
    found = laid_out(*fleet)
    assert found.meters.shape == (sum(fleet), 2)
    assert (found.meters >= 0).all()
    assert (found.meters <= [WIDTH, HEIGHT]).all()
    apart = np.linalg.norm(found.meters[:, None] - found.meters[None], axis=2)
    np.fill_diagonal(apart, np.inf)
    assert apart.min() > 4
    assert np.linalg.norm(found.meters - found.doors, axis=1).max() < 40


def test_the_same_fleet_gives_the_same_picture_and_another_tenant_another_one() -> None:
    first = laid_out(40, 30, 20)
    territory.cache_clear()
    again, renamed, other = (
        laid_out(40, 30, 20),
        laid_out(40, 30, 20, name="Mill St {}"),
        laid_out(40, 30, 20, tenant="x"),
    )
    assert np.array_equal(first.meters, again.meters)
    assert np.array_equal(first.meters, renamed.meters)
    assert not np.allclose(first.meters, other.meters)


def test_a_feeders_streets_branch_off_its_trunk_and_the_trunk_leaves_a_substation() -> None:
    found = laid_out(*(25,) * 14)
    assert len(found.substations) == 2
    for feeder in found.feeders:
        assert np.linalg.norm(found.substations - feeder.trunk[0], axis=1).min() == pytest.approx(0)
        assert len(feeder.transformers) >= len(feeder.laterals) > 1
        for lateral in feeder.laterals:
            assert min(distance(lateral[0], a, b) for a, b in pairwise(feeder.trunk)) < 8


def distance(point: Points, a: Points, b: Points) -> float:
    """Of a point from a straight piece."""
    along = np.clip(np.dot(point - a, b - a) / np.dot(b - a, b - a), 0, 1)
    return float(np.linalg.norm(point - (a + along * (b - a))))
