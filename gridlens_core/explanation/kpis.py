"""KPIs, read from the four views and from nowhere else. No KPI is computed here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any, Protocol

import sqlalchemy as sa

from gridlens_core.clock import local_day
from gridlens_core.database.discovery import settle_by_rows
from gridlens_core.database.schema import FEEDER_LOSS, FIELDOPS, KPI_VIEWS, OVERVIEW, SUSPICIOUS, Relation, Schema
from gridlens_core.explanation.catalogue import ALL, CATALOGUE, kpis_of
from gridlens_core.explanation.days import day_rows
from gridlens_core.explanation.failing import NoRows, rows_or_reason

NO_ISSUE = ("", "none", "ok", "normal", "no issue", "n/a", "-")
_AN_INSTANT = timedelta(microseconds=1)

ViewRows = Mapping[str, Sequence[Mapping[str, Any]]]  # by view name, with the views' own column names


@dataclass(frozen=True)
class Kpis:
    """One day's KPIs as the views give them; None is what the database does not have.

    values : by the names of the catalogue; shares in percent, whatever unit the view uses
    feeder_loss_pct : percent by feeder
    named : issue by meter, of those the suspicious-meters view names
    failed : why, by view, of those that could not be asked
    """

    day: date
    values: Mapping[str, Decimal | None] = field(default_factory=dict)
    feeder_loss_pct: Mapping[str, Decimal] = field(default_factory=dict)
    named: Mapping[str, str] = field(default_factory=dict)
    failed: Mapping[str, str] = field(default_factory=dict)

    def __getitem__(self, kpi: str) -> Decimal | None:
        """The value of a KPI of the catalogue."""
        return self.values.get(CATALOGUE[kpi].name)

    def of(self, kpi: str, feeder_id: str | None = None) -> Decimal | None:
        """The value of a KPI of the whole tenant, or with a feeder that feeder's loss."""
        return self[kpi] if feeder_id is None else self.feeder_loss_pct.get(feeder_id)


class ReadKpis(Protocol):
    """Reads the KPIs of one tenant on a connection whose grid time is `moment`; `before_each` is called before each
    view is asked."""

    def __call__(
        self, connection: sa.Connection, moment: datetime, before_each: Callable[[], None] | None = None
    ) -> Kpis: ...


def read_kpis(connection: sa.Connection, schema: Schema, tenant_id: str, day: date) -> Kpis:
    """The KPIs of one day, straight from the views."""
    return kpis_from(schema, day, read_rows(connection, schema, tenant_id, day))


def read_rows(
    connection: sa.Connection, schema: Schema, tenant_id: str, day: date, before_each: Callable[[], None] | None = None
) -> ViewRows:
    """One day's rows of each of the four views, a statement a view; [] for a view that is not there, NoRows for one
    that fails."""
    rows: dict[str, Sequence[Mapping[str, Any]]] = {}
    for view in KPI_VIEWS:
        if before_each is not None:
            before_each()
        rows[view] = rows_or_reason(connection, partial(day_rows, connection, schema, view, tenant_id, day, day))
    return rows


def kpis_from(schema: Schema, day: date, rows: ViewRows) -> Kpis:
    """The KPIs that one day's rows of the views say."""
    values: dict[str, Decimal | None] = {}
    failed = {name: said.reason for name, said in rows.items() if isinstance(said, NoRows)}
    for view_name in (OVERVIEW, FIELDOPS):
        view = schema.views.get(view_name)
        if view is not None and view_name not in failed:
            found = by_role(view, rows[view_name])
            several = len(found) > 1
            # No row in the task view means that no task is open, not that the number is unknown.
            absent = Decimal(0) if view_name == FIELDOPS else None
            for kpi in kpis_of(view_name):
                if not view.has(kpi.role):
                    continue
                if several:
                    schema.notes[kpi.name] = (
                        f"The view public.{view_name} has {len(found)} rows for one day; none is the whole tenant's."
                    )
                values[kpi.name] = None if several else found[0][kpi.role] if found else absent
    named = _named(schema, rows)
    if SUSPICIOUS in schema.views and SUSPICIOUS not in failed:
        values["suspicious_meters"] = Decimal(len(named))
    return Kpis(day, values, _feeder_loss(schema, rows), named, failed)


def why_absent(schema: Schema, kpi: str, failed: Mapping[str, str]) -> str:
    """Why there is no value of a KPI; `failed` as in Kpis."""
    view_name, role = ALL[kpi].view, ALL[kpi].role
    if view_name not in schema.views:
        return schema.why_not(view_name)
    if view_name in failed:
        return f"The view public.{view_name} fails: {failed[view_name]}."
    if role == "loss_pct" and view_name in schema.no_loss:
        return schema.no_loss[view_name]
    if not schema.views[view_name].has(role):
        return schema.notes.get(kpi) or f"The view public.{view_name} has no column for {role}."
    bound = schema.views[view_name].bindings[role]
    if bound.certainty == "open":
        return f"What {bound.column.name} of public.{view_name} says is not settled: {bound.why}."
    if kpi in schema.notes:
        return schema.notes[kpi]
    return f"The view public.{view_name} has no value for this day yet."


def by_role(view: Relation, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Rows with GridLens's names for the columns: numbers exact, shares in percent, ids as text."""
    if any(binding.certainty == "open" for binding in view.bindings.values()):
        view = settle_by_rows(view, rows)
    return [{role: _value(view, role, row[view.name_of(role)]) for role in view.bindings} for row in rows]


def _value(view: Relation, role: str, value: Any) -> Any:
    if value is None:
        return None
    if role == "day":
        return _day(value)
    if view.unit_of(role) == "":
        return str(value)
    if view.bindings[role].certainty == "open":
        return None
    number = exact(value)
    return number * 100 if number is not None and view.unit_of(role) == "fraction" else number


def _day(value: Any) -> Any:
    """A day column's value as a date; one in a format of its own stays as it is."""
    if isinstance(value, str):
        with suppress(ValueError):
            return date.fromisoformat(value[:10])
    return value.date() if isinstance(value, datetime) else value


def newest_day(connection: sa.Connection, schema: Schema, tenant_id: str, grid_now: datetime, timezone: str) -> date:
    """The day that an existing database's views call today.

    Their days may be local or UTC days, and may begin with the read stamped midnight. Only where these readings of the
    grid clock differ is a view asked for its newest day among them.
    """
    today = local_day(grid_now, timezone)
    readings = [today, local_day(grid_now + _AN_INSTANT, timezone), *_utc_days(grid_now)]
    if min(readings) == max(readings):
        return today
    for view_name in KPI_VIEWS[:2]:
        view = schema.views.get(view_name)
        if view is not None:
            statement = sa.text(
                f"SELECT max({view.day()}) AS day FROM {view.quoted} "
                f"WHERE {view.of_tenant()} AND {view.day()} BETWEEN :first AND :last{_with_values(view)}"
            )
            parameters = {"tenant_id": tenant_id, "first": min(readings), "last": max(readings)}
            found = rows_or_reason(connection, partial(_rows, connection, statement, parameters))
            day: date | None = found[0]["day"] if found else None
            if day is not None:
                return day
    return today


def _rows(connection: sa.Connection, statement: sa.TextClause, parameters: Mapping[str, Any]) -> Sequence[Any]:
    return connection.execute(statement, parameters).mappings().all()


def _with_values(view: Relation) -> str:
    """Leaves out the rows of days that a calendar gives and nothing has filled: all their numbers are 0 or NULL."""
    numbers = [view[role] for role in ("loss_pct", "loss_kwh", "supplied_kwh", "metered_kwh") if view.has(role)]
    return f" AND ({' OR '.join(f'{one} <> 0' for one in numbers)})" if numbers else ""


def _utc_days(grid_now: datetime) -> tuple[date, date]:
    """The UTC day of the interval that ends at the grid clock, and that of the grid clock itself."""
    moment = grid_now.astimezone(UTC)
    return (moment - _AN_INSTANT).date(), moment.date()


def exact(value: Any) -> Decimal | None:
    """A view's number as a Decimal that keeps every digit the database gave; None for NaN and infinity."""
    number = None if value is None else value if isinstance(value, Decimal) else Decimal(str(value))
    return number if number is not None and number.is_finite() else None


def _feeder_loss(schema: Schema, rows: ViewRows) -> dict[str, Decimal]:
    view = schema.views.get(FEEDER_LOSS)
    if view is None or not view.has("loss_pct"):
        return {}
    found = by_role(view, rows[FEEDER_LOSS])
    rows_of = Counter(row["feeder_id"] for row in found)
    if any(several > 1 for several in rows_of.values()):
        schema.notes["feeder_loss_pct"] = f"The view public.{FEEDER_LOSS} has several rows for one feeder and day."
    return {
        row["feeder_id"]: row["loss_pct"]
        for row in found
        if row["loss_pct"] is not None and rows_of[row["feeder_id"]] == 1
    }


def _named(schema: Schema, rows: ViewRows) -> dict[str, str]:
    view = schema.views.get(SUSPICIOUS)
    if view is None:
        return {}
    found = by_role(view, rows[SUSPICIOUS])
    # A view that lists every meter says of most that nothing is wrong: with no issue, or in one of these words.
    return {
        row["meter_id"]: row.get("issue") or "named"
        for row in found
        if not view.has("issue") or str(row["issue"] or "").strip().lower() not in NO_ISSUE
    }
