"""docs/contracts.md, "The events table": the migration makes the events table and its index, and nothing else."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import sqlalchemy as sa
from helpers import catalogue

from gridlens_core.database.connection import Database
from gridlens_core.database.queries import EVENTS_MIGRATION

CONTRACT = {
    ("relation", "r ami_events"),
    ("relation", "i ami_events_pkey"),
    ("relation", "i idx_ami_events_tenant_time"),
    ("column", "ami_events.id uuid not null default gen_random_uuid()"),
    ("column", "ami_events.tenant_id text not null"),
    ("column", "ami_events.feeder_id text"),
    ("column", "ami_events.meter_id text"),
    ("column", "ami_events.event_type text not null"),
    ("column", "ami_events.severity numeric"),
    ("column", "ami_events.starts_at timestamp with time zone not null"),
    ("column", "ami_events.ends_at timestamp with time zone not null"),
    ("column", "ami_events.created_at timestamp with time zone default now()"),
    ("index", "CREATE UNIQUE INDEX ami_events_pkey ON public.ami_events USING btree (id)"),
    (
        "index",
        "CREATE INDEX idx_ami_events_tenant_time ON public.ami_events USING btree (tenant_id, starts_at, ends_at)",
    ),
    ("constraint", "p PRIMARY KEY (id)"),
}


@pytest.fixture
def bare(existing_url: Callable[..., str], open_database: Callable[..., Database]) -> sa.Engine:
    return open_database(existing_url()).engine


def migrate(engine: sa.Engine) -> None:
    with engine.begin() as connection:
        connection.exec_driver_sql(EVENTS_MIGRATION.read_text(encoding="utf-8"))


def test_the_migration_makes_exactly_the_contract_s_table_and_index(bare: sa.Engine) -> None:
    before = catalogue(bare)
    migrate(bare)
    after = catalogue(bare)
    assert after - before == CONTRACT
    assert before - after == set()


def test_the_migration_may_be_repeated_and_keeps_the_rows(bare: sa.Engine) -> None:
    migrate(bare)
    with bare.begin() as connection:
        connection.exec_driver_sql(
            "INSERT INTO ami_events (tenant_id, event_type, starts_at, ends_at) VALUES ('T', 'theft', now(), now())"
        )
    before = catalogue(bare)
    migrate(bare)
    assert catalogue(bare) == before
    with bare.connect() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM ami_events").scalar_one() == 1


def test_the_migration_is_two_plain_statements() -> None:
    text = EVENTS_MIGRATION.read_text(encoding="utf-8")
    assert [part.split("(")[0].split()[:6] for part in text.split(";") if part.strip()] == [
        ["CREATE", "TABLE", "IF", "NOT", "EXISTS", "public.ami_events"],
        ["CREATE", "INDEX", "IF", "NOT", "EXISTS", "idx_ami_events_tenant_time"],
    ]
