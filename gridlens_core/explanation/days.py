"""A view's rows day by day. A day that is over does not change: it is read once, with the first look after its end,
and in the same statement as the running day, so that a view is scanned once a look."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import sqlalchemy as sa

from gridlens_core.database.schema import Schema
from gridlens_core.explanation.failing import NoRows, rows_or_reason

# How far back "the last five days" looks: an index serves it, whatever the size of the history.
LOOK_BACK_DAYS = 40
ORDER_IN_DAY = (("loss_pct", "DESC NULLS LAST"), ("feeder_id", ""), ("meter_id", ""))
_DAY = "gridlens_day"  # beside a view's own columns, the day as a date

Rows = Sequence[Mapping[str, Any]]  # with the view's own column names


@dataclass(frozen=True)
class _Closed:
    """Rows of the days up to `last`, newest day first."""

    last: date
    rows: tuple[tuple[date, Mapping[str, Any]], ...] = ()


class ClosedDays:
    """What one process remembers of one tenant's days that are over."""

    def __init__(self) -> None:
        self._closed: dict[str, _Closed] = {}

    def read(
        self, connection: sa.Connection, schema: Schema, view_name: str, tenant_id: str, today: date
    ) -> tuple[Rows, Rows]:
        """A view's rows of today, and of the days before; NoRows where the view fails.

        Where it fails for a day that is over, today is asked for alone, and the days before with the next look.
        """
        earliest, yesterday = today - timedelta(days=LOOK_BACK_DAYS), today - timedelta(days=1)
        known = self._closed.get(view_name)
        if known is None or known.last > yesterday:
            known = _Closed(earliest - timedelta(days=1))
        first = max(earliest, known.last + timedelta(days=1))
        found = rows_or_reason(connection, lambda: _dated(connection, schema, view_name, tenant_id, first, today))
        if isinstance(found, NoRows):
            alone = rows_or_reason(connection, lambda: day_rows(connection, schema, view_name, tenant_id, today, today))
            return alone, found
        over = [one for one in found if one[0] < today]
        kept = _Closed(yesterday, (*over, *(one for one in known.rows if one[0] >= earliest)))
        self._closed[view_name] = kept
        return [row for day, row in found if day == today], [row for _, row in kept.rows]


def day_rows(
    connection: sa.Connection, schema: Schema, view_name: str, tenant_id: str, first: date, last: date
) -> list[Mapping[str, Any]]:
    """A view's rows from `first` to `last` with its own column names, newest day first; [] without the view.

    Within a day the feeder that loses most comes first, and meters in the order of their names.
    """
    return [row for _, row in _dated(connection, schema, view_name, tenant_id, first, last)]


def _dated(
    connection: sa.Connection, schema: Schema, view_name: str, tenant_id: str, first: date, last: date
) -> list[tuple[date, Mapping[str, Any]]]:
    """Like `day_rows`, each row with its day as a date."""
    view = schema.views.get(view_name)
    if view is None:
        return []
    order = [f"{view[column]} {direction}" for column, direction in ORDER_IN_DAY if view.has(column)]
    which_days = "= :last" if first == last else "BETWEEN :first AND :last"
    statement = sa.text(
        f"SELECT *, {view.day()} AS {_DAY} FROM {view.quoted} WHERE {view.of_tenant()} AND {view.day()} {which_days} "
        f"ORDER BY {', '.join([view['day'] + ' DESC', *order])}"
    )
    parameters = {"tenant_id": tenant_id, "first": first, "last": last}
    found = [dict(row) for row in connection.execute(statement, parameters).mappings()]
    return [(row.pop(_DAY), row) for row in found]
