"""A table as a CSV file: what it says, and in each line that the events are simulated."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from io import StringIO

SOURCE = "Source"


def csv_of(rows: Sequence[Mapping[str, object]], names: Mapping[str, str], source: str) -> str:
    """The rows as CSV.

    names : the columns in their order, each with its heading
    source : stands in the last column of every line
    """
    file = StringIO()
    writer = csv.writer(file, lineterminator="\r\n")
    writer.writerow([*names.values(), SOURCE])
    writer.writerows([[*(_cell(row.get(name)) for name in names), source] for row in rows])
    return file.getvalue()


def _cell(value: object) -> str:
    """A value as text; a name that a spreadsheet would take for a formula is kept a name."""
    text = "" if value is None else str(value)
    return f"'{text}" if text[:1] in ("=", "@", "\t", "\r") else text
