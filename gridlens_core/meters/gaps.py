"""Reads missing without any event: when they are missing, by meter and slot. A pure function, like the load model."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gridlens_core.meters.noise import UNIFORM, Flags, Windows, chunks, counter_hash, field, happens, phase_of, table
from gridlens_core.meters.profiles import Floats
from gridlens_core.meters.traits import MeterTraits

# Measured on real head-ends: median gap 2 h, p75 10 h, p90 48 h; half of the meters have hardly any.
MISSING_SHARE = 0.002  # of reads; modern contracts ask for 99.5 % read success, this leaves room for events
GAP_CLASSES = ((1, 8, 0.50), (8, 40, 0.25), (40, 192, 0.15), (192, 768, 0.10))  # shortest, longest [slots], share
SHARED_GAPS = 1 / 3  # of gaps begin together with another meter's, measured
JOINING = 0.15  # part of a feeder's meters that join in a shared gap
STEADY_METERS, STEADY_RATE = 0.5, 0.05  # half of the meters have a twentieth of the mean rate


def _gap_table(shortest: int, longest: int) -> Floats:
    """Lengths spread evenly in their logarithm: (TABLE_SIZE,) [whole slots]."""
    return np.rint(table(lambda share: shortest * (longest / shortest) ** share))


GAP_SLOTS = [_gap_table(shortest, longest) for shortest, longest, _ in GAP_CLASSES]
MEAN_GAP_SLOTS = sum(part * float(slots.mean()) for slots, (*_, part) in zip(GAP_SLOTS, GAP_CLASSES, strict=True))


def background_missing(traits: MeterTraits, first_slot: int, n_slots: int, share: float = MISSING_SHARE) -> Flags:
    """Which reads do not arrive although no event touches them.

    share : part of all reads that are missing, over meters and a long time; of a weak feeder more
    Returns (n_meters, n_slots); a flag depends on its meter, its feeder and its slot alone.
    """
    missing = np.zeros((len(traits), n_slots), dtype=np.bool_)
    steady = UNIFORM[field(counter_hash(traits.key, "steady", 0, 1)[:, 0], 0)] < STEADY_METERS
    rate = np.where(steady, STEADY_RATE, (1.0 - STEADY_METERS * STEADY_RATE) / (1.0 - STEADY_METERS))
    of_feeder = traits.feeder_gaps[traits.feeder_index]
    for number, (_, longest, part) in enumerate(GAP_CLASSES):
        chance = share / MEAN_GAP_SLOTS * part * 2 * longest  # in a window of twice the longest gap
        _own_gaps(missing, traits, first_slot, number, chance * (1.0 - SHARED_GAPS) * rate * of_feeder)
        often = traits.feeder_gaps * (chance * SHARED_GAPS / JOINING)
        _shared_gaps(missing, traits, first_slot, number, often, JOINING * rate)
    return missing


def _own_gaps(missing: Flags, traits: MeterTraits, first: int, number: int, chance: Floats) -> None:
    """Mark the gaps of class `number` that meters have by themselves.

    missing : (n_meters, n_slots), changed in place
    chance : (n_meters,) of a gap in a window
    """
    windows = Windows.covering(traits.phase, first, missing.shape[1], 2 * GAP_CLASSES[number][1])
    for rows in chunks(len(traits), windows.number):
        hashes = counter_hash(traits.key[rows], f"own_gap {number}", windows.index[rows], windows.number)
        row, window = np.nonzero(happens(hashes, chance[rows, None]))
        drawn = hashes[row, window]
        row += rows.start
        slots = GAP_SLOTS[number][field(drawn, 0)]
        begin = np.floor((windows.length - slots + 1) * UNIFORM[field(drawn, 1)])
        begin += window * windows.length - windows.offset[row]
        _mark(missing, row, begin, slots)


def _shared_gaps(missing: Flags, traits: MeterTraits, first: int, number: int, chance: Floats, joining: Floats) -> None:
    """Mark the gaps of class `number` that begin together on a feeder; each meter's has its own length.

    missing : (n_meters, n_slots), changed in place
    chance : (n_feeders,) of a shared gap in a window of a feeder
    joining : (n_meters,) chance that a meter joins in
    """
    longest = GAP_CLASSES[number][1]
    windows = Windows.covering(phase_of(traits.feeder_keys), first, missing.shape[1], 2 * longest)
    hashes = counter_hash(traits.feeder_keys, f"shared_gap {number}", windows.index, windows.number)
    for feeder, window in np.argwhere(happens(hashes, chance[:, None])):
        begin = np.floor((longest + 1) * UNIFORM[field(hashes[feeder, window], 1)])
        begin += window * windows.length - windows.offset[feeder]
        members = np.flatnonzero(traits.feeder_index == feeder)
        index = int(windows.index[feeder] + window)
        own = counter_hash(traits.key[members], f"joining {number}", index, 1)[:, 0]
        joined = happens(own, joining[members])
        slots = GAP_SLOTS[number][field(own[joined], 0)]
        _mark(missing, members[joined], np.full(len(slots), begin), slots)


def _mark(missing: Flags, rows: NDArray[np.intp], begin: Floats, slots: Floats) -> None:
    """Set missing[row, begin : begin + slots] for each row; rows, begin, slots : (n_gaps,)."""
    for row, start, end in zip(rows, begin.astype(int), (begin + slots).astype(int), strict=True):
        missing[row, max(start, 0) : max(end, 0)] = True
