from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from threading import Event, Thread

import psycopg2
import pytest
import sqlalchemy as sa
from helpers import Server, url_of
from sqlalchemy import exc

from gridlens_core.database import connection as door
from gridlens_core.database.connection import Database, connect, in_plain_words, is_socket
from gridlens_core.errors import (
    DatabaseBusyError,
    DatabaseNotReadyError,
    DatabaseRefusedError,
    DatabaseUnavailableError,
    GridLensError,
    SettingsError,
    UnknownEventError,
)
from gridlens_core.preflight.checks import unreachable

SECRET = "hunter2"
HOST = "grid-db.example.invalid"


@pytest.fixture
def database(existing_url: Callable[..., str], open_database: Callable[..., Database]) -> Database:
    return open_database(existing_url("CREATE TABLE t (n integer PRIMARY KEY CHECK (n > 0)); INSERT INTO t VALUES (1)"))


def said(error: GridLensError) -> str:
    """All that an error shows when it is printed."""
    return " ".join((error.message, str(error), repr(error), str(error.args), str(error.details)))


# --- addresses ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "sslmode"),
    [
        pytest.param(f"postgresql://u:p@{HOST}:5432/grid", "require", id="another host"),
        pytest.param("postgresql://u:p@10.0.0.4/grid", "require", id="a private address"),
        pytest.param(f"postgresql://u:p@/grid?host={HOST}", "require", id="another host in the query"),
        pytest.param(f"postgres://u:p@{HOST}/grid", "require", id="the short scheme"),
        pytest.param(f"postgresql://u:p@{HOST}/grid?sslmode=verify-full", "verify-full", id="a stricter choice stands"),
        pytest.param(f"postgresql://u:p@{HOST}/grid?sslmode=disable", "disable", id="an explicit choice stands"),
        pytest.param("postgresql://u:p@localhost/grid", None, id="localhost"),
        pytest.param("postgresql://u:p@127.0.0.1:5433/grid", None, id="this machine"),
        pytest.param("postgresql://u:p@[::1]/grid", None, id="this machine, version 6"),
        pytest.param("postgresql:///grid", None, id="the default socket"),
        pytest.param("postgresql://u@/grid?host=/var/run/postgresql", None, id="a socket"),
        pytest.param(f"postgresql://u:p@/grid?host=/tmp&host={HOST}", "require", id="one of several is away"),
    ],
)
def test_tls_is_asked_for_on_any_host_that_is_not_local(url: str, sslmode: str | None) -> None:
    parsed = connect(url, is_local=False).engine.url
    assert parsed.query.get("sslmode") == sslmode
    assert parsed.database == "grid"
    assert parsed.drivername == "postgresql+psycopg2"


@pytest.mark.parametrize(
    ("url", "is_local", "address"),
    [
        (f"postgresql://me:{SECRET}@{HOST}:6432/grid", False, f"{HOST}:6432/grid"),
        (f"postgresql://me:{SECRET}@{HOST}/grid", False, f"{HOST}:5432/grid"),
        (f"postgresql://me:{SECRET}@/grid?host=/tmp", False, "local socket:5432/grid"),
        (f"postgresql://me:{SECRET}@/grid?host={HOST}", False, f"{HOST}:5432/grid"),
        (f"postgresql://me:{SECRET}@one:5432,two:5433/grid", False, "one or two/grid"),
        (f"postgresql://me:{SECRET}@one,two/grid?sslmode=require", False, "one or two/grid"),
        (f"postgresql://me:{SECRET}@/grid?host=/tmp", True, "embedded PostgreSQL"),
    ],
)
def test_the_address_shows_neither_user_nor_password(url: str, is_local: bool, address: str) -> None:
    database = connect(url, is_local=is_local)
    assert database.address == address
    assert SECRET not in repr(database)


@pytest.mark.parametrize(
    ("libpq", "reason"),
    [
        ('invalid port number: "99999"', "1 to 65535"),
        ('server certificate for "a" does not match host name "b"', "of another host name"),
        ("channel binding required, but SSL not in use", "does not offer the channel binding"),
        ('invalid channel_binding value: "maybe"', "does not know"),
    ],
)
def test_why_a_connection_cannot_be_made_is_said_in_words(libpq: str, reason: str) -> None:
    error = in_plain_words(sa.exc.OperationalError("", {}, Exception(libpq)))
    assert reason in error.message
    assert unreachable(error).remedy


def test_a_host_in_the_parameters_is_no_socket_of_this_machine() -> None:
    assert not is_socket(connect(f"postgresql://u@/grid?host={HOST}", is_local=False).engine.url)
    assert is_socket(connect("postgresql://u@/grid?host=/tmp", is_local=False).engine.url)


@pytest.mark.parametrize(
    "url",
    [
        pytest.param(f"postgresql://me:{SECRET}@{HOST}:port/grid", id="a port that is no number"),
        pytest.param(f"postgresql://me:{SECRET}@{HOST}:543x2/grid", id="a port that is half a number"),
    ],
)
def test_an_address_that_cannot_be_read_is_a_setting_to_put_right(url: str) -> None:
    with pytest.raises(SettingsError, match="DATABASE_URL is no address") as raised:
        connect(url, is_local=False)
    assert SECRET not in said(raised.value)
    assert raised.value.__suppress_context__


# --- a database that does not answer --------------------------------------------------------------------


@pytest.fixture
def closed_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@pytest.fixture
def silent_port(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """A port that accepts connections and never answers."""
    monkeypatch.setattr(door, "CONNECT_TIMEOUT_S", 2)  # the shortest libpq takes
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield int(listener.getsockname()[1])


def expect_away(url: str, reason: str) -> None:
    database = connect(url, is_local=False)
    with pytest.raises(DatabaseUnavailableError) as raised:
        database.ping()
    assert raised.value.message == f"The database does not answer: {reason}."
    for secret in (SECRET, "me", HOST, "127.0.0.1", "psycopg2", "sqlalche", "server at"):
        assert secret not in said(raised.value).split(), secret
    assert SECRET not in said(raised.value)
    assert HOST not in said(raised.value)


def test_a_host_that_is_not_known() -> None:
    expect_away(f"postgresql://me:{SECRET}@{HOST}/grid", "the host name is not known")


def test_a_port_where_nothing_listens(closed_port: int) -> None:
    expect_away(f"postgresql://me:{SECRET}@127.0.0.1:{closed_port}/grid", "nothing listens at that address")


def test_a_socket_that_is_not_there() -> None:
    expect_away(f"postgresql://me:{SECRET}@/grid?host=/no/such/folder", "nothing listens at that address")


def test_a_server_that_says_nothing(silent_port: int) -> None:
    expect_away(f"postgresql://me:{SECRET}@127.0.0.1:{silent_port}/grid", "the server did not answer in time")


def test_a_database_that_is_not_there(server: Server) -> None:
    expect_away(server.url_of("no_such_database"), "that database or user does not exist on the server")


def test_a_user_that_is_not_there(server: Server) -> None:
    url = server.url.replace("postgres:@", f"nobody:{SECRET}@")
    expect_away(url, "that database or user does not exist on the server")


@pytest.mark.parametrize(
    ("option", "reason"),
    [
        ("ssl=true", "DATABASE_URL carries an option that PostgreSQL does not know"),
        ("sslmode=requier", "DATABASE_URL carries an sslmode that PostgreSQL does not know"),
    ],
)
def test_an_option_that_is_not_one(closed_port: int, option: str, reason: str) -> None:
    expect_away(f"postgresql://me:{SECRET}@127.0.0.1:{closed_port}/grid?{option}", reason)


def test_tls_where_the_server_has_none() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()

        def refuse() -> None:  # a server without TLS answers the request for it with N
            peer, _ = listener.accept()
            with peer:
                peer.recv(1024)
                peer.sendall(b"N")

        thread = Thread(target=refuse)
        thread.start()
        port = listener.getsockname()[1]
        expect_away(
            f"postgresql://me:{SECRET}@127.0.0.1:{port}/grid?sslmode=require",
            "the server does not offer TLS, and the connection asks for it",
        )
        thread.join()


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ('FATAL: password authentication failed for user "me"', "the user name or password was not accepted"),
        ("fe_sendauth: no password supplied", "the server asks for a password and none was given"),
        ("FATAL: no pg_hba.conf entry for host", "the server does not admit this user from this address"),
        ("FATAL: sorry, too many clients already", "the server has no free connection"),
        ("FATAL: remaining connection slots are reserved", "the server has no free connection"),
        ("FATAL: the database system is starting up", "the server is starting up"),
        ("server closed the connection unexpectedly", "the connection was lost"),
    ],
)
def test_what_libpq_says_is_said_in_plain_words(theirs: str, ours: str) -> None:
    error = in_plain_words(exc.OperationalError(f"SELECT '{SECRET}'", {}, psycopg2.OperationalError(theirs)))
    assert isinstance(error, DatabaseUnavailableError)
    assert error.message == f"The database does not answer: {ours}."
    assert SECRET not in said(error)


def test_a_connection_that_is_cut_is_replaced(database: Database, server: Server) -> None:
    def cut() -> None:
        server.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            f"WHERE datname = '{database.engine.url.database}' AND pid <> pg_backend_pid()"
        )

    def lose() -> None:
        with database.transaction() as connection:
            cut()
            connection.exec_driver_sql("SELECT 1")

    with pytest.raises(DatabaseUnavailableError):
        lose()
    database.ping()
    cut()
    database.ping()  # a connection that was idle when it was cut is replaced without an error


# --- a database that is busy ----------------------------------------------------------------------------


def test_a_statement_that_takes_too_long(database: Database) -> None:
    with (
        pytest.raises(DatabaseBusyError, match="longer than it may"),
        database.transaction(statement_timeout_s=0.1) as connection,
    ):
        connection.exec_driver_sql("SELECT pg_sleep(5)")
    database.ping()


@pytest.mark.parametrize("wait", ["LOCK TABLE t", "SELECT pg_advisory_xact_lock(1)"], ids=["a table", "an advisory"])
def test_a_lock_that_is_held_too_long(database: Database, monkeypatch: pytest.MonkeyPatch, wait: str) -> None:
    monkeypatch.setattr(door, "LOCK_TIMEOUT_S", 0.1)
    with database.transaction() as holder:
        holder.exec_driver_sql(wait)
        with pytest.raises(DatabaseBusyError, match="holds a lock"), database.transaction() as connection:
            connection.exec_driver_sql(wait)


def test_two_sessions_that_wait_for_each_other(database: Database) -> None:
    first_holds, second_holds = Event(), Event()
    outcome: list[object] = []

    def second() -> None:
        try:
            with database.transaction() as connection:
                connection.exec_driver_sql("SELECT pg_advisory_xact_lock(2)")
                second_holds.set()
                first_holds.wait(10)
                connection.exec_driver_sql("SELECT pg_advisory_xact_lock(1)")
                outcome.append("went through")
        except DatabaseBusyError as error:
            outcome.append(error.message)

    thread = Thread(target=second)
    thread.start()
    try:
        with database.transaction() as connection:
            connection.exec_driver_sql("SELECT pg_advisory_xact_lock(1)")
            first_holds.set()
            second_holds.wait(10)
            connection.exec_driver_sql("SELECT pg_advisory_xact_lock(2)")
            outcome.append("went through")
    except DatabaseBusyError as error:
        outcome.append(error.message)
    thread.join()
    assert sorted(map(str, outcome)) == [
        "The database is busy: two sessions waited for each other.",
        "went through",
    ]


def test_connections_that_are_all_in_use(database: Database) -> None:
    few = sa.create_engine(database.engine.url, pool_size=1, max_overflow=0, pool_timeout=0.1)
    database = Database(few, is_local=False)
    with (
        database.transaction(),
        pytest.raises(DatabaseBusyError, match="All database connections are in use"),
    ):
        database.ping()
    few.dispose()


def test_being_busy_is_not_being_away(database: Database) -> None:
    assert DatabaseBusyError.code != DatabaseUnavailableError.code
    assert DatabaseBusyError.status == DatabaseUnavailableError.status == 503


# --- a database that refuses ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("statement", "kind", "reason"),
    [
        ("INSERT INTO t VALUES (1)", DatabaseRefusedError, "a rule of the table"),
        ("INSERT INTO t VALUES (-1)", DatabaseRefusedError, "a rule of the table"),
        ("INSERT INTO t VALUES (99999999999)", DatabaseRefusedError, "does not fit the column's type"),
        ("DO $$ BEGIN RAISE 'hunter2'; END $$", DatabaseRefusedError, "a trigger of the database"),
        ("SELECT * FROM no_such_table", DatabaseNotReadyError, "a table or view is missing"),
        ("SELECT hunter2 FROM t", DatabaseNotReadyError, "a column is missing"),
        ("SELECT hunter2()", DatabaseNotReadyError, "a function is missing"),
        ("SELECT hunter2 hunter2 hunter2", DatabaseNotReadyError, "SQLSTATE 42601"),
    ],
)
def test_a_refusal_gives_the_reason_and_no_driver_message(
    database: Database, statement: str, kind: type[GridLensError], reason: str
) -> None:
    def write() -> None:
        with database.transaction() as connection:
            connection.exec_driver_sql("INSERT INTO t VALUES (7)")
            connection.exec_driver_sql(statement)

    with pytest.raises(kind) as raised:
        write()
    assert reason in raised.value.message
    assert SECRET not in said(raised.value)
    assert "INSERT" not in said(raised.value)
    with database.transaction() as connection:
        assert connection.exec_driver_sql("SELECT array_agg(n) FROM t").scalar_one() == [1]


def test_a_transaction_to_read_writes_nothing(database: Database) -> None:
    with pytest.raises(DatabaseRefusedError, match="read-only"), database.transaction(read_only=True) as connection:
        connection.exec_driver_sql("INSERT INTO t VALUES (2)")


def test_our_own_errors_pass_through_and_roll_back(database: Database) -> None:
    def write() -> None:
        with database.transaction() as connection:
            connection.exec_driver_sql("INSERT INTO t VALUES (2)")
            raise UnknownEventError

    with pytest.raises(UnknownEventError):
        write()
    with database.transaction() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM t").scalar_one() == 1


def test_limits_hold_for_the_transaction_alone(database: Database) -> None:
    with database.transaction(statement_timeout_s=1.5) as connection:
        assert connection.exec_driver_sql("SHOW statement_timeout").scalar_one() == "1500ms"
        pid = connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
    with database.engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one() == pid
        assert connection.exec_driver_sql("SHOW statement_timeout").scalar_one() == "0"


def test_the_server_can_tell_who_is_connected(database: Database) -> None:
    with database.transaction() as connection:
        assert connection.exec_driver_sql("SHOW application_name").scalar_one() == "gridlens"
    assert url_of(database).startswith("postgresql://")


def test_what_is_asked_after_the_connection_was_lost_says_so_too(local: Database, server: Server) -> None:
    def ask_twice() -> None:
        with local.transaction() as connection:
            pid = connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
            connection.begin_nested()
            server.execute(f"SELECT pg_terminate_backend({pid}, 5000)")
            with suppress(exc.DBAPIError):
                connection.exec_driver_sql("SELECT 1")
            connection.exec_driver_sql("SELECT 1")

    with pytest.raises(DatabaseUnavailableError, match="connection was lost"):
        ask_twice()
