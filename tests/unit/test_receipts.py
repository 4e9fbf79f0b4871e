"""A receipt's lines add up, and are of the last moment that was measured with its event."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction

from helpers import FROZEN, TENANT, event

from gridlens_core.explanation.kpis import Kpis
from gridlens_core.explanation.receipts import Line, last_measured, lines_of, receipt_of
from gridlens_core.explanation.trace import Observation
from gridlens_core.explanation.truth import Truth
from gridlens_core.explanation.why import Measured
from gridlens_core.meters.fleet import synthetic_fleet

QUARTER = timedelta(minutes=15)
TODAY, TOMORROW = date(2026, 11, 18), date(2026, 11, 19)
THEFT = event()
ID, OTHER_ID = str(THEFT.id), "another"


def kpis(loss: str | None, day: date = TODAY) -> Kpis:
    return Kpis(day, {"loss_pct": None if loss is None else Decimal(loss)})


def seen(
    number: int, before: str | None, *path: str | None, ids: tuple[str, ...] = (ID,), day: date = TODAY
) -> Measured:
    """Loss before the first event, without any, and with each in turn."""
    return Measured(FROZEN + number * QUARTER, FROZEN, kpis(before, day), ids, tuple(kpis(one, day) for one in path))


def observed(*measured: Measured) -> list[Observation]:
    return [Observation(one.grid_now, one.now, one) for one in measured]


def expect_sum(line: Line) -> None:
    parts = (line.before, line.drift, line.effect, line.others)
    assert sum(map(Fraction, parts), Fraction(0)) == Fraction(line.after)


def test_before_and_after_are_drift_effect_and_others() -> None:
    now = "6.0000000000000000000000000000000000001"
    (line,) = lines_of(THEFT, seen(4, "2", "2.01", "3.61", now, "7", ids=(OTHER_ID, ID, "a third")))
    assert (line.kpi, line.before, line.after) == ("loss_pct", 2, 7)
    assert line.drift == Decimal("0.01")
    assert line.effect == Decimal("2.3900000000000000000000000000000000001")
    assert line.others == Decimal("2.5999999999999999999999999999999999999")
    expect_sum(line)


def test_an_event_that_was_in_no_measured_moment_has_no_lines() -> None:
    others = observed(seen(1, "2", "2.1", "3.1", ids=(OTHER_ID,)), seen(2, "2", "2.1", "3", ids=(f"{OTHER_ID}+{ID}",)))
    assert last_measured(THEFT, []) is None
    assert last_measured(THEFT, others) is None
    assert last_measured(THEFT, [Observation(FROZEN, kpis("2"))]) is None


def test_it_speaks_of_the_last_day_it_was_measured_in() -> None:
    told = [seen(1, "2", "2", "3"), seen(2, "1", "1", "4", day=TOMORROW), seen(3, "1", "1.5", "5", day=TOMORROW)]
    gone = seen(4, "1", "1.5", "6", ids=(OTHER_ID,), day=TOMORROW)
    measured = last_measured(THEFT, observed(*told, gone))
    assert measured == told[-1]
    (line,) = lines_of(THEFT, told[-1])
    assert (line.before, line.after, line.drift, line.effect) == (1, 5, Decimal("0.5"), Decimal("3.5"))


def test_what_the_database_does_not_have_is_left_out() -> None:
    assert lines_of(THEFT, seen(1, None, None, None)) == ()


def test_money_is_what_was_not_recorded_at_the_tariff() -> None:
    fleet = synthetic_fleet(TENANT, feeders=7, meters_per_feeder=2, seed=7, timezone="America/Chicago")

    def account(moment: datetime) -> Truth:
        hours = (moment - FROZEN) / timedelta(hours=1)
        return Truth(2, 8, 8, 0, 0, 4.0 * hours, 0.0, 0.0)

    named = Kpis(TODAY, named={fleet.meter_ids[-1]: "CONSUMPTION_DROP"})
    looks = [
        Observation(FROZEN, kpis("2")),
        Observation(FROZEN + QUARTER, named),
        Observation(FROZEN + 2 * QUARTER, named),
    ]
    receipt = receipt_of(THEFT, account, [THEFT], fleet, looks, 0.5)
    assert (receipt.truth, receipt.usd) == (account(FROZEN + 2 * QUARTER), 1.0)
    assert receipt.score is not None
    assert (receipt.score.detected_at, receipt.before_detection_usd) == (FROZEN + QUARTER, 0.5)
    assert (receipt.measured_at, receipt.lines) == (None, ())
