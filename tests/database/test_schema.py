from __future__ import annotations

from collections.abc import Callable

import pytest
import sqlalchemy as sa

from gridlens_core.database.connection import Database
from gridlens_core.database.discovery import discover
from gridlens_core.database.schema import FEEDER_LOSS, KPI_VIEWS, OVERVIEW, READ_ROLES, Schema, quote
from gridlens_core.errors import DatabaseNotReadyError

COLUMNS = "tenant_id text, meter_id text, feeder_id text, read_at timestamptz, kwh numeric, voltage numeric"
TABLE = f"CREATE TABLE meter_reads_electric ({COLUMNS});"


@pytest.fixture
def found(existing_url: Callable[..., str], open_database: Callable[..., Database]) -> Callable[[str], Schema]:
    """What is discovered in a database of the given shape."""

    def discovered(sql: str) -> Schema:
        with open_database(existing_url(sql)).transaction(read_only=True) as connection:
            return discover(connection)

    return discovered


def test_an_empty_database_has_nothing_and_says_what_is_missing(found: Callable[[str], Schema]) -> None:
    schema = found("")
    assert (schema.reads, schema.unique_key, dict(schema.views)) == (None, False, {})
    assert not schema.has_events
    assert not schema.has_supply
    with pytest.raises(DatabaseNotReadyError, match=r"public\.meter_reads_electric is missing"):
        schema.require_reads()
    with pytest.raises(DatabaseNotReadyError, match="gridlens_core migrate"):
        schema.require_events()
    with pytest.raises(DatabaseNotReadyError, match=f"public.{OVERVIEW} is missing"):
        schema.require_view(OVERVIEW)


def test_the_local_database_has_everything(local: Database) -> None:
    with local.transaction(read_only=True) as connection:
        schema = discover(connection)
    assert schema.unique_key
    assert schema.has_events
    assert schema.has_supply
    assert set(schema.views) == set(KPI_VIEWS)
    assert set(READ_ROLES) <= set(schema.require_reads().columns)


def test_columns_are_found_by_name_with_their_types_and_defaults(found: Callable[[str], Schema]) -> None:
    schema = found(
        """CREATE TABLE meter_reads_electric (
             id bigint GENERATED ALWAYS AS IDENTITY, voltage real, kwh double precision NOT NULL,
             gone text, read_at timestamp(3) with time zone, feeder_id varchar(12), meter_id char(10),
             tenant_id varchar, source text DEFAULT 'ami', kw real GENERATED ALWAYS AS (kwh * 4) STORED);
           ALTER TABLE meter_reads_electric DROP COLUMN gone;"""
    )
    reads = schema.require_reads()
    assert list(reads.columns) == [
        "id",
        "voltage",
        "kwh",
        "read_at",
        "feeder_id",
        "meter_id",
        "tenant_id",
        "source",
        "kw",
    ]
    assert {role: reads.type_of(role) for role in READ_ROLES} == {
        "tenant_id": "character varying",
        "meter_id": "bpchar",
        "feeder_id": "character varying",
        "read_at": "timestamp with time zone",
        "kwh": "double precision",
        "voltage": "real",
    }
    assert {column.name for column in reads.columns.values() if column.filled_by_database} == {"id", "source", "kw"}
    assert {column.name for column in reads.columns.values() if column.not_null} == {"id", "kwh"}


def test_a_table_without_voltages_will_do(found: Callable[[str], Schema]) -> None:
    schema = found(f"{TABLE} ALTER TABLE meter_reads_electric DROP COLUMN voltage;")
    assert not schema.require_reads().has("voltage")


@pytest.mark.parametrize("role", [role for role in READ_ROLES if role != "voltage"])
def test_a_missing_column_is_named(found: Callable[[str], Schema], role: str) -> None:
    schema = found(f"{TABLE} ALTER TABLE meter_reads_electric DROP COLUMN {role};")
    assert not schema.unique_key
    with pytest.raises(DatabaseNotReadyError, match=f"no column for: {role}") as raised:
        schema.require_reads()
    assert raised.value.details["missing"] == [role]


@pytest.mark.parametrize(
    ("key", "unique"),
    [
        pytest.param("", False, id="no key at all"),
        pytest.param("CREATE INDEX ON {} (tenant_id, meter_id, read_at)", False, id="an index that is not unique"),
        pytest.param("ALTER TABLE {} ADD UNIQUE (tenant_id, meter_id, read_at)", True, id="a unique constraint"),
        pytest.param("ALTER TABLE {} ADD PRIMARY KEY (read_at, meter_id, tenant_id)", True, id="a primary key"),
        pytest.param("CREATE UNIQUE INDEX ON {} (meter_id, read_at)", True, id="meters numbered across tenants"),
        pytest.param("CREATE UNIQUE INDEX ON {} (meter_id, read_at DESC)", True, id="a unique index"),
        pytest.param(
            "CREATE UNIQUE INDEX ON {} (tenant_id, meter_id, read_at) INCLUDE (kwh)", True, id="one that covers more"
        ),
        pytest.param("CREATE UNIQUE INDEX ON {} (tenant_id, feeder_id, meter_id, read_at)", True, id="with the feeder"),
        pytest.param("CREATE UNIQUE INDEX ON {} (tenant_id, read_at)", False, id="without the meter"),
        pytest.param("CREATE UNIQUE INDEX ON {} (tenant_id, meter_id)", False, id="without the time"),
        pytest.param("CREATE UNIQUE INDEX ON {} (tenant_id, meter_id, read_at, kwh)", False, id="with the energy"),
        pytest.param(
            "CREATE UNIQUE INDEX ON {} (tenant_id, meter_id, read_at) WHERE kwh > 0", False, id="a partial index"
        ),
        pytest.param(
            "CREATE UNIQUE INDEX ON {} (tenant_id, lower(meter_id), read_at)", False, id="an index on an expression"
        ),
        pytest.param(
            "ALTER TABLE {} ADD UNIQUE (tenant_id, meter_id, read_at) DEFERRABLE INITIALLY IMMEDIATE",
            False,
            id="a deferrable constraint",
        ),
    ],
)
def test_only_a_complete_immediate_unique_key_of_the_read_counts(
    found: Callable[[str], Schema], key: str, unique: bool
) -> None:
    assert found(f"{TABLE} {key.format('meter_reads_electric')}").unique_key is unique


def test_a_partitioned_table_is_a_table(found: Callable[[str], Schema]) -> None:
    schema = found(
        f"""CREATE TABLE meter_reads_electric ({COLUMNS}, PRIMARY KEY (tenant_id, meter_id, read_at))
              PARTITION BY RANGE (read_at);
            CREATE TABLE reads_all PARTITION OF meter_reads_electric DEFAULT;"""
    )
    assert schema.unique_key
    assert schema.require_reads().name == "meter_reads_electric"


def test_tables_and_views_of_other_schemas_do_not_count(found: Callable[[str], Schema]) -> None:
    schema = found(
        f"""CREATE SCHEMA billing; CREATE TABLE billing.meter_reads_electric ({COLUMNS});
            CREATE VIEW billing.{OVERVIEW} AS SELECT 1 AS tenant_id;"""
    )
    assert schema.reads is None
    assert schema.views == {}


def test_views_are_found_one_by_one(found: Callable[[str], Schema]) -> None:
    schema = found(
        f"""CREATE VIEW {OVERVIEW} AS SELECT 'T' AS tenant_id, current_date AS day, 1.5 AS loss_percent_pct;
            CREATE MATERIALIZED VIEW {FEEDER_LOSS} AS SELECT 'T' AS tenant_id, 0.02::real AS loss_percent;"""
    )
    assert set(schema.views) == {OVERVIEW}
    assert schema.unusable == {FEEDER_LOSS: ["day", "feeder_id"]}
    assert set(schema.require_view(OVERVIEW).columns) == {"tenant_id", "day", "loss_percent_pct"}
    assert not schema.views[OVERVIEW].has("read_success_pct")


@pytest.mark.parametrize("name", ["plain", "Mixed Case", 'with "quotes"', "with:colon", "select", "naïve", "a;b--"])
def test_any_name_is_quoted_so_that_the_database_takes_it_back(local: Database, name: str) -> None:
    with local.transaction() as connection:
        connection.execute(sa.text(f"CREATE TEMPORARY TABLE odd ({quote(name)} integer)"))
        columns = connection.execute(sa.text(f"SELECT {quote(name)} FROM odd")).keys()
    assert list(columns) == [name]
