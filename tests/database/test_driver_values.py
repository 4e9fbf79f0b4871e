"""Times that PostgreSQL has and Python has not become the nearest end of the calendar."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from helpers import Server

from gridlens_core.clock import as_utc
from gridlens_core.database.connection import connect
from gridlens_core.database.driver_values import EARLIEST, LATEST, MARGIN, moment_of

END, BEGINNING = LATEST - MARGIN, EARLIEST + MARGIN


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("infinity", END),
        ("-infinity", BEGINNING),
        ("12000-01-01 00:00:00+00", END),
        ("9999-12-31 23:59:59.999999-11", END),
        ("0044-03-15 12:00:00-05:50:36 BC", BEGINNING),
        ("2026-11-18 18:00:00+30", datetime(2026, 11, 17, 12, tzinfo=UTC)),
        ("2026-11-18 18:00:00.25-05:30", datetime(2026, 11, 18, 23, 30, 0, 250_000, tzinfo=UTC)),
        ("2026-11-18 24:00:00", datetime(2026, 11, 19, tzinfo=UTC)),
    ],
)
def test_any_time_is_a_moment_on_the_calendar(text: str, moment: datetime) -> None:
    assert moment_of(text) == moment


@pytest.mark.parametrize("zone", ["UTC", "<X>+30", "America/Chicago"])
def test_times_off_the_calendar_are_read_whatever_the_servers_time_zone(server: Server, zone: str) -> None:
    database = connect(server.url, is_local=False)
    with database.engine.connect() as connection:
        connection.exec_driver_sql(f"SET TIME ZONE '{zone}'")
        row = connection.exec_driver_sql(
            "SELECT timestamptz 'infinity', timestamptz '-infinity', timestamptz '12000-01-01 00:00Z', "
            "timestamptz '0044-03-15 00:00Z BC', timestamptz '2026-11-18 18:00Z', date 'infinity', "
            "timestamp '12000-01-01', NULL::timestamptz"
        ).one()
    database.engine.dispose()
    assert (row[0], row[1], row[2], row[3]) == (END, BEGINNING, END, BEGINNING)
    assert as_utc(row[4]) == datetime(2026, 11, 18, 18, tzinfo=UTC)
    assert row[5].year >= LATEST.year
    assert row[6] == END.replace(tzinfo=None)
    assert row[7] is None
    assert as_utc(row[0]) + timedelta(days=1) < LATEST


def test_bytes_of_a_database_without_an_encoding_are_read_and_written_back_as_they_were(server: Server) -> None:
    server.execute("CREATE DATABASE bytes ENCODING 'SQL_ASCII' LOCALE_PROVIDER libc LOCALE 'C' TEMPLATE template0")
    database = connect(server.url_of("bytes"), is_local=False)
    with database.transaction() as connection:
        name = connection.exec_driver_sql(r"SELECT E'S\xe3o'").scalar_one()
        back = connection.exec_driver_sql("SELECT encode(%s::bytea, 'escape')", (name,)).scalar_one()
    database.engine.dispose()
    server.drop("bytes")
    assert (name, back) == ("São", r"S\343o")
