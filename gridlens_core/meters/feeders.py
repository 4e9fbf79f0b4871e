"""How the feeders of a synthetic fleet differ: size, length, customers, losses, and how well their reads arrive.
A feeder's kind follows from the number in its id; a feeder of another name is a plain one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from gridlens_core.meters.profiles import load_profiles

# Technical loss of a feeder, a + b P^2.
NO_LOAD_SHARE = 0.0125  # of mean load, transformer cores; 1.0-1.6 % on solved EPRI feeders
LOAD_LOSS_SHARE = 0.0135  # of energy over a year; with the above 2.2-3.5 % on the same feeders

SIZES_DIFFER_FROM = 10  # meters a feeder: of fewer, a third would be none to speak of
OURS = re.compile(r"FEEDER_([1-9]\d*)")


@dataclass(frozen=True)
class FeederKind:
    """What makes a feeder what it is.

    name : what a utility would call it
    size : its meters over those of a mean feeder
    length : electrical length over that of a plain feeder
    commerce : share of its meters that are small commerce, None for that of the fleet
    customers : large customers it has, by the names of their day shapes
    no_load_share : lost in transformer cores, of the mean load
    load_loss_share : lost in conductors, of the energy over a year
    gaps : reads missing without any event, over those of a plain feeder
    head_v : how much higher its head is kept [V]; long feeders are
    """

    name: str = ""
    size: float = 1.0
    length: float = 1.0
    commerce: float | None = None
    customers: tuple[str, ...] = ()
    no_load_share: float = NO_LOAD_SHARE
    load_loss_share: float = LOAD_LOSS_SHARE
    gaps: float = 1.0
    head_v: float = 0.0

    @property
    def commercial_share(self) -> float:
        return load_profiles().commercial_share if self.commerce is None else self.commerce


PLAIN = FeederKind()

# Sizes add up to ten. Losses of 1.6 to 4.9 %: one utility's feeders lose 1.5 to 6 %, the median of US public power
# distributors is 4.07 %.
KINDS = (
    FeederKind("Maple Avenue", 0.85, 0.80, 0.06, (), 0.0110, 0.0110),
    FeederKind("Lakeview", 1.30, 0.95, 0.05, ("school",), 0.0125, 0.0150, 3.0),
    FeederKind("Quarry Road", 0.30, 1.10, 0.10, ("workshop",), 0.0190, 0.0240, 1.0, 0.3),
    FeederKind("Market Square", 1.15, 0.60, 0.28, (), 0.0090, 0.0070),
    FeederKind("Northgate", 2.00, 0.90, 0.07, ("school",), 0.0115, 0.0130),
    FeederKind("Mill Street", 0.40, 0.65, 0.20, ("workshop",), 0.0100, 0.0085),
    FeederKind("Oak Hill"),
    FeederKind("Cedar Valley", 0.45, 1.15, 0.04, (), 0.0200, 0.0290, 5.0, 0.4),
    FeederKind("Riverside", 1.55, 1.05, 0.08, (), 0.0150, 0.0180),
    FeederKind("Hillcrest", 1.00, 0.85, 0.04, (), 0.0110, 0.0090),
)


def feeder_kind(feeder_id: str) -> FeederKind:
    """FEEDER_1 to FEEDER_10 are each of their own kind, and FEEDER_11 is like FEEDER_1."""
    number = OURS.fullmatch(feeder_id)
    return PLAIN if number is None else KINDS[(int(number[1]) - 1) % len(KINDS)]


def feeder_name(feeder_id: str) -> str:
    """What a utility would call a feeder of a synthetic fleet, Oak Hill or Oak Hill 2; empty for any other."""
    number = OURS.fullmatch(feeder_id)
    if number is None:
        return ""
    again = (int(number[1]) - 1) // len(KINDS)
    return feeder_kind(feeder_id).name + (f" {again + 1}" if again else "")


def feeder_sizes(feeders: int, meters_per_feeder: int) -> Sequence[int]:
    """Meters of each feeder, feeders x meters_per_feeder in all.

    Sizes differ within each ten of feeders; what is left of ten, and feeders of few meters, are all alike.
    """
    if meters_per_feeder < SIZES_DIFFER_FROM:
        return [meters_per_feeder] * feeders
    ends = [0]
    for kind in KINDS:
        ends.append(ends[-1] + round(100 * kind.size))
    each = [(meters_per_feeder * end + 50) // 100 for end in ends]
    ten = [after - before for before, after in pairwise(each)]
    return ten * (feeders // len(KINDS)) + [meters_per_feeder] * (feeders % len(KINDS))
