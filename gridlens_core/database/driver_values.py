"""What PostgreSQL may hold and Python's own types cannot: years over 9999, BC, infinity, odd offsets, bytes of another
encoding. A time off the calendar becomes the calendar's nearest end, so that no value in the data ends a request."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from typing import Any

from psycopg2 import extensions as pg

EARLIEST, LATEST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
# Half a calendar day inside the ends, so that a local time of either is on the calendar too.
MARGIN = timedelta(days=2)

_DATE, _TIMESTAMP, _TIMESTAMPTZ = (1082,), (1114,), (1184,)
_TIME_TEXT = re.compile(
    r"(\d+)-(\d\d)-(\d\d)(?: (\d\d):(\d\d):(\d\d)(?:\.(\d{1,6}))?)?"
    r"(?:([+-])(\d+)(?::(\d\d))?(?::(\d\d))?)?( BC)?"
)


def moment_of(text: str) -> datetime:
    """PostgreSQL's text of a time as UTC, off the calendar its nearest end; one without an offset is taken as UTC."""
    if text == "infinity":
        return LATEST - MARGIN
    found = _TIME_TEXT.fullmatch(text)
    if found is None or found[12]:
        return EARLIEST + MARGIN  # minus infinity, or BC
    year, month, day, hour, minute, second = (int(found[number] or 0) for number in range(1, 7))
    if year > LATEST.year - 1:
        return LATEST - MARGIN
    offset = timedelta(hours=int(found[9] or 0), minutes=int(found[10] or 0), seconds=int(found[11] or 0))
    microsecond = int((found[7] or "0").ljust(6, "0"))
    # 24:00:00 is a time of day in PostgreSQL.
    midnight = datetime(max(year, 1), month, day, tzinfo=UTC)
    moment = midnight + timedelta(hours=hour, minutes=minute, seconds=second, microseconds=microsecond)
    earliest = EARLIEST + MARGIN
    if moment < earliest:
        return earliest
    return moment - offset if found[8] != "-" else moment + offset


def _timestamptz(text: str | None, cursor: Any) -> datetime | None:
    if text is None:
        return None
    try:
        read = pg.PYDATETIMETZ(text, cursor)
        inside = EARLIEST.year < read.year < LATEST.year
    except (ValueError, OverflowError):
        inside = False
    return read if inside else moment_of(text)


def _timestamp(text: str | None, cursor: Any) -> datetime | None:
    if text is None:
        return None
    try:
        read = pg.PYDATETIME(text, cursor)
        inside = EARLIEST.year < read.year < LATEST.year
    except (ValueError, OverflowError):
        inside = False
    return read if inside else moment_of(text).replace(tzinfo=None)


def _date(text: str | None, cursor: Any) -> date | None:
    if text is None:
        return None
    try:
        return pg.PYDATE(text, cursor)  # type: ignore[no-any-return]
    except (ValueError, OverflowError):
        return moment_of(text).date()


_TYPES = (
    pg.new_type(_TIMESTAMPTZ, "GRIDLENS_TIMESTAMPTZ", _timestamptz),
    pg.new_type(_TIMESTAMP, "GRIDLENS_TIMESTAMP", _timestamp),
    pg.new_type(_DATE, "GRIDLENS_DATE", _date),
)


def read_any_value(connection: Any, _record: Any = None) -> None:
    """Prepares a driver connection; bytes of a database without an encoding are read as Latin-1, where each has a
    letter, and are written back as they were."""
    for one in _TYPES:
        pg.register_type(one, connection)
    if connection.info.parameter_status("server_encoding") == "SQL_ASCII":
        connection.set_client_encoding("LATIN1")
