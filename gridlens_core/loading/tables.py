"""Tables of text: CSV of any delimiter, Excel and Parquet, in parts, each row with its line. Not what they mean."""

from __future__ import annotations

import csv
import re
import warnings
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from io import StringIO, TextIOWrapper
from itertools import islice
from typing import Any

import numpy as np
import openpyxl
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from gridlens_core.errors import FileRefusedError
from gridlens_core.loading.source import (
    MOST_BYTES,
    Member,
    check_excel,
    decoded,
    encoding_of,
    head_of,
    too_large,
    whole,
)
from gridlens_core.loading.times import form_of

HEAD_LINES, WIDE_BYTES = 20, 16_000_000  # a table whose first bytes hold fewer lines is looked at further
MANY = 60  # cells of a row tell whether it is a header
HEAD_ROWS = 3_000  # that tell what a table means
PART_CELLS = 600_000  # read at a time: some 25 MB of text
WIDE_COLUMNS = 500
MOST_COLUMNS = 40_000  # a year of quarter hours beside each other
DELIMITERS = ";\t,|"
NUMBER = re.compile(r"^-?\d+([.,]\d+)?$")


@dataclass(frozen=True)
class Part:
    """Some rows of a table: `cells` are strings, one column a position; `line` is that of the first row."""

    line: int
    cells: pd.DataFrame


@dataclass(frozen=True)
class Table:
    """A table, its columns by position.

    columns : names, "" for one without; named : whether the file names them
    head : the first rows, from first_line on
    parts : reads all of it from the beginning
    notes : what was left aside
    """

    name: str
    columns: tuple[str, ...]
    named: bool
    head: pd.DataFrame
    first_line: int
    parts: Callable[[], Generator[Part]]
    notes: tuple[str, ...] = ()

    def sample(self, column: int) -> list[str]:
        """The first texts of a column that are not blank."""
        return [one for one in self.head.iloc[:, column].tolist() if one.strip()]

    def wrong(self, reason: str, *, line: int | None = None, column: int | None = None) -> FileRefusedError:
        """The refusal of this table, by line and column."""
        shown = None if column is None else repr(self.columns[column] or f"number {column + 1}")
        return FileRefusedError.at(self.name, reason, line=line, column=shown)


def table_of(member: Member) -> Table:
    """The table in a file; raises FileRefusedError where there is none."""
    if member.form == "excel":
        return _excel(member)
    return _parquet(member) if member.form == "parquet" else _csv(member)


def _finished(name: str, header: Sequence[str] | None, parts: Callable[[], Generator[Part]], note: str = "") -> Table:
    """The table with its head read."""
    with closing(parts()) as reading:
        first = next(reading, None)
    if first is None or first.cells.empty:
        raise FileRefusedError.at(name, "it has a header and no rows" if header else "it has no rows")
    width = first.cells.shape[1]
    if width > MOST_COLUMNS:
        raise FileRefusedError.at(name, f"it has {width:,} columns; {MOST_COLUMNS:,} at the most")
    names = [one.strip().strip("\ufeff") for one in header or []] + [""] * width
    notes = (note,) if note else ()
    return Table(name, tuple(names[:width]), header is not None, first.cells.head(HEAD_ROWS), first.line, parts, notes)


# --- CSV ------------------------------------------------------------------------------------------------


def _csv(member: Member) -> Table:
    head = head_of(member)
    if head.count(b"\n") < HEAD_LINES:
        head = head_of(member, WIDE_BYTES)  # very long lines
    encoding, text = encoding_of(head), decoded(head)
    lines = text.splitlines(keepends=True)
    if len(lines) > 1 and not text.endswith(("\n", "\r")):
        lines.pop()  # cut off in the middle
    delimiter, rows = _delimited(lines)
    width = Counter(len(row) for row in rows if len(row) > 1).most_common(1)
    if not width:
        # One long line of a wide file, or no table at all.
        raise FileRefusedError.at(member.name, "no table is found in it: no delimiter divides its lines into columns")
    usual = width[0][0]
    first = next(place for place, row in enumerate(rows) if len(row) == usual)
    if first and not _is_header(rows[first]) and len(rows[first - 1]) == usual - 1:
        first -= 1  # rows that end with a delimiter, under a header that does not
    has_header = _is_header(rows[first])
    columns = max(usual, len(rows[first]))

    def parts() -> Generator[Part]:
        skip = first + has_header
        size = max(50, PART_CELLS // columns)
        if columns > WIDE_COLUMNS:
            yield from _wide_parts(member, encoding, delimiter, skip, columns)
            return
        with member.open() as stream, warnings.catch_warnings():
            try:
                warnings.simplefilter("error", pd.errors.ParserWarning)  # it would leave columns out
                reader = pd.read_csv(
                    TextIOWrapper(stream, encoding=encoding, errors="replace", newline=""),
                    sep=delimiter, header=None, names=range(columns), index_col=False, skiprows=skip, dtype="str",
                    na_filter=False, chunksize=size, skip_blank_lines=False, low_memory=True,
                )  # fmt: skip
                with reader:
                    for number, cells in enumerate(reader):
                        yield Part(skip + 1 + number * size, cells.fillna(""))
            except pd.errors.EmptyDataError:
                return
            except (pd.errors.ParserError, pd.errors.ParserWarning, ValueError) as error:
                raise _misshapen(member.name, error) from error

    note = f"{first} line(s) above the header left aside" if first else ""
    return _finished(member.name, rows[first] if has_header else None, parts, note)


def _wide_parts(member: Member, encoding: str, delimiter: str, skip: int, columns: int) -> Generator[Part]:
    """Row by row: a column at a time, as pandas reads, takes far longer where there are thousands."""
    size = max(50, PART_CELLS // columns)
    with member.open() as stream:
        text = TextIOWrapper(stream, encoding=encoding, errors="replace", newline="")
        rows = enumerate(islice(csv.reader(text, delimiter=delimiter), skip, None), skip + 1)
        while some := list(islice(rows, size)):
            for line, row in some:
                if len(row) != columns and any(row):
                    raise _uneven(member.name, line, len(row), columns)
            yield Part(
                some[0][0], pd.DataFrame(np.array([row or [""] * columns for _, row in some], object), dtype=object)
            )


def _uneven(name: str, line: int, there: int, due: int) -> FileRefusedError:
    return FileRefusedError.at(name, f"it has {there} columns where the lines before have {due}", line=line)


def _misshapen(name: str, error: Exception) -> FileRefusedError:
    words = str(error).replace("\n", " ")
    digits = [int(one) for one in words.replace(",", " ").split() if one.isdigit()]
    if "Expected" in words and len(digits) == 3:
        expected, line, saw = digits
        return _uneven(name, line, saw, expected)
    words = words.removeprefix("Error tokenizing data. C error: ")
    return FileRefusedError.at(name, f"it is no well-formed table ({words})")


def _delimited(lines: Sequence[str]) -> tuple[str, list[list[str]]]:
    """The delimiter that divides most lines alike, and the lines divided by it."""
    best: tuple[float, str, list[list[str]]] = (-1.0, ",", [])
    for delimiter in DELIMITERS:
        try:
            rows = list(islice(csv.reader(StringIO("".join(lines), newline=""), delimiter=delimiter), HEAD_ROWS))
        except csv.Error:
            continue  # a field of a hundred thousand letters is none
        counts = Counter(len(row) for row in rows if row)
        width, times = counts.most_common(1)[0] if counts else (1, 0)
        # A decimal comma divides many lines too, but seldom all alike; the earlier delimiter wins a tie.
        score = times / max(len(rows), 1) if width > 1 else -1.0
        if score > best[0] + 0.05:
            best = (score, delimiter, rows)
    return best[1], best[2]


def _is_header(row: Sequence[str]) -> bool:
    """Whether a row names columns: one with a moment and a number beside it is a read."""
    row = row[:MANY]
    numbers = [one for one in row if NUMBER.match(one.strip())]
    moments = [one for one in row if one not in numbers and one.strip()[:1].isdigit() and form_of([one]) is not None]
    return not (numbers and moments) and len(numbers) < len(row)


# --- Excel and Parquet ----------------------------------------------------------------------------------


@contextmanager
def _book(member: Member) -> Iterator[Any]:
    """An Excel file, open."""
    with whole(member) as stream:
        check_excel(stream, member.name)
        book = openpyxl.load_workbook(stream, read_only=True, data_only=True)
        yield book
        book.close()


def _excel(member: Member) -> Table:
    with _book(member) as book:
        titles = [sheet.title for sheet in book.worksheets if sheet.max_row is None or sheet.max_row > 1]
        if not titles:
            raise FileRefusedError.at(member.name, "no sheet of it has a table")
        rows = book[titles[0]].iter_rows(max_row=50, values_only=True)
        top = [[_text(cell) for cell in row] for row in rows]
    filled = [sum(bool(cell.strip()) for cell in row) for row in top]
    if not any(filled):
        raise FileRefusedError.at(member.name, "its first sheet is empty")
    usual = Counter(one for one in filled if one > 1).most_common(1)[0][0] if max(filled) > 1 else 1
    first = next(place for place, count in enumerate(filled) if count >= max(usual - 1, 1))
    has_header = _is_header(top[first])
    width = max(len(row) for row in top)

    def parts() -> Generator[Part]:
        line, size = first + has_header + 1, max(50, PART_CELLS // width)
        with _book(member) as book:
            rows = book[titles[0]].iter_rows(min_row=line, values_only=True)
            while some := list(islice(rows, size)):
                texts = [([_text(cell) for cell in row] + [""] * width)[:width] for row in some]
                yield Part(line, pd.DataFrame(texts, dtype="str"))
                line += len(some)

    note = f"sheet {titles[0]!r} is read" + (f", not {', '.join(map(repr, titles[1:]))}" if titles[1:] else "")
    return _finished(member.name, top[first] if has_header else None, parts, note)


def _text(cell: Any) -> str:
    """A cell as text; times as ISO 8601, to the second."""
    if cell is None:
        return ""
    if isinstance(cell, datetime):
        return (cell + timedelta(microseconds=500_000)).replace(microsecond=0).isoformat(" ")
    if isinstance(cell, date | time):
        return cell.isoformat()
    return str(cell)


@contextmanager
def _parquet_file(member: Member) -> Iterator[Any]:
    with whole(member) as stream:
        try:
            yield pq.ParquetFile(stream)
        except (pa.ArrowException, OSError) as error:
            raise FileRefusedError.at(member.name, "it is a damaged Parquet file") from error


def _parquet(member: Member) -> Table:
    with _parquet_file(member) as file:
        groups = [file.metadata.row_group(number) for number in range(file.metadata.num_row_groups)]
        names = file.schema_arrow.names
    if sum(one.total_byte_size for one in groups) > MOST_BYTES:
        raise too_large(member.name)

    def parts() -> Generator[Part]:
        line = 1
        with _parquet_file(member) as file:
            for batch in file.iter_batches(batch_size=max(50, PART_CELLS // max(len(names), 1))):
                yield Part(line, pd.DataFrame({place: _texts(one) for place, one in enumerate(batch.columns)}))
                line += batch.num_rows

    return _finished(member.name, names, parts)


def _texts(column: pa.Array) -> pd.Series:
    """A Parquet column as text."""
    if pa.types.is_timestamp(column.type):
        when, zone = column.to_pandas(), ""
        if column.type.tz is not None:
            when, zone = when.dt.tz_convert("UTC"), "+0000"
        return when.dt.strftime(f"%Y-%m-%d %H:%M:%S{zone}").astype("str").fillna("")
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    try:
        return pd.Series(column.cast(pa.string()).to_pandas(), dtype="str").fillna("")
    except pa.ArrowException:
        return pd.Series([_text(one) for one in column.to_pylist()], dtype="str")
