"""The safe insert (docs/contracts.md, "Safe insert"): reads that are there stand, others join them, none is updated.
Many rows travel by COPY into a temporary table, few, or those of a role without TEMP, as typed arrays."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from io import StringIO

import numpy as np
import sqlalchemy as sa

from gridlens_core.database.reads import select_reads
from gridlens_core.database.schema import READ_ROLES, Relation, Schema, quote
from gridlens_core.meters.emulator import Reads
from gridlens_core.meters.noise import Flags
from gridlens_core.meters.profiles import Ints
from gridlens_core.publishing.bulk import copied, copy_text

COPIED_FROM = 1_000  # rows of a batch; a temporary table costs as much as an array of so many
TEMPORARY = "gridlens_reads"
# What travels: energies in millionths of a kWh and voltages in tenths of a volt, both exact as whole numbers.
TRAVELS = {"meter_id": "text", "feeder_id": "text", "interval": "integer", "mwh": "bigint", "dv": "integer"}
NO_VOLTS = -1
KWH, VOLTS = ("n.mwh", 1_000_000), (f"nullif(n.dv, {NO_VOLTS})", 10)


@dataclass(frozen=True)
class _Batch:
    """Some of the reads; vectors (n_rows,).

    meter, interval : positions in the reads' fleet and span; dv : NO_VOLTS where the meter has none
    """

    meter: Ints
    interval: Ints
    mwh: Ints
    dv: Ints

    def columns(self, reads: Reads) -> dict[str, list[str]]:
        """Its rows as text, by column of TRAVELS."""
        ids, feeders = reads.fleet.meter_ids, reads.fleet.feeder_ids
        meter = self.meter.tolist()
        return {
            "meter_id": [ids[number] for number in meter],
            "feeder_id": [feeders[number] for number in meter],
            "interval": list(map(str, (self.interval + 1).tolist())),
            "mwh": list(map(str, self.mwh.tolist())),
            "dv": list(map(str, self.dv.tolist())),
        }

    def lines(self, reads: Reads) -> Iterator[str]:
        """Its rows as COPY reads them."""
        ids, feeders = copied(reads.fleet.meter_ids), copied(reads.fleet.feeder_ids)
        columns = (one.tolist() for one in (self.meter, self.interval + 1, self.mwh, self.dv))
        return (
            f"{ids[number]}\t{feeders[number]}\t{interval}\t{mwh}\t{dv}"
            for number, interval, mwh, dv in zip(*columns, strict=True)
        )


def insert_reads(connection: sa.Connection, schema: Schema, reads: Reads, batch_rows: int) -> int:
    """Inserts the reads that were sent and are not there yet; returns how many the server says went in."""
    sent = reads.sent if schema.unique_key else reads.sent & ~_there(connection, schema, reads)
    values = {
        "tenant_id": reads.fleet.tenant_id,
        "times": reads.span.read_times,
        **{f"fill_{number}": value for number, value in enumerate(schema.fill.values())},
    }
    inserted = 0
    for batch in _batches(reads, sent, batch_rows):
        if schema.may_use_temporary and len(batch.meter) >= COPIED_FROM:
            _copy(connection, batch.lines(reads))
            inserted += connection.execute(_statement(schema, f"pg_temp.{TEMPORARY}"), values).rowcount
        else:
            arrays = {name: _array(column) for name, column in batch.columns(reads).items()}
            given = ", ".join(f"CAST(:{name} AS {kind}[])" for name, kind in TRAVELS.items())
            inserted += connection.execute(_statement(schema, f"unnest({given})"), {**values, **arrays}).rowcount
    return inserted


def _there(connection: sa.Connection, schema: Schema, reads: Reads) -> Flags:
    """(n_meters, n_intervals) which reads are there already, where no key keeps them from standing twice."""
    fleet = reads.fleet
    there = np.zeros(reads.sent.shape, np.bool_)
    some = fleet.meter_ids if schema.newest_by_hops else None
    for number, moment in enumerate(reads.span.read_times):
        found = select_reads(connection, schema, fleet.tenant_id, "{meter_id}", at=moment, meters=some)
        if known := set(found.scalars()):
            there[:, number] = [meter in known for meter in fleet.meter_ids]
    return there


def _batches(reads: Reads, sent: Flags, batch_rows: int) -> Iterator[_Batch]:
    meter, interval = np.nonzero(sent)
    mwh, dv = reads.recorded_mwh[meter, interval], reads.voltage_dv[meter, interval]
    if reads.fleet.habits is not None:
        dv = np.where(np.isnan(reads.fleet.habits.mean_v)[meter], NO_VOLTS, dv)
    for first in range(0, len(meter), batch_rows):
        rows = slice(first, first + batch_rows)
        yield _Batch(meter[rows], interval[rows], mwh[rows], dv[rows])


def _copy(connection: sa.Connection, lines: Iterator[str]) -> None:
    """Fills the temporary table with a batch alone."""
    kinds = ", ".join(f"{name} {kind}" for name, kind in TRAVELS.items())
    connection.exec_driver_sql(
        f"CREATE TEMPORARY TABLE IF NOT EXISTS {TEMPORARY} ({kinds}) ON COMMIT DROP; TRUNCATE pg_temp.{TEMPORARY}"
    )
    copy_text(connection, f"pg_temp.{TEMPORARY}", StringIO("\n".join(lines)))


def _array(values: list[str]) -> str:
    """An array literal."""
    escaped = (value.replace("\\", "\\\\").replace('"', '\\"') for value in values)
    return "{" + ",".join(f'"{value}"' for value in escaped) + "}"


def _statement(schema: Schema, source: str) -> sa.TextClause:
    """The insert from rows of TRAVELS, each value cast to its column's own type, whatever that is."""
    reads = schema.require_reads()
    roles = [role for role in READ_ROLES if reads.has(role) and not reads.bindings[role].column.always_generated]
    columns = [reads[role] for role in roles] + [quote(name) for name in schema.fill]
    values = [_value(reads, role) for role in roles] + [f":fill_{number}" for number in range(len(schema.fill))]
    return sa.text(
        f"INSERT INTO {reads.quoted} ({', '.join(columns)}) SELECT {', '.join(values)} "
        f"FROM {source} AS n({', '.join(TRAVELS)})" + (" ON CONFLICT DO NOTHING" if schema.unique_key else "")
    )


def _value(reads: Relation, role: str) -> str:
    if role == "read_at":
        expression = reads.from_moment(role, "(CAST(:times AS timestamptz[]))[n.interval]")
    elif role in ("kwh", "voltage"):
        number, unit = KWH if role == "kwh" else VOLTS
        if reads.type_of(role) == "double precision" and reads.from_measure(role, "") == "":
            return f"{number} / CAST({unit} AS double precision)"  # the same double as the decimal's
        # Numeric is rounded to a whole number, where text with decimals is refused.
        expression = reads.from_measure(role, f"({number} * CAST({1 / unit} AS numeric))")
    else:
        expression = ":tenant_id" if role == "tenant_id" else f"n.{role}"
    return f"CAST({expression} AS {reads.type_of(role)})"
