"""KPIs, read from the four views and from nowhere else. No KPI is computed here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from gridlens_core.database.schema import FEEDER_LOSS, FIELDOPS, KPI_VIEWS, OVERVIEW, SUSPICIOUS, Relation, Schema

# How far back "the last five days" looks: an index serves it, whatever the size of the history.
LOOK_BACK_DAYS = 40

OVERVIEW_KPIS = (
    "loss_pct",
    "loss_kwh",
    "supplied_kwh",
    "metered_kwh",
    "read_success_pct",
    "voltage_compliance_pct",
)
FIELDOPS_KPIS = ("open_tasks", "power_quality_tasks", "revenue_or_meter_tasks", "comms_tasks")
# Where each KPI is read; of the suspicious-meters view the rows are counted.
SOURCES: Mapping[str, tuple[str, str]] = {
    **{kpi: (OVERVIEW, kpi) for kpi in OVERVIEW_KPIS},
    **{kpi: (FIELDOPS, kpi) for kpi in FIELDOPS_KPIS},
    "suspicious_meters": (SUSPICIOUS, "meter_id"),
    "feeder_loss_pct": (FEEDER_LOSS, "loss_pct"),
}
ORDER_IN_DAY = (("loss_pct", "DESC NULLS LAST"), ("feeder_id", ""), ("meter_id", ""))


@dataclass(frozen=True)
class Kpis:
    """One day's KPIs as the views give them; None is what the database does not have.

    loss_pct, read_success_pct, voltage_compliance_pct : percent, whatever unit the view uses
    loss_kwh, supplied_kwh, metered_kwh : kWh
    feeder_loss_pct : percent by feeder
    named : issue by meter, of those the suspicious-meters view names
    """

    day: date
    loss_pct: Decimal | None = None
    loss_kwh: Decimal | None = None
    supplied_kwh: Decimal | None = None
    metered_kwh: Decimal | None = None
    read_success_pct: Decimal | None = None
    voltage_compliance_pct: Decimal | None = None
    suspicious_meters: Decimal | None = None
    open_tasks: Decimal | None = None
    power_quality_tasks: Decimal | None = None
    revenue_or_meter_tasks: Decimal | None = None
    comms_tasks: Decimal | None = None
    feeder_loss_pct: Mapping[str, Decimal] = field(default_factory=dict)
    named: Mapping[str, str] = field(default_factory=dict)


def read_kpis(connection: sa.Connection, schema: Schema, tenant_id: str, day: date) -> Kpis:
    """The KPIs of one day, straight from the views."""
    found: dict[str, Any] = {}
    for view_name, kpis in ((OVERVIEW, OVERVIEW_KPIS), (FIELDOPS, FIELDOPS_KPIS)):
        view = schema.views.get(view_name)
        if view is not None:
            rows = by_role(view, day_rows(connection, schema, view_name, tenant_id, day, day))
            # No row in the task view means that nothing is open, not that nothing is known.
            absent = Decimal(0) if view_name == FIELDOPS else None
            found.update({kpi: (rows[0][kpi] if rows else absent) for kpi in kpis if view.has(kpi)})
    if SUSPICIOUS in schema.views:
        found["named"] = _named(connection, schema, tenant_id, day)
        found["suspicious_meters"] = Decimal(len(found["named"]))
    return Kpis(day, feeder_loss_pct=_feeder_loss(connection, schema, tenant_id, day), **found)


def why_absent(schema: Schema, kpi: str) -> str:
    """Why there is no value of a KPI."""
    view_name, role = SOURCES[kpi]
    if view_name not in schema.views:
        return schema.why_not(view_name)
    if not schema.views[view_name].has(role):
        return f"The view public.{view_name} has no column for {role}."
    return f"The view public.{view_name} has no value for this day yet."


def day_rows(
    connection: sa.Connection, schema: Schema, view_name: str, tenant_id: str, first: date, last: date
) -> list[dict[str, Any]]:
    """A view's rows from `first` to `last` with its own column names, newest day first; [] without the view.

    Within a day the feeder that loses most comes first, and meters in the order of their names.
    """
    view = schema.views.get(view_name)
    if view is None:
        return []
    order = [f"{view[column]} {direction}" for column, direction in ORDER_IN_DAY if view.has(column)]
    which_days = "= :last" if first == last else "BETWEEN :first AND :last"
    statement = sa.text(
        f"SELECT * FROM {view.quoted} WHERE {view.of_tenant()} AND {view.day()} {which_days} "
        f"ORDER BY {', '.join([view['day'] + ' DESC', *order])}"
    )
    parameters = {"tenant_id": tenant_id, "first": first, "last": last}
    return [dict(row) for row in connection.execute(statement, parameters).mappings()]


def by_role(view: Relation, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Rows with GridLens's names for the columns: numbers exact, shares in percent, ids as text."""
    return [{role: _value(view, role, row[view.name_of(role)]) for role in view.bindings} for row in rows]


def _value(view: Relation, role: str, value: Any) -> Any:
    if value is None:
        return None
    if role == "day":
        return _day(value)
    if view.unit_of(role) == "":
        return str(value)
    number = exact(value)
    return number * 100 if number is not None and view.unit_of(role) == "fraction" else number


def _day(value: Any) -> Any:
    """A day column's value as a date; one written in a way of its own stays as it is."""
    if isinstance(value, str):
        with suppress(ValueError):
            return date.fromisoformat(value[:10])
    return value.date() if isinstance(value, datetime) else value


def closed_days(today: date) -> tuple[date, date]:
    """The days before today that pages and answers look back on."""
    return today - timedelta(days=LOOK_BACK_DAYS), today - timedelta(days=1)


def newest_day(connection: sa.Connection, schema: Schema, tenant_id: str, grid_now: datetime) -> date | None:
    """The newest day the views have around the grid clock, where their days need not be ours."""
    around = (grid_now.date() - timedelta(days=1), grid_now.date() + timedelta(days=1))
    for view_name in KPI_VIEWS[:2]:
        view = schema.views.get(view_name)
        if view is not None:
            statement = sa.text(
                f"SELECT max({view.day()}) FROM {view.quoted} "
                f"WHERE {view.of_tenant()} AND {view.day()} BETWEEN :first AND :last"
            )
            parameters = {"tenant_id": tenant_id, "first": around[0], "last": around[1]}
            day: date | None = connection.execute(statement, parameters).scalar_one()
            if day is not None:
                return day
    return None


def exact(value: Any) -> Decimal | None:
    """A view's number as a Decimal that keeps every digit the database gave; None for NaN and infinity."""
    number = None if value is None else value if isinstance(value, Decimal) else Decimal(str(value))
    return number if number is not None and number.is_finite() else None


def _feeder_loss(connection: sa.Connection, schema: Schema, tenant_id: str, day: date) -> dict[str, Decimal]:
    view = schema.views.get(FEEDER_LOSS)
    if view is None or not view.has("loss_pct"):
        return {}
    rows = by_role(view, day_rows(connection, schema, FEEDER_LOSS, tenant_id, day, day))
    return {row["feeder_id"]: row["loss_pct"] for row in rows if row["loss_pct"] is not None}


def _named(connection: sa.Connection, schema: Schema, tenant_id: str, day: date) -> dict[str, str]:
    view = schema.require_view(SUSPICIOUS)
    rows = by_role(view, day_rows(connection, schema, SUSPICIOUS, tenant_id, day, day))
    return {row["meter_id"]: row.get("issue") or "named" for row in rows}
