"""A plan into the local database: one transaction, checked at its end. The supply is modelled, and called that."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime, timedelta

import numpy as np
import sqlalchemy as sa

from gridlens_core.clock import local_day
from gridlens_core.database.queries import query
from gridlens_core.errors import BadInputError, DatabaseRefusedError
from gridlens_core.loading.gathered import ESTIMATED, Floats, Ints
from gridlens_core.loading.plan import Plan, Report
from gridlens_core.meters.emulator import Reads, Span, honest_intervals, supply_wh
from gridlens_core.publishing import baseline
from gridlens_core.publishing.bulk import copy_rows
from gridlens_core.publishing.first_history import FirstHistory
from gridlens_core.publishing.loaded import LOADED, Loaded, forget, loaded_tenants, remember
from gridlens_core.publishing.publisher import local_days, lock_tenant

MWH = 1_000_000  # of a kWh


def store(connection: sa.Connection, plan: Plan, report: Report) -> Loaded:
    """Writes what was planned; a tenant that was loaded before is replaced. The caller commits, or nothing stays.

    Raises DatabaseNotReadyError where the last day cannot be played back, BadInputError where the tenant is another's.
    """
    plan.playback.require()
    tenant = plan.tenant_id
    lock_tenant(connection, tenant)
    if tenant not in loaded_tenants(connection) and baseline.registered_meters(connection, tenant):
        raise BadInputError.of("tenant", tenant, "a name that no emulated tenant has")
    connection.exec_driver_sql("SET LOCAL session_replication_role = replica")
    forget(connection, tenant)
    baseline.register_meters(connection, plan.fleet)
    history, done = FirstHistory(plan.fleet), 0
    lattice = Lattice(plan)
    for span in lattice.days():
        report(f"Reads of {local_day(span.end, plan.fleet.timezone):%d %B %Y}", done / max(len(plan.reads), 1))
        reads = lattice.reads(span)
        history.write(connection, reads)
        done += int(reads.sent.sum())
    estimated = plan.reads.mark == ESTIMATED
    copy_rows(
        connection, "estimated_reads", ("tenant_id", "meter_id", "read_at"),
        ((tenant, plan.fleet.meter_ids[meter], datetime.fromtimestamp(end, UTC).isoformat()) for meter, end
         in zip(plan.reads.meter[estimated].tolist(), plan.reads.end[estimated].tolist(), strict=True)),
    )  # fmt: skip
    loaded = _loaded(plan)
    remember(connection, loaded)
    connection.exec_driver_sql("SET LOCAL session_replication_role TO DEFAULT")
    _check(connection, plan)
    return loaded


def _loaded(plan: Plan) -> Loaded:
    return Loaded(
        plan.tenant_id, ", ".join(plan.files), plan.end, bool(plan.shifted), plan.reads.minutes, len(plan.reads),
        plan.missing, plan.estimated, not plan.has_volts,
        tuple({name: str(value) for name, value in asdict(item).items()} for item in plan.items),
    )  # fmt: skip


def _check(connection: sa.Connection, plan: Plan) -> None:
    """Raises DatabaseRefusedError unless what stands is what was planned, read for read."""
    stands = connection.execute(query(LOADED, "stands"), {"tenant_id": plan.tenant_id}).one()
    planned = int(np.rint(plan.reads.kwh * MWH).astype(np.int64).sum())
    if (stands.reads, int(stands.kwh * MWH)) != (len(plan.reads), planned):
        raise DatabaseRefusedError(
            f"{stands.reads:,} reads of {stands.kwh:,.3f} kWh stand where {len(plan.reads):,} of {planned / MWH:,.3f} "
            "were to be loaded; nothing was kept."
        )


class Lattice:
    """The reads of a plan, day by day, with what is modelled beside them."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        order = np.argsort(plan.reads.end, kind="stable")
        self._meter, self._end = plan.reads.meter[order], plan.reads.end[order]
        self._kwh, self._volts = plan.reads.kwh[order], plan.reads.volts[order]
        n = len(plan.fleet)
        self._first, self._last = np.full(n, np.iinfo(np.int64).max), np.zeros(n, np.int64)
        np.minimum.at(self._first, self._meter, self._end)
        np.maximum.at(self._last, self._meter, self._end)
        self._usual = _usual_wh(plan)

    def days(self) -> Iterator[Span]:
        """The intervals from the first read to the last, cut at local midnights."""
        minutes = self._plan.reads.minutes
        start = datetime.fromtimestamp(int(self._end[0]), UTC) - timedelta(minutes=minutes)
        return local_days(start, self._plan.end, minutes, self._plan.fleet.timezone)

    def reads(self, span: Span) -> Reads:
        """The reads of a span. What is missing of them is estimated for the supply, and for nothing else."""
        fleet, step = self._plan.fleet, 60 * span.minutes
        start = int(span.start.timestamp())
        rows = slice(*np.searchsorted(self._end, [start, int(span.end.timestamp())], side="right"))
        meter, at = self._meter[rows], (self._end[rows] - start) // step - 1
        shape = len(fleet), span.count
        sent = np.zeros(shape, np.bool_)
        sent[meter, at] = True
        mwh = np.zeros(shape, np.int64)
        mwh[meter, at] = np.rint(self._kwh[rows] * MWH).astype(np.int64)
        ends = start + step * np.arange(1, span.count + 1)
        due = (self._first[:, None] <= ends) & (ends <= self._last[:, None])
        estimate = self._usual[:, (ends - step) % 86400 // step]
        honest_wh = np.where(sent, np.rint(mwh / 1000).astype(np.int64), np.where(due, estimate, 0))
        voltage_dv = honest_intervals(fleet, span)[1].copy()
        volts = self._volts[rows]
        known = ~np.isnan(volts)
        voltage_dv[meter[known], at[known]] = np.rint(10 * volts[known]).astype(np.int64)
        return Reads(fleet, span, honest_wh, mwh, voltage_dv, sent, supply_wh(fleet, honest_wh, span), due)


def _usual_wh(plan: Plan) -> Ints:
    """(n_meters, intervals of a day) what each meter uses at a time of the day [Wh]; UTC, as it needs no zone here."""
    step, n = 60 * plan.reads.minutes, len(plan.fleet)
    slots = 86400 // step
    cell = plan.reads.meter * slots + (plan.reads.end - step) % 86400 // step
    total = np.bincount(cell, plan.reads.kwh, n * slots).reshape(n, slots)
    count = np.bincount(cell, minlength=n * slots).reshape(n, slots)
    mean = total.sum(axis=1, keepdims=True) / np.maximum(count.sum(axis=1, keepdims=True), 1)
    usual: Floats = 1000 * np.where(count > 0, total / np.maximum(count, 1), mean)
    return np.asarray(np.rint(usual), np.int64)
