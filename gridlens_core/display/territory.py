"""A drawn service territory: where substations, streets, transformers and meters stand. Not surveyed: it follows from
the tenant's name and how many meters each feeder has, so that the same fleet gives the same picture anywhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import ceil, sqrt

import numpy as np
from numpy.typing import NDArray

from gridlens_core.meters.noise import UNIFORM, counter_hash, field, name_key

Points = NDArray[np.float64]  # (n, 2), x to the right and y down, in a territory of WIDTH by HEIGHT

WIDTH, HEIGHT = 2000.0, 1000.0
FEEDERS_OF_A_SUBSTATION = 12
METERS_OF_A_TRANSFORMER = 8
WIDEST_SECTOR = 2.1  # radians that one feeder's streets may take
MOST_RINGS = 16
CORNERS = 5.0  # the exponent of the superellipse that bounds an area: 2 is an ellipse, more is squarer
FIRST_RING = 0.22  # share of the way from the substation to the edge without streets
SIDEWAYS, BEND = 0.84, 0.36  # of a sector's half width: how far streets reach, how far the trunk bends in all
SLOPE, DOOR = 0.2, 0.17  # of the distance between two streets of one side
FARTHEST_DOOR, FIRST_DOOR = 22.0, 0.24  # from the street; share of a street on which no house stands yet
EDGE, OUTLINE = 1.13, 1.05  # how far an area reaches beyond its streets, sideways and outwards
ANGLES = np.linspace(-0.5 * np.pi, 1.5 * np.pi, 1441)  # once around, from the top


@dataclass(frozen=True)
class Streets:
    """One feeder: the line out of its substation, the streets that branch off it, and a transformer or more on each.

    area : (k, 2), the outline of the part of the territory it serves
    trunk : (k, 2), from the substation outwards
    laterals : each (k, 2), from the trunk to the end of the street
    transformers : (k, 2)
    """

    area: Points
    trunk: Points
    laterals: tuple[Points, ...]
    transformers: Points

    @property
    def box(self) -> tuple[float, float, float, float]:
        """Least x and y, greatest x and y."""
        every = np.concatenate([self.trunk, *self.laterals])
        (x0, y0), (x1, y1) = every.min(axis=0).tolist(), every.max(axis=0).tolist()
        return x0, y0, x1, y1


@dataclass(frozen=True)
class Territory:
    """The whole of it.

    substations : (n, 2)
    feeders : in the order of the fleet's feeders
    meters, doors : (n_meters, 2), in the fleet's order; a door is where a meter's service leaves its street
    """

    substations: Points
    feeders: tuple[Streets, ...]
    meters: Points
    doors: Points


@lru_cache(maxsize=16)
def territory(tenant_id: str, feeders: tuple[str, ...], feeder_ids: tuple[str, ...]) -> Territory:
    """Lays out a fleet.

    feeders : in the order in which they stand around their substations, clockwise
    feeder_ids : each meter's feeder; what a feeder is called does not matter, only which meters are on it
    """
    place = {feeder: number for number, feeder in enumerate(feeders)}
    of_meter = np.array([place[feeder] for feeder in feeder_ids], dtype=np.int64)
    counts = np.bincount(of_meter, minlength=len(feeders))
    meters, doors = np.zeros((len(of_meter), 2)), np.zeros((len(of_meter), 2))
    substations: list[Points] = []
    laid: list[Streets] = []
    areas = _areas(len(feeders))
    for area, some in zip(areas, np.array_split(np.arange(len(feeders)), len(areas)), strict=True):
        sectors = _sectors(tenant_id, area, counts[some])
        substations.append(sectors[0].centre)
        for number, sector in zip(some.tolist(), sectors, strict=True):
            streets, at, door = _lay(sector, int(counts[number]), _chances(tenant_id, number))
            laid.append(streets)
            meters[of_meter == number], doors[of_meter == number] = at, door
    return Territory(np.array(substations), tuple(laid), meters, doors)


def _areas(n_feeders: int) -> list[tuple[float, float, float, float]]:
    """(x, y, width, height) of each substation's area, side by side and in rows."""
    n_areas = max(1, ceil(n_feeders / FEEDERS_OF_A_SUBSTATION))
    rows = max(1, round(sqrt(n_areas * HEIGHT / WIDTH)))
    per_row = [len(some) for some in np.array_split(np.arange(n_areas), rows)]
    return [
        (column * WIDTH / columns, row * HEIGHT / rows, WIDTH / columns, HEIGHT / rows)
        for row, columns in enumerate(per_row)
        for column in range(columns)
    ]


@dataclass(frozen=True)
class Sector:
    """The part of an area that one feeder serves.

    reach : (angles,) distance of the area's edge from the substation in each direction of ANGLES
    middle, half : where it points and half its width, radians
    """

    centre: Points
    reach: NDArray[np.float64]
    middle: float
    half: float

    def at(self, sideways: object, outwards: object) -> Points:
        """Points by their place in the sector: sideways -1 to 1, outwards 0 at the substation to 1 at the edge."""
        u, out = np.broadcast_arrays(np.asarray(sideways, dtype=float), np.asarray(outwards, dtype=float))
        angle = self.middle + self.half * SIDEWAYS * u
        turned = -0.5 * np.pi + (angle + 0.5 * np.pi) % (2 * np.pi)
        r = out * np.interp(turned, ANGLES, self.reach)
        return np.asarray(self.centre + np.stack([r * np.cos(angle), r * np.sin(angle)], axis=-1))

    @property
    def outline(self) -> Points:
        """Around it: out along one edge, over the far end, and back along the other."""
        out, over = np.linspace(0.04, OUTLINE, 6), np.linspace(-EDGE, EDGE, 9)
        return np.concatenate([self.at(-EDGE, out), self.at(over, OUTLINE), self.at(EDGE, out[::-1])])

    @property
    def size(self) -> float:
        """Its area, in square units."""
        r = np.linalg.norm(self.at(np.linspace(-1, 1, 15), np.ones(15)) - self.centre, axis=1)
        return float(np.mean(r * r) * self.half)


def _sectors(tenant_id: str, area: tuple[float, float, float, float], counts: NDArray[np.int64]) -> list[Sector]:
    """The area around one substation in sectors: half of it in equal parts, half by the number of meters."""
    x, y, width, height = area
    aside = 0.16 * (_chances(tenant_id, f"substation {x:.0f} {y:.0f}")[:2] - 0.5)
    centre = np.array([x + width * (0.5 + aside[0]), y + height * (0.5 + aside[1])])
    reach = _reach(centre, area)
    swept = np.concatenate([[0.0], np.cumsum(0.5 * (reach[1:] ** 2 + reach[:-1] ** 2))])
    parts = 0.5 / len(counts) + 0.5 * counts / max(1, counts.sum())
    edges = np.interp(np.concatenate([[0.0], np.cumsum(parts)]) / parts.sum() * swept[-1], swept, ANGLES)
    middles, halves = (edges[1:] + edges[:-1]) / 2, np.diff(edges) / 2
    return [
        Sector(centre, reach, float(middle), float(min(half, WIDEST_SECTOR / 2)))
        for middle, half in zip(middles, halves, strict=True)
    ]


def _reach(centre: Points, area: tuple[float, float, float, float]) -> NDArray[np.float64]:
    """How far it is from a point to the edge of its area in each direction, by halving."""
    x, y, width, height = area
    low: NDArray[np.float64] = np.zeros_like(ANGLES)
    high: NDArray[np.float64] = np.full_like(ANGLES, width + height)
    for _ in range(40):
        r = (low + high) / 2
        across = np.abs((centre[0] + r * np.cos(ANGLES) - x) / width - 0.5) * 2
        down = np.abs((centre[1] + r * np.sin(ANGLES) - y) / height - 0.5) * 2
        inside = across**CORNERS + down**CORNERS < 1
        low, high = np.where(inside, r, low), np.where(inside, high, r)
    return low


def _chances(*names: object) -> NDArray[np.float64]:
    """(64,) numbers over 0 and under 1 that follow from the names."""
    keys = np.array([name_key("territory", *names)], dtype=np.uint64)
    return np.asarray(UNIFORM[field(counter_hash(keys, "territory", 0, 64), 0)][0])


def _lay(sector: Sector, n_meters: int, chances: NDArray[np.float64]) -> tuple[Streets, Points, Points]:
    """Streets, meters (n, 2) and doors (n, 2) of one feeder."""
    longest = float(np.linalg.norm(sector.at(0, 1) - sector.centre))
    # So many rings of streets that houses stand about half as far apart as the streets do.
    apart = sqrt(2.2 * max(sector.size, 1.0) / max(n_meters, 1))
    rings = int(np.clip(round((1 - FIRST_RING) * longest / apart), 1, MOST_RINGS))
    step = (1 - FIRST_RING) / rings
    bends = (chances[: rings + 1] - 0.5) * BEND
    at_bend = FIRST_RING + step * np.arange(rings + 1)
    roads = [
        Road(
            sector,
            outwards := FIRST_RING + step * (ring + (0.12 if side < 0 else 0.62)),
            start=float(np.interp(outwards, at_bend, bends)),
            end=side * (0.62 + 0.38 * chances[(7 * ring + 3 * side) % 64]),
            slope=SLOPE * step * (2 * chances[(5 * ring + 11 * side) % 64] - 1),
        )
        for ring in range(rings)
        for side in (-1, 1)
    ]
    houses = _shared(n_meters, [road.length for road in roads])
    built = [(road, count) for road, count in zip(roads, houses, strict=True) if count]
    forks = np.array([road.outwards for road, _ in built] or [1.0])
    between = np.concatenate([np.linspace(0.0, forks.max(), 3 * rings + 3), at_bend[at_bend < forks.max()]])
    out = np.unique(np.concatenate([between, forks]))
    trunk = sector.at(np.interp(out, [0.0, *at_bend], [0.0, *bends]), out)
    doors = [road.at(_doors(count)) for road, count in built]
    farthest = min(DOOR * step * longest, FARTHEST_DOOR)
    meters = [
        door + min(farthest, 0.4 * road.length) * road.normals(_doors(count)) * _sides(count)
        for (road, count), door in zip(built, doors, strict=True)
    ]
    transformers = [
        road.at([float(group.mean()) for group in np.array_split(_doors(count), ceil(count / METERS_OF_A_TRANSFORMER))])
        for road, count in built
    ]
    laterals = tuple(road.at(np.linspace(0.0, float(_doors(count).max()), 7)) for road, count in built)
    return Streets(sector.outline, trunk, laterals, _joined(transformers)), _joined(meters), _joined(doors)


@dataclass(frozen=True)
class Road:
    """A street that branches off a feeder's trunk: from `start` to `end` sideways in its sector, at `outwards` and a
    little slanted."""

    sector: Sector
    outwards: float
    start: float
    end: float
    slope: float

    def at(self, along: object) -> Points:
        """Points of it, 0 at the trunk to 1 at its end."""
        share = np.asarray(along, dtype=float)
        return self.sector.at(self.start + (self.end - self.start) * share, self.outwards + self.slope * share)

    def normals(self, along: NDArray[np.float64]) -> Points:
        """(n, 2) of length one, square to the street at each of these points."""
        ahead = self.at(along + 0.01) - self.at(along - 0.01)
        ahead /= np.linalg.norm(ahead, axis=1)[:, None]
        return np.stack([-ahead[:, 1], ahead[:, 0]], axis=1)

    @property
    def length(self) -> float:
        ends = self.at([0.0, 1.0])
        return float(np.linalg.norm(ends[1] - ends[0]))


def _doors(n_houses: int) -> NDArray[np.float64]:
    """Where on a street its houses stand, on either side by turns."""
    house = np.arange(n_houses)
    pairs = ceil(n_houses / 2)
    return np.asarray(FIRST_DOOR + (1 - FIRST_DOOR) * (house // 2 + 0.5 + 0.24 * (house % 2)) / (pairs + 0.24))


def _sides(n_houses: int) -> Points:
    """(n, 1) on which side of the street each house stands: 1 or -1."""
    return np.where(np.arange(n_houses) % 2, 1.0, -1.0)[:, None]


def _shared(n_meters: int, lengths: Sequence[float]) -> list[int]:
    """How many meters stand on each street: by its length, and together all of them."""
    upto = np.round(np.cumsum(lengths) / np.sum(lengths) * n_meters).astype(int)
    return [int(count) for count in np.diff(upto, prepend=0)]


def _joined(points: list[Points]) -> Points:
    return np.concatenate(points) if points else np.zeros((0, 2))
