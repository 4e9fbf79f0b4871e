from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
import sqlalchemy as sa
from helpers import TENANT

from gridlens_core.database.connection import Database
from gridlens_core.database.discovery import discover
from gridlens_core.database.schema import FEEDER_LOSS, FIELDOPS, KPI_VIEWS, OVERVIEW, SUSPICIOUS
from gridlens_core.explanation.days import ClosedDays, day_rows
from gridlens_core.explanation.failing import NoRows
from gridlens_core.explanation.kpis import Kpis, exact, read_kpis

DAY = date(2026, 11, 18)


@pytest.fixture
def seen(existing_url: Callable[..., str], open_database: Callable[..., Database]) -> Callable[[str], Kpis]:
    """The KPIs of DAY in a database whose views are the given SQL."""

    def read(sql: str) -> Kpis:
        with open_database(existing_url(sql)).transaction(read_only=True) as connection:
            return read_kpis(connection, discover(connection), TENANT, DAY)

    return read


def view(name: str, columns: str, *, tenant: str = TENANT) -> str:
    return f"CREATE VIEW {name} AS SELECT '{tenant}'::text AS tenant_id, DATE '{DAY}' AS day, {columns};"


def test_what_is_read_is_what_the_views_say(local: Database) -> None:
    with local.transaction(read_only=True) as connection:
        schema = discover(connection)
        kpis = read_kpis(connection, schema, TENANT, DAY)
        rows = {name: day_rows(connection, schema, name, TENANT, DAY, DAY) for name in KPI_VIEWS}
    (overview,), (tasks,) = rows[OVERVIEW], rows[FIELDOPS]
    assert kpis.day == DAY
    assert kpis["loss_pct"] == overview["loss_percent_pct"]
    assert kpis["loss_kwh"] == overview["total_loss_kwh"]
    for name in ("supplied_kwh", "metered_kwh", "read_success_pct", "voltage_compliance_pct"):
        assert kpis[name] == overview[name]
    for name in ("open_tasks", "power_quality_tasks", "revenue_or_meter_tasks", "comms_tasks"):
        assert kpis[name] == tasks[name]
    assert kpis.feeder_loss_pct == {row["feeder_id"]: 100 * row["loss_percent"] for row in rows[FEEDER_LOSS]}
    assert kpis["suspicious_meters"] == len(rows[SUSPICIOUS])


def test_a_database_without_views_knows_nothing(seen: Callable[[str], Kpis]) -> None:
    assert seen("") == Kpis(DAY)


def test_a_view_without_a_column_leaves_that_kpi_unknown(seen: Callable[[str], Kpis]) -> None:
    kpis = seen(view(OVERVIEW, "3.3::real AS loss_percent_pct") + view(FIELDOPS, "7 AS open_tasks"))
    assert kpis == Kpis(DAY, {"loss_pct": Decimal("3.3"), "open_tasks": Decimal(7)})


def test_a_day_without_rows_has_no_losses_and_no_tasks(seen: Callable[[str], Kpis]) -> None:
    kpis = seen(
        view(OVERVIEW, "3.3 AS loss_percent_pct", tenant="OTHER")
        + view(FIELDOPS, "7 AS open_tasks, 1 AS power_quality_tasks", tenant="OTHER")
        + view(SUSPICIOUS, "'M'::text AS meter_id, 'X'::text AS issue", tenant="OTHER")
        + view(FEEDER_LOSS, "'F'::text AS feeder_id, 0.02 AS loss_percent", tenant="OTHER")
    )
    nothing = {"loss_pct": None, "open_tasks": Decimal(0), "power_quality_tasks": Decimal(0)}
    assert kpis == Kpis(DAY, {**nothing, "suspicious_meters": Decimal(0)})
    assert kpis["loss_pct"] is kpis["voltage_compliance_pct"] is None


def test_a_meter_with_two_issues_is_one_suspicious_meter(seen: Callable[[str], Kpis]) -> None:
    rows = "FROM (VALUES ('M1', 'A'), ('M1', 'B'), ('M2', 'A')) v(meter_id, issue)"
    kpis = seen(
        f"CREATE VIEW {SUSPICIOUS} AS SELECT '{TENANT}' AS tenant_id, DATE '{DAY}' AS day, meter_id, issue {rows}"
    )
    assert kpis["suspicious_meters"] == 2


def test_feeder_loss_is_given_in_percent(seen: Callable[[str], Kpis]) -> None:
    kpis = seen(view(FEEDER_LOSS, "'F'::text AS feeder_id, 0.0253::numeric AS loss_percent"))
    assert kpis.feeder_loss_pct == {"F": Decimal("2.5300")}


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (None, None),
        (7, Decimal(7)),
        (2.6849, Decimal("2.6849")),
        (Decimal("2.684900"), Decimal("2.684900")),
        (Decimal("NaN"), None),
        (float("nan"), None),
        (float("inf"), None),
    ],
)
def test_numbers_keep_every_digit(value: object, number: Decimal | None) -> None:
    assert exact(value) == number
    assert str(exact(value)) == str(number)


def test_rows_come_newest_day_first_and_the_worst_feeder_first(local: Database) -> None:
    with local.transaction(read_only=True) as connection:
        rows = day_rows(connection, discover(connection), FEEDER_LOSS, TENANT, date(2026, 11, 16), DAY)
    assert [row["day"] for row in rows] == [date(2026, 11, day) for day in (18, 17, 16) for _ in range(10)]
    for first in (0, 10, 20):
        losses = [row["loss_percent"] for row in rows[first : first + 10]]
        assert losses == sorted(losses, reverse=True)


def test_another_tenant_s_rows_are_never_given(local: Database) -> None:
    with local.transaction(read_only=True) as connection:
        schema = discover(connection)
        for name in KPI_VIEWS:
            assert day_rows(connection, schema, name, "OTHER", date(2026, 11, 1), DAY) == []


def test_a_day_that_is_over_is_read_once_and_with_the_running_day(local: Database) -> None:
    days, asked = ClosedDays(), []

    @sa.event.listens_for(local.engine, "before_cursor_execute")
    def note(*said: Any) -> None:
        asked.append((said[3].get("first"), said[3].get("last")))

    with local.transaction(read_only=True) as connection:
        schema = discover(connection)
        whole = day_rows(connection, schema, FEEDER_LOSS, TENANT, date(2026, 10, 9), DAY)
        asked.clear()
        for today in (DAY - timedelta(days=1), DAY, DAY):
            rows, closed = days.read(connection, schema, FEEDER_LOSS, TENANT, today)
            assert [*rows, *closed] == [row for row in whole if row["day"] <= today]
            assert {row["day"] for row in rows} == {today}
    sa.event.remove(local.engine, "before_cursor_execute", note)
    yesterday = DAY - timedelta(days=1)
    looks = [(date(2026, 10, 8), yesterday), (yesterday, DAY), (None, DAY)]  # None: the one day alone
    assert [one for one in asked if one[1]] == looks


def test_where_a_day_that_is_over_fails_the_running_day_is_read_alone(
    existing_url: Callable[..., str], open_database: Callable[..., Database]
) -> None:
    days = f"(VALUES (DATE '{DAY}', 20.0), (DATE '{DAY - timedelta(days=1)}', 0.0)) AS d(day, part)"
    columns = "d.day, 'F1' AS feeder_id, 1.5 AS loss_kwh, 1 / d.part AS loss_percent"
    sql = f"CREATE VIEW {FEEDER_LOSS} AS SELECT '{TENANT}'::text AS tenant_id, {columns} FROM {days};"
    with open_database(existing_url(sql)).transaction(read_only=True) as connection:
        rows, closed = ClosedDays().read(connection, discover(connection), FEEDER_LOSS, TENANT, DAY)
    assert [row["loss_percent"] for row in rows] == [Decimal("0.05")]
    assert isinstance(closed, NoRows)
