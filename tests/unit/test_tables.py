"""Tables as CSV files."""

from __future__ import annotations

import csv
from io import StringIO

from gridlens_core.display.tables import csv_of


def test_a_table_is_read_back_as_it_was_with_its_source() -> None:
    rows = [{"meter_id": 'M "1", a', "loss": 2.5, "left_out": 1}, {"meter_id": "Ümlaut", "loss": None}]
    text = csv_of(rows, {"meter_id": "Meter", "loss": "Loss, %"}, "Simulated events on T")
    assert list(csv.reader(StringIO(text, newline=""))) == [
        ["Meter", "Loss, %", "Source"],
        ['M "1", a', "2.5", "Simulated events on T"],
        ["Ümlaut", "", "Simulated events on T"],
    ]


def test_a_name_is_no_formula() -> None:
    assert "'=HYPERLINK(1)" in csv_of([{"a": "=HYPERLINK(1)"}], {"a": "A"}, "s")
    assert csv_of([{"a": "+0.57 pt"}], {"a": "A"}, "s").splitlines()[1].startswith("+0.57 pt")
