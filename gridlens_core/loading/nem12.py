"""NEM12 of the Australian market (AEMO, Meter Data File Format): 200, 300 and 400 records.
Times are the market's, which is standard time all year."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from io import TextIOWrapper

import numpy as np

from gridlens_core.errors import FileRefusedError
from gridlens_core.loading.gathered import ESTIMATED, MISSING, READ, Gathered
from gridlens_core.loading.source import Member, encoding_of, head_of

MARKET_ZONE = "Etc/GMT-10"  # AEST, UTC+10
ENERGY_KWH = {"KWH": 1.0, "WH": 0.001, "MWH": 1000.0}
MARKS = {"A": READ, "E": ESTIMATED, "F": ESTIMATED, "S": ESTIMATED, "N": MISSING, "V": READ}
MINUTES = (5, 15, 30)


@dataclass
class _Stream:
    """A 200 record: one register of a meter."""

    meter: str
    suffix: str
    kwh: float
    minutes: int


@dataclass
class _Day:
    """What is known of a meter's day; its registers add up."""

    values: np.ndarray
    mark: np.ndarray
    line: int
    minutes: int
    suffixes: set[str]


@dataclass
class Nem12:
    """Reads one file into `gathered`; `notes` say what was left aside."""

    member: Member
    gathered: Gathered
    exported: set[str] = field(default_factory=set)
    other: set[str] = field(default_factory=set)
    replaced: int = 0

    def read(self) -> list[str]:
        """Reads it all; returns notes. Raises FileRefusedError by line."""
        meter, days = "", dict[str, _Day]()
        stream: _Stream | None = None
        day: _Day | None = None
        for line, row in self._rows():
            kind = row[0]
            if kind == "200":
                stream = self._stream(line, row)
                if stream.meter != meter:
                    self._flush(meter, days)
                    meter, days = stream.meter, {}
            elif kind == "300":
                if stream is None:
                    raise self._wrong("a 300 record stands before any 200 record", line)
                day = self._day(line, row, stream, days) if self._is_use(stream) else None
            elif kind == "400":
                if day is not None:
                    self._ranges(line, row, day)
            elif kind not in ("100", "500", "900"):
                raise self._wrong(f"a record begins with {kind!r}; NEM12 has 100, 200, 300, 400, 500 and 900", line)
        self._flush(meter, days)
        return list(self._notes())

    def _rows(self) -> Iterator[tuple[int, list[str]]]:
        encoding = encoding_of(head_of(self.member))
        with self.member.open() as stream:
            text = TextIOWrapper(stream, encoding=encoding, errors="replace", newline="")
            line = 0
            try:
                for line, row in enumerate(csv.reader(text), 1):
                    if row and row[0].strip():
                        yield line, [one.strip() for one in row]
            except csv.Error as error:
                raise self._wrong(f"it is no row of NEM12 ({error})", line + 1) from error

    def _stream(self, line: int, row: Sequence[str]) -> _Stream:
        if len(row) < 9:
            raise self._wrong(f"a 200 record has {len(row)} fields; 9 are needed", line)
        unit, minutes = row[7].upper(), row[8]
        if not minutes.isdigit() or int(minutes) not in MINUTES:
            raise self._wrong(f"the interval is {minutes!r}; NEM12 has 5, 15 and 30 minutes", line, "IntervalLength")
        return _Stream(row[1], row[4] or row[3], ENERGY_KWH.get(unit, 0.0), int(minutes))

    def _is_use(self, stream: _Stream) -> bool:
        """Whether the register is energy that the customer took from the grid."""
        if stream.kwh == 0.0 or stream.suffix[:1].upper() not in ("E", "1", "2", "3", "4"):
            (self.exported if stream.kwh and stream.suffix[:1].upper() == "B" else self.other).add(stream.suffix)
            return False
        return True

    def _day(self, line: int, row: Sequence[str], stream: _Stream, days: dict[str, _Day]) -> _Day:
        count = 24 * 60 // stream.minutes
        if len(row) < 3 + count:
            raise self._wrong(f"a 300 record has {len(row) - 3} values; {count} are due", line)
        try:
            datetime.strptime(row[1], "%Y%m%d").replace(tzinfo=UTC)
        except ValueError as error:
            raise self._wrong(f"the date is {row[1]!r}; NEM12 writes 20240131", line, "IntervalDate") from error
        values = np.empty(count)
        for place, said in enumerate(row[2 : 2 + count]):
            try:
                values[place] = float(said or "nan") * stream.kwh
            except ValueError as error:
                raise self._wrong(f"{said!r} is no number", line, f"value {place + 1}") from error
        mark = np.full(count, self._mark(line, row[2 + count]), np.int8)
        known = days.get(row[1])
        if known is None or (stream.suffix in known.suffixes and len(known.suffixes) == 1):
            self.replaced += known is not None
            known = days[row[1]] = _Day(values, mark, line, stream.minutes, {stream.suffix})
        elif stream.suffix in known.suffixes or known.minutes != stream.minutes:
            raise self._wrong(f"the day {row[1]} of register {stream.suffix} stands twice, beside others", line)
        else:
            known.values += values
            known.mark = np.maximum(known.mark, mark)
            known.suffixes.add(stream.suffix)
        return known

    def _mark(self, line: int, said: str) -> int:
        if said[:1].upper() not in MARKS:
            raise self._wrong(f"the quality is {said!r}; NEM12 has {', '.join(MARKS)}", line, "QualityMethod")
        return MARKS[said[:1].upper()]

    def _ranges(self, line: int, row: Sequence[str], day: _Day) -> None:
        """A 400 record: the quality of some intervals of the day above it."""
        try:
            first, last = int(row[1]), int(row[2])
        except (ValueError, IndexError) as error:
            raise self._wrong("a 400 record names no range of intervals", line) from error
        if not 1 <= first <= last <= len(day.values):
            raise self._wrong(f"a 400 record names intervals {first} to {last} of {len(day.values)}", line)
        mark = self._mark(line, row[3] if len(row) > 3 else "")
        day.mark[first - 1 : last] = np.maximum(day.mark[first - 1 : last], mark)

    def _flush(self, meter: str, days: dict[str, _Day]) -> None:
        if not days:
            return
        row = self.gathered.rows([meter], self.member.name)[0]
        for day, one in days.items():
            midnight = int(datetime.strptime(day, "%Y%m%d").replace(tzinfo=UTC).timestamp())
            ends = midnight + 60 * one.minutes * np.arange(1, len(one.values) + 1, dtype=np.int64)
            one.values[one.mark == MISSING] = np.nan
            more = {"mark": one.mark, "line": one.line, "minutes": one.minutes}
            self.gathered.add(self.member.name, row, ends, one.values, **more)

    def _notes(self) -> Iterator[str]:
        if self.exported:
            yield f"exported energy left aside: registers {', '.join(sorted(self.exported))}"
        if self.other:
            yield f"registers that are no energy used left aside: {', '.join(sorted(self.other))}"
        if self.replaced:
            yield f"{self.replaced} days stand twice; the later one counts"

    def _wrong(self, reason: str, line: int, column: str | None = None) -> FileRefusedError:
        return FileRefusedError.at(self.member.name, reason, line=line, column=column)
