"""Databases GridLens did not make, as SQL files in shapes/, and a Demo on any of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import sqlalchemy as sa
from helpers import FROZEN, TENANT, Server

from gridlens_core.database.bindings import BINDINGS_FILE
from gridlens_core.database.queries import EVENTS_MIGRATION
from gridlens_core.demo.demo import Demo
from gridlens_core.settings import Settings

SHAPES_DIR = Path(__file__).parent / "shapes"
FILL = '[fill]\nsource_system = "gridlens"\nsite_code = 7\n'


@dataclass(frozen=True)
class Shape:
    """One existing database.

    loss : what theft does to the KPI view's "loss" in measured terms: up, down (it is no loss), or None (there is none)
    today : its file counts from the server's current date, not from fixed days
    """

    name: str
    file: str
    unique_key: bool
    loss: str | None = "up"
    variables: Mapping[str, str] = field(default_factory=dict)
    tenant: str = TENANT
    role: str | None = None
    bindings: str | None = None
    voltage: bool = True
    minutes: int = 15
    today: bool = False


SHAPES = (
    Shape("variant_a", "variant_a.sql", True, today=True),
    Shape("variant_a_static", "variant_a.sql", True, variables={"static_input": "1"}, today=True),
    Shape("mixed_case", "mixed_case.sql", True),
    Shape("partitioned", "partitioned.sql", True),
    Shape("registry", "registry.sql", False, loss=None, tenant="42"),
    Shape("mean_loss", "mean_loss.sql", False, loss="down", bindings=FILL, voltage=False, minutes=60),
    Shape("least_grants", "least_grants.sql", False, role="gridlens_app"),
)


def sql_of(path: Path, variables: Mapping[str, str] | None = None) -> str:
    r"""A psql script as plain SQL: keeps what its \if :{?name}, \else and \endif lines choose, drops other \ lines."""
    kept: list[str] = []
    chosen = [True]
    for line in path.read_text(encoding="utf-8").splitlines():
        words = line.split()
        if not words or not words[0].startswith("\\"):
            if all(chosen):
                kept.append(line)
        elif words[0] == "\\if":
            chosen.append(words[1].removeprefix(":{?").removesuffix("}") in (variables or {}))
        elif words[0] == "\\else":
            chosen[-1] = not chosen[-1]
        elif words[0] == "\\endif":
            chosen.pop()
    assert chosen == [True], f"{path.name}: an \\if without its \\endif"
    return "\n".join(kept)


def engine_of(url: str) -> sa.Engine:
    """An engine of a test's own, without pooling: no connection outlives its use."""
    return sa.create_engine(sa.make_url(url).set(drivername="postgresql+psycopg2"), poolclass=sa.NullPool)


def load(url: str, sql: str) -> None:
    """Runs a script in one transaction, as the owner."""
    with engine_of(url).begin() as connection:
        connection.exec_driver_sql(sql.replace("%", "%%"))


def migrate(url: str, role: str | None = None) -> None:
    """Applies the events migration as the owner; a role that may not do so itself is granted the use."""
    load(url, EVENTS_MIGRATION.read_text(encoding="utf-8"))
    if role:
        load(url, f"GRANT SELECT, INSERT, UPDATE ON public.ami_events TO {role}")


def template_of(server: Server, shape: Shape) -> str:
    """The shape in a database of the session's own, loaded on first use and copied from then on."""
    name = f"shape_{shape.name}"
    with server.engine.connect() as connection:
        there = connection.execute(sa.text("SELECT 1 FROM pg_database WHERE datname = :name"), {"name": name}).scalar()
    if not there:
        load(server.create(name), sql_of(SHAPES_DIR / shape.file, shape.variables))
    return name


def wall_of(url: str, shape: Shape) -> datetime:
    """The wall clock of a demo on the shape: the evening of the day after its history, the same on every run."""
    if not shape.today:
        return FROZEN
    with engine_of(url).connect() as connection:
        newest = connection.exec_driver_sql("SELECT max(read_at) FROM public.meter_reads_electric").scalar_one()
    return newest.astimezone(UTC).replace(hour=0, minute=0) + timedelta(days=1, hours=18)


def as_role(url: str, role: str | None) -> str:
    """The address as another role uses it."""
    return url if role is None else url.replace("://postgres:@", f"://{role}:@", 1)


def demo_on(url: str, shape: Shape, data_dir: Path, **settings: object) -> Demo:
    """A Demo on an existing database, not started."""
    data_dir.mkdir(exist_ok=True)
    if shape.bindings:
        (data_dir / BINDINGS_FILE).write_text(shape.bindings, encoding="utf-8")
    chosen = {
        "database_url": as_role(url, shape.role), "data_dir": data_dir, "tenants": (shape.tenant,), "api_key": "a key",
        "now": wall_of(url, shape), **settings,
    }  # fmt: skip
    return Demo(Settings(**chosen))
