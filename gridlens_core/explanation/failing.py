"""A KPI view that fails, told apart by SQLSTATE from a database that is away. It costs its own figures alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import sqlalchemy as sa

Row = Mapping[str, Any]
Found = TypeVar("Found")

# What is nobody's view's fault: the connection, the server's limits, a lock, a time limit, an aborted transaction.
NOT_THE_VIEW = ("08", "25P02", "40", "53", "55P03", "57")
UNDECODABLE = "it has a value that cannot be read, such as a date beyond the year 9999"
REASONS = {
    "22012": "it divides by zero",
    "22": "a value in it does not fit its type",
    "21000": "a subquery in it finds several rows where one is expected",
    "42501": "this role lacks a privilege on what it reads",
    "42704": "a setting or type it asks for is not there, perhaps one that a row policy needs",
    "42883": "a function it calls is not found, perhaps outside the search path",
    "42P01": "a table it reads is not found, perhaps outside the search path",
    "42703": "a column it reads is not there",
    "55000": "it is materialized and was never filled (REFRESH MATERIALIZED VIEW)",
    "P0001": "a function it calls raises an error",
}


@dataclass(frozen=True)
class NoRows(Sequence[Row]):
    """The rows of a view that failed: none, and why."""

    reason: str

    def __len__(self) -> int:
        return 0

    def __getitem__(self, index: Any) -> Any:
        raise IndexError(index)


def rows_or_reason(connection: sa.Connection, ask: Callable[[], Sequence[Found]]) -> Sequence[Found] | NoRows:
    """The rows of one view, or NoRows; what is not the view's fault is raised. The transaction goes on either way."""
    try:
        with connection.begin_nested():
            return ask()
    except sa.exc.DBAPIError as error:
        reason = view_reason(getattr(error.orig, "pgcode", None) or "")
        if reason is None:
            raise
        return NoRows(reason)
    except (ValueError, OverflowError):  # of the driver, for dates that Python does not have
        return NoRows(UNDECODABLE)


def view_reason(sqlstate: str) -> str | None:
    """Why a view fails with this SQLSTATE; None where that is not the view's fault."""
    if not sqlstate or sqlstate.startswith(NOT_THE_VIEW):
        return None
    return REASONS.get(sqlstate) or REASONS.get(sqlstate[:2]) or f"its own query fails (SQLSTATE {sqlstate})"
