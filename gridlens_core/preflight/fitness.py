"""Whether the reads table can be published into and the KPI views be read: which column plays which role, how sure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import sqlalchemy as sa

from gridlens_core.database.bindings import BINDINGS_FILE, NEEDED, ROLES, Binding, Unit
from gridlens_core.database.queries import query
from gridlens_core.database.schema import (
    FEEDER_LOSS,
    FIELDOPS,
    KPI_VIEWS,
    OVERVIEW,
    READ_ROLES,
    READS_TABLE,
    SUSPICIOUS,
    Schema,
)
from gridlens_core.errors import GridLensError
from gridlens_core.explanation.catalogue import ALL
from gridlens_core.preflight.findings import Finding, Inspected, State

TITLES = {
    OVERVIEW: "Overview",
    FEEDER_LOSS: "Feeder loss",
    SUSPICIOUS: "Suspicious meters",
    FIELDOPS: "Field operations",
}
# What of the dashboard a column feeds, and is off without it; the catalogue says it for each KPI.
FEEDS = {(kpi.view, kpi.role): kpi.shows for kpi in ALL.values()} | {
    (FEEDER_LOSS, "loss_kwh"): "a column of the table Feeders today",
    (FEEDER_LOSS, "supplied_kwh"): "a column of the table Feeders today",
    (FEEDER_LOSS, "metered_kwh"): "a column of the table Feeders today",
    (FEEDER_LOSS, "read_success_pct"): "a column of the table Feeders today",
    (SUSPICIOUS, "issue"): "the reason beside each meter",
}
WHOLE_VIEW = {
    OVERVIEW: "the cards Loss today, Read success and Voltage in range and most of the page Losses",
    FEEDER_LOSS: "loss by feeder, in the control room and on the page Losses",
    SUSPICIOUS: "the card and the page Suspicious meters",
    FIELDOPS: "the card Open field tasks and the page Field operations",
}


def reads_table(inspected: Inspected) -> Iterator[Finding]:
    schema = inspected.schema
    try:
        reads = schema.require_reads()
    except GridLensError as error:
        yield Finding(
            "Reads table", "blocked", error.message,
            f"Name the columns in {BINDINGS_FILE}, section [{READS_TABLE}]; or check database and schema.",
        )  # fmt: skip
        return
    yield Finding("Reads table", "passed", f"public.{READS_TABLE}, {len(reads.columns)} columns")
    for role in READ_ROLES:
        if role not in reads.bindings:
            yield Finding(
                f"Reads: {role}", "degraded", "no such column: a voltage sag has nothing to show, and is off",
                f'If there is one: {role} = "NAME" in {BINDINGS_FILE}, section [{READS_TABLE}].',
            )  # fmt: skip
            continue
        yield bound(f"Reads: {role}", READS_TABLE, reads.bindings[role], note=_fitness(reads.bindings[role]))
    unfilled = [column.name for column in schema.unfilled()]
    if unfilled:
        yield Finding(
            "Reads: required", "degraded", f"nobody fills {', '.join(unfilled)}, unless a trigger does",
            f'Give fixed values in {BINDINGS_FILE}: [fill] {unfilled[0]} = "...".',
        )  # fmt: skip
    elif schema.fill:
        given = ", ".join(f"{name} = {value!r}" for name, value in schema.fill.items())
        yield Finding("Reads: required", "passed", f"{given} ({BINDINGS_FILE})")
    else:
        yield Finding("Reads: required", "passed", "every column that needs a value gets one")
    with inspected.reading() as connection:
        yield _repeats(schema, connection)
        yield _index(schema, connection)
        rules = [row.rule for row in connection.execute(query("preflight.sql", "rules_of_reads"))]
    if rules:
        yield Finding("Reads: rules", "passed", f"each insert also meets {', '.join(rules)}")


def _fitness(binding: Binding) -> str:
    if binding.column.always_generated:
        return "made by the database, so GridLens leaves it out"
    if binding.role == "kwh" and binding.column.type_name in ("smallint", "integer", "bigint") and binding.unit != "Wh":
        return f"whole numbers: energy is rounded to a whole {binding.unit}, most of a quarter hour's to nothing"
    if binding.role == "read_at":
        which = f"the start of {binding.starts_minutes} min" if binding.starts_minutes else "the end"
        zone = f"{binding.form}; " if binding.form else ""
        return f"{zone}labels {which} of its interval"
    return ""


def bound(what: str, relation: str, binding: Binding, *, note: str = "") -> Finding:
    """Which column is read, in which unit, how sure that is."""
    said = "V per unit of nominal" if binding.unit == "pu" else binding.unit
    unit = f" in {said}" if binding.unit not in ("", "count") and binding.certainty != "open" else ""
    found = f"{binding.column.name} ({binding.column.type_name}){unit}: {_sure(binding)}" + (
        f"; {note}" if note else ""
    )
    if binding.certainty not in ("guess", "open") and not note.startswith("whole"):
        return Finding(what, "passed", found)
    return Finding(
        what, "degraded", found, f"If that is wrong, set it in {BINDINGS_FILE}: {_correction(relation, binding)}"
    )


def _sure(binding: Binding) -> str:
    return {"sure": "sure", "guess": "a guess", "set": "set", "open": "unit unknown, not shown as a number"}[
        binding.certainty
    ] + f" ({binding.why})"


def _correction(relation: str, binding: Binding) -> str:
    name = binding.column.name
    unit: Unit = binding.unit
    said = f'{{ column = "{name}", unit = "{unit}" }}' if unit not in ("", "count") else f'"{name}"'
    if binding.role == "read_at":
        said = f'{{ column = "{name}", form = "{binding.form or "UTC"}" }}'
    return f"[{relation}] {binding.role} = {said}"


def _repeats(schema: Schema, connection: sa.Connection) -> Finding:
    if schema.unique_key:
        return Finding("Reads: repeats", "passed", "a unique key keeps a read from standing twice")
    half = [
        f"{row.name} is {'deferrable' if row.deferrable else 'partial'}"
        for row in connection.execute(query("preflight.sql", "half_keys"))
    ]
    why = f" ({'; '.join(half)}: no help against a repeated read)" if half else ""
    return Finding(
        "Reads: repeats", "degraded", f"no unique key{why}; GridLens keeps repeats out by an anti-join under a lock",
        "Other writers can repeat a read. The owner may add UNIQUE (tenant, meter, time).",
    )  # fmt: skip


def _index(schema: Schema, connection: sa.Connection) -> Finding:
    reads = schema.require_reads()
    time, tenant = reads.name_of("read_at"), reads.name_of("tenant_id")
    rows = connection.execute(query("catalogue.sql", "indexes"), {"name": READS_TABLE}).scalars()
    leads = [tuple(columns[:2]) for columns in rows]
    if schema.newest_by_hops:
        return Finding("Reads: index", "passed", "by tenant, meter and time: the newest read is found meter by meter")
    if any(lead[:1] == (time,) or lead == (tenant, time) for lead in leads):
        return Finding("Reads: index", "passed", "by time: the newest read is found at once")
    return Finding(
        "Reads: index", "degraded", "none leads to a tenant's newest read: every look reads the whole table",
        f"The owner may add an index on ({tenant}, {time}).",
    )  # fmt: skip


def tenant_type(inspected: Inspected) -> Finding:
    reads = inspected.schema.require_reads()
    statement = sa.text(f"SELECT CAST(:tenant_id AS {reads.type_of('tenant_id')})")
    try:
        with inspected.reading() as connection:
            connection.execute(statement, {"tenant_id": inspected.tenant_id})
    except GridLensError:
        return Finding(
            "Tenant", "blocked", f"{inspected.tenant_id!r} is no {reads.type_of('tenant_id')}, as tenants are here",
            "Name tenants in GRIDLENS_TENANTS as the database writes them.",
        )  # fmt: skip
    return Finding("Tenant", "passed", f"{inspected.tenant_id}, named in GRIDLENS_TENANTS")


def kpi_views(inspected: Inspected) -> Iterator[Finding]:
    schema = inspected.schema
    for name in KPI_VIEWS:
        title = TITLES[name]
        if name not in schema.views:
            yield Finding(
                title, "degraded", schema.why_not(name),
                f"Off without it: {WHOLE_VIEW[name]}." + _how(name, schema.unusable.get(name, ())),
            )  # fmt: skip
            continue
        view = schema.views[name]
        without = []
        for role in dict.fromkeys((*NEEDED[name], *(role for role in ROLES[name] if (name, role) in FEEDS))):
            if (name, role) not in FEEDS and view.bindings[role].certainty != "guess":
                continue  # tenant and day under GridLens's own names need no line
            if view.has(role):
                yield bound(f"{title}: {role}", name, view.bindings[role])
            else:
                without.append(role)
        if without:
            state: State = "degraded" if any("card" in FEEDS[name, role] for role in without) else "passed"
            off = dict.fromkeys(FEEDS[name, role] for role in without)
            yield Finding(
                f"{title}: without", state, f"no column for {', '.join(without)}; off: {'; '.join(off)}",
                _how(name, without).strip(),
            )  # fmt: skip


def _how(name: str, roles: Sequence[str]) -> str:
    return f' If a column plays it: {roles[0]} = "NAME" in {BINDINGS_FILE}, section [{name}].' if roles else ""
