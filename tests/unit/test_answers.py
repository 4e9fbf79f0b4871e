from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from gridlens_core.api.answers import EXACT_WHOLE, plain


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param(None, None, id="nothing"),
        pytest.param(True, True, id="a truth"),
        pytest.param(2**70, 2**70, id="a whole number of any length"),
        pytest.param(Decimal(38), 38, id="an exact count is a whole number"),
        pytest.param(Decimal("5.84"), 5.84, id="an exact number is a number"),
        pytest.param(Decimal("15.000"), 15.0, id="an exact number with decimals keeps being one"),
        pytest.param(Decimal(EXACT_WHOLE + 2), float(EXACT_WHOLE + 2), id="a count past what a double holds"),
        pytest.param(Decimal("1e4000"), None, id="a number past every double"),
        pytest.param(Decimal("NaN"), None, id="no exact number"),
        pytest.param(float("nan"), None, id="no number"),
        pytest.param(float("-inf"), None, id="an infinite number"),
        pytest.param(date(2026, 11, 18), "2026-11-18", id="a day"),
        pytest.param(datetime(2026, 11, 18, 18, tzinfo=UTC), "2026-11-18T18:00:00Z", id="a time"),
        pytest.param(
            datetime(2026, 11, 18, 12, tzinfo=timezone(timedelta(hours=-6))),
            "2026-11-18T18:00:00Z",
            id="a time elsewhere is given in UTC",
        ),
        pytest.param(datetime(2026, 11, 18, 12), "2026-11-18T12:00:00", id="a time without an offset gets none"),  # noqa: DTZ001
        pytest.param(UUID(int=7), "00000000-0000-0000-0000-000000000007", id="an identifier"),
        pytest.param("half a \ud800 character", "half a ? character", id="text that cannot be sent"),
        pytest.param({"a": [Decimal(1), (date(2026, 1, 1),)]}, {"a": [1, ["2026-01-01"]]}, id="things within things"),
    ],
)
def test_any_value_of_a_view_becomes_what_json_has_for_it(value: Any, expected: Any) -> None:
    given = plain(value)
    assert given == expected
    assert type(given) is type(expected)
