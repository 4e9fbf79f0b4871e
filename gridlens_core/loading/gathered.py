"""Reads as a file has them, gathered part by part: arrays, with the line each came from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gridlens_core.errors import FileRefusedError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

MOST_READS = 5_000_000  # together: they are sorted in memory
MOST_METERS = 20_000
READ, ESTIMATED, MISSING = 0, 1, 2  # what a mark says of a value


@dataclass(frozen=True)
class FileReads:
    """What was gathered; vectors (n_reads,) in the order of the files.

    meter : position in `meters`
    at : what the time says [s since 1970], UTC or on the clock of an unknown zone
    value, volts : in the file's own unit, NaN where it has none
    mark : READ, ESTIMATED or MISSING; line : in its file, 0 where it has none
    minutes : that the file says each covers, 0 where it does not
    feeders : of each meter, "" where the file names none
    """

    meters: tuple[str, ...]
    feeders: tuple[str, ...]
    meter: Ints
    at: Ints
    value: Floats
    volts: Floats
    mark: NDArray[np.int8]
    line: Ints
    minutes: Ints

    def __len__(self) -> int:
        return len(self.meter)


@dataclass
class Gathered:
    """Collects parts of files into FileReads."""

    row_of: dict[str, int] = field(default_factory=dict)
    feeder_of: dict[int, str] = field(default_factory=dict)
    parts: list[tuple[Any, ...]] = field(default_factory=list)
    count: int = 0

    def rows(self, meters: Sequence[str], name: str) -> Ints:
        """Positions of these meters, the new ones added."""
        rows = np.array([self.row_of.setdefault(meter, len(self.row_of)) for meter in meters], np.int64)
        if len(self.row_of) > MOST_METERS:
            raise FileRefusedError.at(name, f"it has over {MOST_METERS:,} meters, more than a demo can show")
        return rows

    def add(self, name: str, meter: Any, at: Ints, value: Floats, **more: Any) -> None:
        """Adds some reads; `more` may be volts, mark, line and minutes."""
        n = len(at)
        self.count += n
        if self.count > MOST_READS:
            raise FileRefusedError.at(name, f"there are over {MOST_READS:,} reads; send fewer meters or fewer months")
        self.parts.append((
            np.broadcast_to(np.asarray(meter, np.int32), n),
            at,
            value,
            more.get("volts", np.broadcast_to(np.float32(np.nan), n)),
            more.get("mark", np.broadcast_to(np.int8(READ), n)),
            np.broadcast_to(np.asarray(more.get("line", 0), np.int32), n),
            np.broadcast_to(np.asarray(more.get("minutes", 0), np.int32), n),
        ))  # fmt: skip

    def done(self) -> FileReads:
        """All of it; raises FileRefusedError where there is none."""
        if not self.count:
            raise FileRefusedError.at("the file", "there is no read in it")
        columns = [np.concatenate(one) for one in zip(*self.parts, strict=True)]
        self.parts.clear()
        meters = tuple(self.row_of)
        feeders = tuple(self.feeder_of.get(row, "") for row in range(len(meters)))
        meter, at, value, volts, mark, line, minutes = columns
        return FileReads(
            meters, feeders, meter.astype(np.int64), at, value, volts.astype(np.float64), mark, line, minutes
        )
