"""Tables distributed over servers (Citus): no statement on reads or events is one that such servers refuse."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from existing_shapes import SHAPES
from helpers import event_request

from gridlens_core.database.queries import SQL_DIR, blocks
from gridlens_core.preflight.checks import preflight

BY_NAME = {shape.name: shape for shape in SHAPES}
DISTRIBUTED = re.compile(r"\b(meter_reads_electric|ami_events)\b")
RELATION = re.compile(r"\b(?:FROM|JOIN|INTO|UPDATE|USING)\s+(?:ONLY\s+)?(public\.\"?\w+\"?|\"?ami_events\"?)", re.I)
REFUSED = re.compile(
    r"\b(RECURSIVE|GROUPING\s+SETS|CUBE|ROLLUP|LATERAL|JOIN|EXISTS\s*\(\s*SELECT|IN\s*\(\s*SELECT)\b", re.I
)
# Blocks of files shared with the local database that are asked of it alone.
LOCAL_ALONE = {"feeder_intervals", "meter_expected"}


def refused(statement: str) -> list[str]:
    """Why a statement might be refused where reads and events are distributed, each in its own way."""
    tables = [found.replace('"', "") for found in RELATION.findall(statement)]
    distributed = [table for table in tables if DISTRIBUTED.search(table)]
    if not distributed:
        return []
    reasons = [found.upper() for found in REFUSED.findall(statement)]
    if len(tables) > 1:
        reasons.append(f"several tables: {', '.join(tables)}")
    if "pg_advisory" in statement or "pg_try_advisory" in statement:
        reasons.append("an advisory lock where the rows are")
    return reasons


@pytest.fixture
def executed() -> Iterator[list[str]]:
    """Every statement that any engine sends."""
    seen: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        seen.append(statement)

    sa.event.listen(sa.Engine, "before_cursor_execute", note)
    yield seen
    sa.event.remove(sa.Engine, "before_cursor_execute", note)


@pytest.mark.parametrize("name", ["variant_a", "least_grants"])
def test_no_statement_of_a_whole_demo_is_one_that_distributed_tables_refuse(
    on: Any, executed: list[str], name: str
) -> None:
    shape = BY_NAME[name]
    demo, _ = on(shape, start=False)
    executed.clear()
    demo.session.start()
    feeder = demo.desk.fleet(shape.tenant).feeders[0]
    demo.publish(shape.tenant)
    event = demo.trigger(shape.tenant, event_request(feeder_id=feeder, duration_minutes=60))
    demo.publish(shape.tenant, cycles=2)
    demo.rehearse(shape.tenant, event_request(feeder_id=feeder, duration_minutes=30), cycles=1)
    moment = demo.desk.explained(shape.tenant)
    assert moment.receipts
    demo.desk.evidence(moment, moment.fleet.meter_ids[0])
    demo.desk.published(moment)
    demo.desk.at(shape.tenant, moment.grid_now - timedelta(minutes=15))
    demo.end(event.id)
    assert len(list(preflight(demo, shape.tenant))) > 10
    about = [statement for statement in executed if DISTRIBUTED.search(statement)]
    assert len(set(about)) > 15
    assert {statement: refused(statement) for statement in about if refused(statement)} == {}


def test_no_file_has_one_either() -> None:
    found = {
        (path.name, name): refused(text)
        for path in SQL_DIR.glob("*.sql")
        if path.name not in ("put_right.sql", "phase3_ami_events.sql", "grants.sql")
        for name, text in blocks(path.name).items()
        if name not in LOCAL_ALONE
    }
    assert len(found) > 20
    assert {where: reasons for where, reasons in found.items() if reasons} == {}


READS = 'public."meter_reads_electric"'


@pytest.mark.parametrize(
    "statement",
    [
        f"WITH RECURSIVE hop AS (SELECT 1 FROM {READS}) SELECT * FROM hop",
        f"SELECT 1 FROM {READS} r JOIN public.ami_events e ON e.meter_id = r.meter_id",
        f"SELECT 1 FROM {READS} r WHERE NOT EXISTS (SELECT 1 FROM public.ami_events e WHERE e.meter_id = r.meter_id)",
        f"SELECT 1 FROM {READS} r, (SELECT 1 FROM {READS}) b",
        f"SELECT count(*) FROM {READS} GROUP BY GROUPING SETS ((meter_id), ())",
        f"SELECT count(*) FROM {READS} GROUP BY ROLLUP (meter_id)",
        "SELECT pg_advisory_xact_lock(1) FROM public.ami_events",
    ],
)
def test_the_rules_find_what_is_refused(statement: str) -> None:
    assert refused(statement)
