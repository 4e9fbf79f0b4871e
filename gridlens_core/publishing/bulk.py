"""Rows in bulk, as COPY reads them. Nothing here looks at what is there already."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from io import BytesIO, StringIO
from typing import IO, Any

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from gridlens_core.meters.emulator import Reads
from gridlens_core.meters.profiles import Ints

READ_COLUMNS = ("tenant_id", "meter_id", "feeder_id", "read_at", "kwh", "voltage")
COPIED_ROWS = 250_000  # in one statement: some 20 MB of text
MWH_DIGITS, DV_DIGITS = (6, 6), (4, 1)  # before and after the point, as the columns have them

NEEDS_ESCAPE = re.compile(r"[\\\t\n\r]")
ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})

Bytes = NDArray[np.uint8]


def copy_reads(connection: sa.Connection, reads: Reads) -> int:
    """Inserts the reads that were sent with COPY, in order of time; returns how many. None may be stored already."""
    fleet = reads.fleet
    meters = _matrix(
        "\t".join(copied((fleet.tenant_id, *ids))) + "\t" for ids in zip(fleet.meter_ids, fleet.feeder_ids, strict=True)
    )
    times = _matrix(f"{moment.isoformat()}\t" for moment in reads.span.read_times)
    intervals, meter = np.nonzero(reads.sent.T)
    for first in range(0, len(meter), COPIED_ROWS):
        at, of = intervals[first : first + COPIED_ROWS], meter[first : first + COPIED_ROWS]
        kwh, volts = reads.recorded_mwh[of, at], reads.voltage_dv[of, at]
        rows = [meters[of], times[at], _decimal(kwh, *MWH_DIGITS, "\t"), _decimal(volts, *DV_DIGITS, "\n")]
        # No text of PostgreSQL's holds a zero byte; here they fill up what is shorter.
        lines = np.hstack(rows).tobytes().translate(None, b"\0")
        copy_text(connection, _into("meter_reads_electric", READ_COLUMNS), BytesIO(lines))
    return len(meter)


def copy_rows(connection: sa.Connection, table: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Inserts rows with COPY; a value is written as `str` has it."""
    text = StringIO()
    text.writelines("\t".join(copied(list(map(str, row)))) + "\n" for row in rows)
    text.seek(0)
    copy_text(connection, _into(table, columns), text)


def copied(texts: Sequence[str]) -> Sequence[str]:
    """Texts as COPY reads them; most need nothing."""
    return [text.translate(ESCAPES) for text in texts] if NEEDS_ESCAPE.search("".join(texts)) else texts


def copy_text(connection: sa.Connection, into: str, lines: IO[Any]) -> None:
    """Sends lines that COPY can read into a table, with its columns in brackets where they are not all."""
    cursor = connection.connection.cursor()
    cursor.copy_expert(f"COPY {into} FROM STDIN", lines)
    cursor.close()


def _into(table: str, columns: Sequence[str]) -> str:
    return f"public.{table} ({', '.join(columns)})"


def _matrix(texts: Iterable[str]) -> Bytes:
    """(n_texts, longest) each text's bytes, filled up with zeros."""
    found = np.array([text.encode() for text in texts])
    return found.view(np.uint8).reshape(len(found), found.itemsize)


def _decimal(values: Ints, whole: int, decimals: int, end: str) -> Bytes:
    """(n_values, digits + 3) whole numbers of the last decimal's unit as decimals, with their sign and an end."""
    unit, size = 10**decimals, np.abs(values)
    text = np.empty((len(values), 1 + whole + decimals + 2), dtype=np.uint8)
    text[:, 0], text[:, 1 + whole], text[:, -1] = np.where(values < 0, ord("-"), 0), ord("."), ord(end)
    for part, first, last in ((size // unit, 1, 1 + whole), (size % unit, 2 + whole, 2 + whole + decimals)):
        left = part.astype(np.uint32)
        for column in reversed(range(first, last)):
            text[:, column] = left % 10 + ord("0")
            left //= 10
    return text
