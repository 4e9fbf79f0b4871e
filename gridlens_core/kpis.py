"""KPIs, read from the four views and from nowhere else. No KPI is computed here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from gridlens_core.schema import FEEDER_LOSS, FIELDOPS, OVERVIEW, SUSPICIOUS, Relation, Schema

# How far back "the last five days" looks: an index serves it, whatever the size of the history.
LOOK_BACK_DAYS = 40

# KPI -> (view, column). The views' own names; units are in the names or stated in GLOSSARY terms.
OVERVIEW_KPIS = {
    "loss_pct": "loss_percent_pct",
    "loss_kwh": "total_loss_kwh",
    "supplied_kwh": "supplied_kwh",
    "metered_kwh": "metered_kwh",
    "read_success_pct": "read_success_pct",
    "voltage_compliance_pct": "voltage_compliance_pct",
}
FIELDOPS_KPIS = {
    "open_tasks": "open_tasks",
    "power_quality_tasks": "power_quality_tasks",
    "revenue_or_meter_tasks": "revenue_or_meter_tasks",
    "comms_tasks": "comms_tasks",
}


@dataclass(frozen=True)
class Kpis:
    """One day's KPIs as the views give them; None is what the database does not have.

    loss_pct, read_success_pct, voltage_compliance_pct : percent
    loss_kwh, supplied_kwh, metered_kwh : kWh
    feeder_loss_pct : percent by feeder
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


def read_kpis(connection: sa.Connection, schema: Schema, tenant_id: str, day: date) -> Kpis:
    """The KPIs of one day, straight from the views."""
    found: dict[str, Any] = {}
    for view_name, columns in ((OVERVIEW, OVERVIEW_KPIS), (FIELDOPS, FIELDOPS_KPIS)):
        rows = day_rows(connection, schema, view_name, tenant_id, day, day)
        for kpi, column in columns.items():
            if column in schema.views.get(view_name, _NO_VIEW).columns:
                found[kpi] = exact(rows[0][column]) if rows else None
    # No row in the task view or the suspicious view means that nobody is named, not that nothing is known.
    if FIELDOPS in schema.views:
        found = {**dict.fromkeys((k for k in FIELDOPS_KPIS if k in found), Decimal(0)), **_known(found)}
    if SUSPICIOUS in schema.views:
        found["suspicious_meters"] = _count_suspicious(connection, schema, tenant_id, day)
    return Kpis(day, feeder_loss_pct=_feeder_loss(connection, schema, tenant_id, day), **found)


def day_rows(
    connection: sa.Connection, schema: Schema, view_name: str, tenant_id: str, first: date, last: date
) -> list[dict[str, Any]]:
    """A view's rows from `first` to `last` with its own column names, newest day first; [] without the view."""
    view = schema.views.get(view_name)
    if view is None:
        return []
    one_day = "= :last" if first == last else "BETWEEN :first AND :last"
    statement = sa.text(
        f"SELECT * FROM {view.quoted} WHERE {view['tenant_id']} = CAST(:tenant_id AS {view.type_of('tenant_id')}) "
        f"AND {view['day']} {one_day} ORDER BY {view['day']} DESC"
    )
    parameters = {"tenant_id": tenant_id, "first": first, "last": last}
    return [dict(row) for row in connection.execute(statement, parameters).mappings()]


def closed_days(today: date) -> tuple[date, date]:
    """The days before today that pages and answers look back on."""
    return today - timedelta(days=LOOK_BACK_DAYS), today - timedelta(days=1)


def exact(value: Any) -> Decimal | None:
    """A view's number as a Decimal that keeps every digit the database gave."""
    return None if value is None else value if isinstance(value, Decimal) else Decimal(str(value))


def loss_percent_of(row: Mapping[str, Any]) -> Decimal | None:
    """A feeder-loss row's loss in percent; the view's `loss_percent` is a fraction."""
    fraction = exact(row.get("loss_percent"))
    return None if fraction is None else fraction * 100


def _feeder_loss(connection: sa.Connection, schema: Schema, tenant_id: str, day: date) -> dict[str, Decimal]:
    rows = day_rows(connection, schema, FEEDER_LOSS, tenant_id, day, day)
    losses = {row["feeder_id"]: loss_percent_of(row) for row in rows}
    return {feeder: loss for feeder, loss in losses.items() if loss is not None}


def _count_suspicious(connection: sa.Connection, schema: Schema, tenant_id: str, day: date) -> Decimal:
    view = schema.require_view(SUSPICIOUS)
    statement = sa.text(
        f"SELECT count(DISTINCT {view['meter_id']}) FROM {view.quoted} "
        f"WHERE {view['tenant_id']} = CAST(:tenant_id AS {view.type_of('tenant_id')}) AND {view['day']} = :day"
    )
    return Decimal(connection.execute(statement, {"tenant_id": tenant_id, "day": day}).scalar_one())


def _known(found: Mapping[str, Any]) -> dict[str, Any]:
    return {kpi: value for kpi, value in found.items() if value is not None}


_NO_VIEW = Relation("", {}, ())
