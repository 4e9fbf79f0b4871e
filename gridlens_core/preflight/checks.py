"""Whether a database can carry the demo: one finding for each thing the demo needs, with the remedy.
Reads, and tries in a transaction that is rolled back; changes nothing, and never raises for a database."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from time import monotonic
from typing import Any

import sqlalchemy as sa

from gridlens_core.database.connection import LOCAL_HOSTS, Database, connect, hosts_of, is_pooled, is_socket
from gridlens_core.database.event_log import latest_events
from gridlens_core.database.queries import query
from gridlens_core.database.schema import EVENT_COLUMNS, READS_TABLE
from gridlens_core.demo.demo import Demo
from gridlens_core.errors import DatabaseUnavailableError, GridLensError, SettingsError
from gridlens_core.meters.events import EVENT_KINDS
from gridlens_core.preflight.findings import Finding, Inspected
from gridlens_core.preflight.fitness import kpi_views, reads_table, tenant_type
from gridlens_core.preflight.trial import history

OLDEST_SERVER = 13  # gen_random_uuid() is built in from then on
# By what the connection failed with.
CONNECTION_REMEDIES = (
    ("Entra ID token", "Check the managed identity, or log in with the Azure CLI (az login)."),
    ("host name", "Correct the host in DATABASE_URL."),
    ("password", "Correct user and password in DATABASE_URL, with %-codes for signs such as @ : / # in the password."),
    ("does not admit", "Let this address in (firewall rule, or private network) for this user."),
    ("does not offer TLS", "Turn TLS on at the server, or set sslmode=disable in DATABASE_URL for a trusted network."),
    ("another host name", "Use the name that stands in the server's certificate, or sslmode=verify-ca."),
    ("the port in", "Correct the port in DATABASE_URL."),
    ("channel", "Leave channel_binding out of DATABASE_URL, or set it to prefer."),
    ("certificate", "Set sslrootcert in DATABASE_URL to 'system' or to the file of the authority's certificate."),
    ("no free connection", "Close other clients, raise max_connections, or use the pooler's port."),
    ("in time", "Check host, port and firewall: packets are dropped on the way."),
    ("nothing listens", "Correct host and port in DATABASE_URL, or start the server."),
    ("database or user", "Correct the database's name and the user in DATABASE_URL."),
    ("sslmode", "sslmode is one of disable, prefer, require, verify-ca, verify-full."),
)


def preflight(demo: Demo, tenant_id: str, *, trial: bool = True) -> list[Finding]:
    """Every finding, in the order in which a demo would stumble; works where the demo could not start.

    trial : also publish one interval and roll it back; a sequence behind an identity column moves on all the same
    """
    settings = demo.settings
    opened: Database | None = None
    try:
        if settings.database_url is None:
            demo.session.start()
        if tenant_id not in demo.session.tenants.names:
            return [_tenant_not_named(tenant_id, demo.session.tenants.names)]
        if settings.database_url is None or demo.session.ready:
            database = demo.session.database
        else:
            database = opened = connect(settings.database_url.get_secret_value(), is_local=False)
        return _all(demo, database, tenant_id, trial)
    except GridLensError as error:
        return [unreachable(error)]
    finally:
        if opened is not None:
            opened.engine.dispose()


def unreachable(error: GridLensError) -> Finding:
    """The finding of a database that could not be asked."""
    what = "Settings" if isinstance(error, SettingsError) else "Connection"
    remedy = next((remedy for sign, remedy in CONNECTION_REMEDIES if sign in error.message), "")
    if not remedy and isinstance(error, DatabaseUnavailableError):
        remedy = "Check DATABASE_URL, and that the server runs."
    return Finding(what, "blocked", error.message, remedy)


def _tenant_not_named(tenant_id: str, tenants: Sequence[str]) -> Finding:
    return Finding(
        "Tenant",
        "blocked",
        f"{tenant_id!r} is not named in GRIDLENS_TENANTS ({', '.join(tenants)})",
        "Name the tenant in GRIDLENS_TENANTS.",
    )


def _all(demo: Demo, database: Database, tenant_id: str, trial: bool) -> list[Finding]:
    began = monotonic()
    database.ping()
    milliseconds = 1000 * (monotonic() - began)
    findings = [_connection(database, milliseconds)]
    schema = demo.session.look_again(database)
    inspected = Inspected(demo, database, schema, tenant_id)
    sections: list[tuple[str, Callable[[], Iterable[Finding]]]] = [
        ("Server", lambda: _server(inspected)),
        ("Grants", lambda: _grants(inspected)),
        ("Writing", lambda: [_writing(inspected)]),
        ("ami_events", lambda: [_events(inspected)]),
        ("Reads table", lambda: reads_table(inspected)),
        ("Tenant", lambda: [tenant_type(inspected)]),
    ]
    for what, ask in sections:
        findings += _asked(what, ask)
    if schema.reads is not None and not any(
        one.state == "blocked" and one.what in ("Reads table", "Tenant") for one in findings
    ):
        findings += _asked("History", lambda: history(inspected, trial and _may_try(findings)))
    findings += _asked("KPI views", lambda: kpi_views(inspected))
    return findings


def _asked(what: str, ask: Callable[[], Iterable[Finding]]) -> list[Finding]:
    """The findings of one section; what the database refuses to tell is one too."""
    try:
        return list(ask())
    except GridLensError as error:
        return [Finding(what, "blocked", error.details.get("finding", error.message), error.details.get("remedy", ""))]


def _may_try(findings: Sequence[Finding]) -> bool:
    """Whether nothing found so far forbids an insert."""
    return not any(one.state == "blocked" and one.what in ("Grants: reads", "Server") for one in findings)


def summary(findings: Sequence[Finding]) -> dict[str, Any]:
    """How many of each state, and whether the demo can run."""
    count = {state: sum(one.state == state for one in findings) for state in ("passed", "degraded", "blocked")}
    return {"ok": not count["blocked"], **count}


def _connection(database: Database, milliseconds: float) -> Finding:
    if database.is_local:
        return Finding("Connection", "passed", f"embedded PostgreSQL, {milliseconds:.0f} ms")
    user = database.engine.url.username or "the system's user"
    return Finding("Connection", "passed", f"{database.address} as {user}, answers in {milliseconds:.0f} ms")


def _server(inspected: Inspected) -> Iterator[Finding]:
    with inspected.reading() as connection:
        yield _tls(inspected.database, connection)
        server = connection.execute(query("preflight.sql", "server")).mappings().one()
        if server["replica"] or server["read_only"]:
            found = "a read-only replica" if server["replica"] else "the role's transactions are read-only by default"
            yield Finding("Server", "blocked", found, "Use the primary's address, and a role that may write.")
        elif server["major"] < OLDEST_SERVER:
            yield Finding(
                "Server", "degraded", f"PostgreSQL {server['version']}", f"{OLDEST_SERVER} or newer is tested."
            )
        else:
            yield Finding("Server", "passed", f"PostgreSQL {server['version']}, {server['connections']} connections")
        if server["encoding"] == "SQL_ASCII":
            yield Finding(
                "Encoding", "degraded",
                "SQL_ASCII: the database does not say what its bytes mean; they are shown as Latin-1, and written back "
                "as they were",
                "Names may look odd. The owner may move the database to UTF8.",
            )  # fmt: skip
        if server["superuser"] and not inspected.database.is_local:
            yield Finding(
                "Role", "degraded", f"{server['role']} is a superuser, which is more than GridLens needs",
                "Use a role of its own: sql/grants.sql.",
            )  # fmt: skip
        else:
            yield Finding("Role", "passed", str(server["role"]))
        yield _pooler(connection)


def _tls(database: Database, connection: sa.Connection) -> Finding:
    url = database.engine.url
    info = getattr(connection.connection.dbapi_connection, "info", None)
    if getattr(info, "ssl_in_use", False):
        version = info.ssl_attribute("protocol") if info is not None else ""
        if str(url.query.get("sslmode", "")) == "verify-full":
            return Finding("TLS", "passed", f"{version}, the server's certificate is checked")
        return Finding(
            "TLS", "degraded", f"{version}, but nobody checks whose certificate the server shows",
            "Add ?sslmode=verify-full&sslrootcert=system to DATABASE_URL.",
        )  # fmt: skip
    if database.is_local or is_socket(url):
        return Finding("TLS", "passed", "not needed: a socket of this machine")
    if all(host in LOCAL_HOSTS for host in hosts_of(url)):
        return Finding("TLS", "passed", "not in use; the connection does not leave this machine")
    return Finding("TLS", "degraded", "not in use", "Add ?sslmode=verify-full&sslrootcert=system to DATABASE_URL.")


def _pooler(connection: sa.Connection) -> Finding:
    if not is_pooled(connection):
        return Finding("Auto publisher", "passed", "no pooler between: the database's session holds its lock")
    return Finding(
        "Auto publisher",
        "degraded",
        "a pooler stands between; the lock of the timer is held by a transaction that stays open",
        "Use the server's own port (5432) for the process that publishes on a timer.",
    )


def _grants(inspected: Inspected) -> Iterator[Finding]:
    with inspected.reading() as connection:
        rows = connection.execute(
            query("preflight.sql", "privileges"), {"names": [READS_TABLE, "ami_events"]}
        ).mappings()
        may = {row["relation"]: row for row in rows}
    reads, events = may.get(READS_TABLE), may.get("ami_events")
    for what, row, needed in (
        ("reads", reads, (("reads", "SELECT"), ("inserts", "INSERT"))),
        ("events", events, (("reads", "SELECT"), ("inserts", "INSERT"), ("updates", "UPDATE"))),
    ):
        if row is None:
            continue  # said where the table is looked for
        lacking = [word for key, word in needed if not row[key]]
        has = f"{' and '.join(word for _, word in needed)} on public.{row['relation']}"
        if lacking:
            yield Finding(
                f"Grants: {what}", "blocked", f"no {' and no '.join(lacking)} on public.{row['relation']}",
                "Have a DBA apply sql/grants.sql.",
            )  # fmt: skip
        else:
            rules = ", with row security" if row["by_row"] else ""
            yield Finding(f"Grants: {what}", "passed", has + rules)


def _writing(inspected: Inspected) -> Finding:
    if inspected.demo.session.api_key is None:
        return Finding(
            "Writing", "degraded", "off for dashboard and API: GRIDLENS_API_KEY is not set",
            "Set GRIDLENS_API_KEY to a long secret and start again.",
        )  # fmt: skip
    return Finding("Writing", "passed", "on for whoever has the key")


def _events(inspected: Inspected) -> Finding:
    with inspected.reading() as connection:
        there = {row.name: row.type_name for row in connection.execute(query("preflight.sql", "event_columns"))}
        creates = connection.execute(query("preflight.sql", "server")).mappings().one()["creates"]
    if not there:
        by_dba = 'a DBA: psql "$DATABASE_URL" -f sql/phase3_ami_events.sql, then sql/grants.sql'
        remedy = f"Run: python -m gridlens_core migrate (or {by_dba})." if creates else f"Ask {by_dba}."
        return Finding("ami_events", "blocked", "public.ami_events is missing", remedy)
    if inspected.schema.events_problem:
        return Finding(
            "ami_events", "blocked", f"another table: {inspected.schema.events_problem}",
            "Its columns are those of sql/phase3_ami_events.sql; migrate leaves a table that is there as it is.",
        )  # fmt: skip
    other = [f"{name} is {there[name]}, not {usual}" for name, usual in EVENT_COLUMNS.items() if there[name] != usual]
    if other:
        return Finding(
            "ami_events", "degraded", "; ".join(other), "The types of the contract: sql/phase3_ami_events.sql."
        )
    odd = _odd_events(inspected)
    if odd:
        return Finding("ami_events", "degraded", odd, "Whoever wrote them may end or correct them.")
    return Finding("ami_events", "passed", f"all {len(EVENT_COLUMNS)} columns of the contract")


def _odd_events(inspected: Inspected) -> str:
    """What rows of other services say that is not emulated."""
    with inspected.reading() as connection:
        log = latest_events(connection, inspected.tenant_id)
    unknown = sorted({one.event_type for one in log if one.event_type not in EVENT_KINDS})
    sizes = [str(one.severity) for one in log if one.event_type in EVENT_KINDS and not one.severity_is_fraction]
    said = []
    if unknown:
        said.append(f"types that are not emulated: {', '.join(map(repr, unknown))}")
    if sizes:
        said.append(f"severities that are no fraction, so nothing is done: {', '.join(sizes)}")
    return "; ".join(said)
