"""The reads of a table, by its layout, part by part. Refused with the line and column where it is wrong."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gridlens_core.errors import FileRefusedError
from gridlens_core.loading.gathered import MISSING, READ, Floats, Gathered, Ints
from gridlens_core.loading.layout import Layout
from gridlens_core.loading.numbers import marks_of, numbers
from gridlens_core.loading.tables import Table
from gridlens_core.loading.times import NO_TIME


@dataclass
class Rows:
    """Reads a table of a known layout into `gathered`; `alone` names the meter of a table that has no such column."""

    table: Table
    layout: Layout
    gathered: Gathered
    alone: str

    def read(self) -> None:
        """Reads it all; raises FileRefusedError."""
        for part in self.table.parts():
            filled = (part.cells != "").any(axis=1).to_numpy()
            if not filled.any():
                continue
            lines = part.line + np.flatnonzero(filled)
            cells = part.cells if filled.all() else part.cells[filled].reset_index(drop=True)
            {"long": self._long, "a column a meter": self._meters}.get(self.layout.shape, self._intervals)(cells, lines)

    def _long(self, cells: pd.DataFrame, lines: Ints) -> None:
        at = self._times(cells, lines)
        meter = self._meter_rows(cells, lines)
        assert self.layout.value is not None
        value, mark = self._numbers(cells, lines, self.layout.value)
        mark = np.maximum(mark, self._flags(cells))
        volts = np.full(len(cells), np.nan)
        if self.layout.volts is not None:
            volts, _ = self._numbers(cells, lines, self.layout.volts)
        self._add(meter, at, value, mark, lines, volts.astype(np.float32))

    def _meters(self, cells: pd.DataFrame, lines: Ints) -> None:
        at = self._times(cells, lines)
        rows = self.gathered.rows([self.table.columns[one] for one in self.layout.wide], self.table.name)
        value, mark = self._block(cells, lines)
        n = len(rows)
        self._add(np.tile(rows, len(at)), np.repeat(at, n), value, mark, np.repeat(lines, n))

    def _intervals(self, cells: pd.DataFrame, lines: Ints) -> None:
        meter = self._meter_rows(cells, lines)
        offsets = np.array(self.layout.moments or self.layout.slots, np.int64)
        days = np.zeros(len(cells), np.int64) if self.layout.moments else self._times(cells, lines)
        value, mark = self._block(cells, lines)
        n = len(offsets)
        mark = np.maximum(mark, np.repeat(self._flags(cells), n))
        self._add(np.repeat(meter, n), (days[:, None] + offsets).ravel(), value, mark, np.repeat(lines, n))

    def _block(self, cells: pd.DataFrame, lines: Ints) -> tuple[Floats, NDArray[np.int8]]:
        """The numbers of the wide columns, row by row."""
        columns = self.layout.wide
        texts = pd.Series(cells.iloc[:, list(columns)].to_numpy(object).ravel(), dtype="str")
        found = numbers(texts, self.layout.decimal)
        if found.wrong >= 0:
            row, place = divmod(found.wrong, len(columns))
            raise self._wrong(cells, lines, columns[place], row, "is no number")
        return found.value, found.mark

    def _add(self, meter: Ints, at: Ints, value: Floats, mark: NDArray[np.int8], lines: Ints,
             volts: NDArray[np.float32] | None = None) -> None:  # fmt: skip
        value[mark == MISSING] = np.nan
        more = {"mark": mark, "line": lines, "minutes": self.layout.minutes}
        self.gathered.add(self.table.name, meter, at, value, **more, **({} if volts is None else {"volts": volts}))

    def _times(self, cells: pd.DataFrame, lines: Ints) -> Ints:
        layout = self.layout
        assert layout.time is not None
        assert layout.form is not None
        at = layout.form.moments(cells.iloc[:, layout.time])
        self._check(at == NO_TIME, cells, lines, layout.time, "is no time like the ones before")
        if layout.clock is not None and layout.clock_form is not None:
            day = layout.clock_form.moments("2000-01-03 " + cells.iloc[:, layout.clock])
            self._check(day == NO_TIME, cells, lines, layout.clock, "is no time of a day like the ones before")
            at = at + day - 946_857_600  # 3 January 2000
        return at

    def _meter_rows(self, cells: pd.DataFrame, lines: Ints) -> Ints:
        if self.layout.meter is None:
            return np.full(len(cells), self.gathered.rows([self.alone], self.table.name)[0])
        names = cells.iloc[:, self.layout.meter].str.strip()
        self._check((names == "").to_numpy(), cells, lines, self.layout.meter, "names no meter")
        codes, unique = pd.factorize(names)
        rows = self.gathered.rows([str(one) for one in unique], self.table.name)
        if self.layout.feeder is not None:
            feeders = cells.iloc[:, self.layout.feeder].str.strip().to_numpy()
            last = np.zeros(len(unique), np.int64)
            last[codes] = np.arange(len(codes))  # a meter's last feeder is the one it is on
            for row, place in zip(rows.tolist(), last.tolist(), strict=True):
                if feeders[place]:
                    self.gathered.feeder_of[row] = str(feeders[place])
        return np.asarray(rows[codes])

    def _numbers(self, cells: pd.DataFrame, lines: Ints, column: int) -> tuple[Floats, NDArray[np.int8]]:
        found = numbers(cells.iloc[:, column], self.layout.decimal)
        if found.wrong >= 0:
            raise self._wrong(cells, lines, column, found.wrong, "is no number")
        return found.value, found.mark

    def _flags(self, cells: pd.DataFrame) -> NDArray[np.int8]:
        if self.layout.quality is None:
            return np.full(len(cells), READ, np.int8)
        return marks_of(cells.iloc[:, self.layout.quality])

    def _check(self, wrong: NDArray[np.bool_], cells: pd.DataFrame, lines: Ints, column: int, reason: str) -> None:
        if wrong.any():
            raise self._wrong(cells, lines, column, int(np.flatnonzero(wrong)[0]), reason)

    def _wrong(self, cells: pd.DataFrame, lines: Ints, column: int, place: int, reason: str) -> FileRefusedError:
        said = str(cells.iat[place, column])[:60]
        return self.table.wrong(f"{said!r} {reason}", line=int(lines[place]), column=column)
