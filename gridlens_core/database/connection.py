"""Connections to PostgreSQL: engine, short transactions with time limits, and driver errors in plain words."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy import exc

from gridlens_core.database.driver_values import read_any_value
from gridlens_core.database.entra import default_credential, use_tokens, wants_token
from gridlens_core.errors import (
    DatabaseBusyError,
    DatabaseNotReadyError,
    DatabaseRefusedError,
    DatabaseUnavailableError,
    GridLensError,
    SettingsError,
)

CONNECT_TIMEOUT_S = 5
STATEMENT_TIMEOUT_S = 15.0
LOCK_TIMEOUT_S = 10.0
LOCAL_HOSTS = frozenset({"", "localhost", "127.0.0.1", "::1"})

# What libpq says when a connection cannot be made, and what we say. libpq gives no error code here.
_CONNECTION_REASONS = (
    ("could not translate host name", "the host name is not known"),
    ("Name or service not known", "the host name is not known"),
    ("password authentication failed", "the user name or password was not accepted"),
    ("no password supplied", "the server asks for a password and none was given"),
    ("no pg_hba.conf entry", "the server does not admit this user from this address"),
    ("server does not support SSL", "the server does not offer TLS, and the connection asks for it"),
    ("does not match host name", "the server's certificate is of another host name"),
    ("invalid port number", "the port in DATABASE_URL is none: 1 to 65535"),
    ("invalid channel_binding value", "DATABASE_URL carries a channel_binding that PostgreSQL does not know"),
    ("channel binding", "the server does not offer the channel binding that DATABASE_URL asks for"),
    ("certificate verify failed", "the server's certificate could not be verified"),
    ("root certificate file", "the file of trusted certificates is missing"),
    ("too many connections", "the server has no free connection"),
    ("too many clients", "the server has no free connection"),
    ("remaining connection slots", "the server has no free connection"),
    ("timeout expired", "the server did not answer in time"),
    ("Connection refused", "nothing listens at that address"),
    ("No such file or directory", "nothing listens at that address"),
    ("starting up", "the server is starting up"),
    ("shutting down", "the server is shutting down"),
    ("does not exist", "that database or user does not exist on the server"),
    ("invalid connection option", "DATABASE_URL carries an option that PostgreSQL does not know"),
    ("invalid sslmode value", "DATABASE_URL carries an sslmode that PostgreSQL does not know"),
)

_BUSY = {
    "57014": "a statement took longer than it may",
    "55P03": "another session holds a lock for too long",
    "40P01": "two sessions waited for each other",
    "40001": "another session changed the same rows at the same moment",
}
_AWAY = {
    "53300": "the server has no free connection",
    "57P01": "the server is shutting down",
    "57P02": "the server is shutting down",
    "57P03": "the server is starting up",
    "3D000": "that database does not exist on the server",
    "28P01": "the user name or password was not accepted",
    "28000": "the user name or password was not accepted",
}
_REFUSED = {
    "23": "a rule of the table does not allow these rows",
    "42501": "this database role lacks the privilege",
    "42P10": "the table's keys do not allow it",
    "428C9": "a column is always generated and takes no value",
    "0A000": "the table or view does not allow it",
    "25006": "the database is read-only",
    "22": "a value does not fit the column's type",
    "P0001": "a trigger of the database refused the rows",
    "53100": "the database server's disk is full",
}
_NOT_READY = {
    "42P01": "a table or view is missing",
    "42703": "a column is missing",
    "42883": "a function is missing",
    "3F000": "a schema is missing",
    "55000": "a materialized view was never filled, or an object is not in the state that is needed",
    "42704": "a setting or type is missing",
}


@dataclass(frozen=True)
class Database:
    """An engine, and whether GridLens made the schema behind it (`is_local`) or found it."""

    engine: sa.Engine
    is_local: bool

    @property
    def address(self) -> str:
        """Where the database is, without user or password."""
        url = self.engine.url
        if self.is_local:
            return "embedded PostgreSQL"
        hosts = [host for host in hosts_of(url) if not host.startswith("/")]
        if len(hosts) > 1:
            return f"{' or '.join(hosts)}/{url.database or ''}"
        return f"{hosts[0] if hosts else 'local socket'}:{url.port or 5432}/{url.database or ''}"

    @contextmanager
    def transaction(
        self, *, statement_timeout_s: float = STATEMENT_TIMEOUT_S, read_only: bool = False, one_moment: bool = False
    ) -> Iterator[sa.Connection]:
        """A transaction that commits at the end of the block and rolls back on any error.

        read_only : it also sees one moment, though a cycle may be published meanwhile
        one_moment : it does, and may write
        Time limits are set for the transaction alone, so that a pooler in transaction mode may sit between.
        """
        with plain_errors(), self.engine.begin() as connection:
            access = "READ ONLY" if read_only else "READ WRITE"
            mode = f"SET TRANSACTION ISOLATION LEVEL REPEATABLE READ {access}; " if read_only or one_moment else ""
            connection.exec_driver_sql(
                f"{mode}SET LOCAL statement_timeout = {int(statement_timeout_s * 1000)}; "
                f"SET LOCAL lock_timeout = {int(LOCK_TIMEOUT_S * 1000)}"
            )
            yield connection

    def apart(self, connections: int) -> Database:
        """The same database over a few connections of its own, which nothing else uses up."""
        url = self.engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
        return connect(url, is_local=self.is_local, kept=connections, more=0)

    def ping(self) -> None:
        """Raises DatabaseUnavailableError unless the database answers."""
        with self.transaction(statement_timeout_s=3, read_only=True) as connection:
            connection.exec_driver_sql("SELECT 1")


def connect(url: str, *, is_local: bool, kept: int = 5, more: int = 10) -> Database:
    """An engine for `url`; connects only when first used. TLS is asked for on any host that is not local.

    kept, more : connections that are kept open, and that may be opened beside them
    Raises SettingsError if `url` cannot be read.
    """
    try:
        parsed = sa.make_url(_hosts_apart(url.replace("postgres://", "postgresql://", 1))).set(
            drivername="postgresql+psycopg2"
        )
    except (exc.ArgumentError, ValueError):  # whose message may show the address
        raise SettingsError(
            "DATABASE_URL is no address; accepted: postgresql://USER:PASSWORD@HOST:5432/DATABASE, "
            "with %-codes for signs such as @ : / # in the password"
        ) from None
    if "sslmode" not in parsed.query and not _is_local_host(parsed):
        parsed = parsed.update_query_dict({"sslmode": "require"})
    engine = sa.create_engine(
        parsed,
        pool_size=kept,
        max_overflow=more,
        pool_timeout=CONNECT_TIMEOUT_S,
        pool_pre_ping=True,
        pool_recycle=300,
        hide_parameters=True,
        connect_args={"connect_timeout": CONNECT_TIMEOUT_S, "application_name": "gridlens"},
    )
    sa.event.listen(engine, "connect", read_any_value)
    if wants_token(parsed):
        use_tokens(engine, default_credential())
    return Database(engine, is_local)


def hosts_of(url: sa.URL) -> tuple[str, ...]:
    """Every host that an address names, wherever it names them, without ports; a folder is a socket's."""
    said = url.host or url.query.get("host", "")
    several = [one.strip() for part in ([said] if isinstance(said, str) else said) for one in part.split(",")]
    return tuple(re.sub(r"(?<=[^:]):\d+$", "", one) if one.count(":") == 1 else one for one in several if one)


def is_socket(url: sa.URL) -> bool:
    """Whether the address leads to a socket of this machine."""
    return all(host.startswith("/") for host in hosts_of(url))


def _is_local_host(url: sa.URL) -> bool:
    return all(host in LOCAL_HOSTS or host.startswith("/") for host in hosts_of(url))


def _hosts_apart(url: str) -> str:
    """Several hosts, HOST:PORT,HOST:PORT, as parameters, which is how SQLAlchemy takes them."""
    found = re.fullmatch(r"(postgresql://(?:[^@/?]*@)?)([^/?@]*,[^/?@]*)(/[^?]*)?(?:\?(.*))?", url)
    if found is None:
        return url
    hosts = [f"host={one if ':' in one else f'{one}:5432'}" for one in found[2].split(",")]
    return f"{found[1]}{found[3] or '/'}?{'&'.join([*hosts, *([found[4]] if found[4] else [])])}"


def is_pooled(connection: sa.Connection) -> bool:
    """Whether a pooler is in between: then the server process is not the one that the connection was told of."""
    told = getattr(getattr(connection.connection.dbapi_connection, "info", None), "backend_pid", None)
    return bool(connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one() != told)


@contextmanager
def plain_errors() -> Iterator[None]:
    """Turns the driver's errors into GridLens errors that show no driver message and no address."""
    try:
        yield
    except GridLensError:
        raise
    except exc.TimeoutError as error:
        raise DatabaseBusyError("All database connections are in use; nothing was written.") from error
    except exc.DBAPIError as error:
        raise in_plain_words(error) from error
    except exc.PendingRollbackError as error:  # what was asked after the connection was lost, in the same transaction
        reason = "the connection was lost"
        raise DatabaseUnavailableError(f"The database does not answer: {reason}.", reason=reason) from error


def _about(error: exc.DBAPIError) -> str:
    """Which column, constraint or trigger it was, by the names PostgreSQL gives; nothing of the row itself."""
    diagnostics = getattr(error.orig, "diag", None)
    state = getattr(error.orig, "pgcode", None)
    if diagnostics is None or state is None:
        return ""
    if state == "23502" and diagnostics.column_name:
        return f" (column {diagnostics.column_name!r} needs a value and gets none)"
    if state == "23514" and not diagnostics.constraint_name:
        return " (no partition takes this time)"
    if state[:2] == "23" and diagnostics.constraint_name:
        return f" (constraint {diagnostics.constraint_name!r})"
    return ""


def in_plain_words(error: exc.DBAPIError) -> GridLensError:
    """The GridLens error for a driver error, by its SQLSTATE, else by what libpq said."""
    state = getattr(error.orig, "pgcode", None) or ""
    for table, kind, lead in (
        (_BUSY, DatabaseBusyError, "The database is busy"),
        (_AWAY, DatabaseUnavailableError, "The database does not answer"),
        (_REFUSED, DatabaseRefusedError, "The database refused the write; nothing was written"),
        (_NOT_READY, DatabaseNotReadyError, "The database is not ready"),
    ):
        reason = table.get(state) or table.get(state[:2])
        if reason:
            reason += _about(error)
            return kind(f"{lead}: {reason}.", reason=reason, sqlstate=state)
    said = str(error.orig)
    if (
        error.connection_invalidated
        or (state[:2] in ("", "08") and isinstance(error, exc.OperationalError | exc.InterfaceError))
        or said.startswith("invalid dsn")
    ):
        reason = next((ours for theirs, ours in _CONNECTION_REASONS if theirs in said), "the connection was lost")
        return DatabaseUnavailableError(f"The database does not answer: {reason}.", reason=reason)
    return DatabaseNotReadyError(
        f"The database could not carry out a statement (SQLSTATE {state or 'unknown'}).", sqlstate=state
    )
