"""Whether the supply behind a loss goes on with the reads."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest

from gridlens_core.errors import DatabaseNotReadyError
from gridlens_core.explanation.kpis import Kpis
from gridlens_core.explanation.supply import supply_goes_on

DAY = date(2026, 11, 18)


def kpis(loss_kwh: float | None, loss_pct: float | None = 5, day: date = DAY) -> Kpis:
    exact = {"loss_kwh": loss_kwh, "loss_pct": loss_pct}
    return Kpis(day, {name: None if value is None else Decimal(str(value)) for name, value in exact.items()})


def test_a_supply_that_stops_now_is_refused_with_the_figures() -> None:
    with pytest.raises(DatabaseNotReadyError, match="Clean publishing alone moves the loss") as refused:
        supply_goes_on(kpis(40), kpis(2), 38.2)
    assert "run ahead of the reads" in refused.value.details["remedy"]


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        pytest.param(kpis(40), kpis(42), True, id="supply goes on"),
        pytest.param(kpis(40), kpis(40), True, id="the interval is not counted yet"),
        pytest.param(kpis(40), kpis(2, day=date(2026, 11, 19)), False, id="another day"),
        pytest.param(kpis(900, 90), kpis(862, 86), True, id="a whole day's supply, which is said elsewhere"),
        pytest.param(kpis(None), kpis(None), True, id="no lost energy"),
        pytest.param(None, kpis(2), False, id="nobody looked"),
    ],
)
def test_else_it_goes_on_or_cannot_be_told(before: Kpis | None, after: Kpis | None, told: bool) -> None:
    assert supply_goes_on(before, after, 38.2) is told
