"""The case databases of tests/cases: read, loaded into a database of their own, and what was written into them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from existing_shapes import as_role, engine_of, load, migrate
from helpers import READS, TENANT, Server

from gridlens_core.database.bindings import BINDINGS_FILE
from gridlens_core.demo.demo import Demo
from gridlens_core.settings import Settings

CASES_DIR = Path(__file__).parent / "cases"
# Files count back from now(), which is this; a morning in Chicago, far from both midnights.
WALL = datetime(2026, 11, 25, 14, 7, tzinfo=UTC)
WALL_OF_R = datetime(2026, 6, 10, 23, 7, tzinfo=UTC)  # these have fixed days
BYTES_OF_ANY_KIND = ("r17",)  # in a database of encoding SQL_ASCII

_HEAD = re.compile(r"^--@(\w+) ?(.*)$", re.MULTILINE)


@dataclass(frozen=True)
class Case:
    """One file, with what its head asks for."""

    name: str
    sql: str
    head: dict[str, str]

    @property
    def wall(self) -> datetime:
        said = self.head.get("now")
        return datetime.fromisoformat(said) if said else WALL_OF_R if self.name.startswith("r") else WALL

    @property
    def database(self) -> str:
        return "case_" + re.sub("[^a-z0-9]", "_", self.name)

    @property
    def tenant(self) -> str:
        return self.head.get("tenant", TENANT)

    @property
    def minutes(self) -> int:
        return int(self.head.get("minutes", 60 if self.name.startswith("r19") else 15))

    @property
    def feeder(self) -> str:
        return self.head.get("feeder", "FEEDER_2")


def case_files() -> list[str]:
    """The names of all cases."""
    return sorted(path.stem for path in CASES_DIR.glob("*.sql") if not path.stem.startswith("_"))


def read_case(name: str, now: datetime | None = None) -> Case:
    """A case of tests/cases; its now() stands still, at `now` where that is given."""
    text = _included(CASES_DIR / f"{name}.sql")
    case = Case(name, text, dict(_HEAD.findall(text)) | ({"now": now.isoformat()} if now else {}))
    stands = f"timestamptz '{case.wall.isoformat()}'"
    head = {key: value.replace("now()", stands) for key, value in case.head.items()}
    return Case(name, text.replace("now()", stands), head)


def _included(path: Path) -> str:
    lines = path.read_text(encoding="utf-8").splitlines()
    return "\n".join(
        _included(path.parent / line.split(maxsplit=1)[1].strip()) if line.startswith("\\ir ") else line
        for line in lines
    )


def load_case(server: Server, case: Case) -> str:
    """Makes the case's database, with the events migration or what its head has instead; returns its address."""
    name = case.database
    server.drop(name)
    if case.name.startswith(BYTES_OF_ANY_KIND):
        server.execute(
            f"CREATE DATABASE {name} ENCODING 'SQL_ASCII' LOCALE_PROVIDER libc LOCALE 'C' TEMPLATE template0"
        )
    else:
        server.create(name)
    url = server.url_of(name)
    load(url, case.sql)
    if "pre" in case.head:
        load(url, case.head["pre"])
    else:
        with suppress(sa.exc.ProgrammingError):  # a table of another release is left as it is
            migrate(url, case.head.get("user"))
    if "post" in case.head:
        load(url, case.head["post"])
    return url


def demo_of(case: Case, url: str, data_dir: Path, **settings: Any) -> Demo:
    """A Demo upon the case's database, not started."""
    data_dir.mkdir(exist_ok=True)
    if "bindings" in case.head:
        (data_dir / BINDINGS_FILE).write_text(case.head["bindings"].replace("\\n", "\n"), encoding="utf-8")
    zone = {"timezone": case.head["tz"]} if "tz" in case.head else {}
    chosen = {
        "database_url": as_role(url, case.head.get("user")), "data_dir": data_dir, "tenants": (case.tenant,),
        "api_key": "a key", "now": case.wall, **zone, **settings,
    }  # fmt: skip
    return Demo(Settings(**chosen))


@dataclass(frozen=True)
class Row:
    """A read as the database has it, in the database's own units."""

    meter: str
    feeder: str | None
    at: datetime
    kwh: float
    volts: float | None


def stored_rows(url: str) -> Counter[str]:
    """Every row of the reads table, to the letter."""
    with engine_of(url).connect() as connection:
        rows = connection.exec_driver_sql(f"SELECT encode(textsend(t::text), 'escape') FROM public.{READS} t").scalars()
        return Counter(rows.all())


def rows_of_tenant(url: str, case: Case) -> list[Row]:
    """The tenant's reads, with whatever their time column is made into a time."""
    time, kwh = (case.head.get(key, usual) for key, usual in (("time", "read_at"), ("kwh", "kwh")))
    engine = engine_of(url)
    columns = {column["name"] for column in sa.inspect(engine).get_columns(READS)}
    time = time if time in columns else "ts"
    volts = "voltage::text" if "voltage" in columns else "NULL"
    of_tenant = f"tenant_id::text = '{case.tenant}'" if "tenant_id" in columns else "true"
    with engine.connect() as connection:
        connection.exec_driver_sql("SET TIME ZONE 'UTC'")
        found = connection.exec_driver_sql(
            f"SELECT meter_id::text, encode(textsend(feeder_id::text), 'escape'), {time}::text, {kwh}::text, {volts} "
            f"FROM public.{READS} WHERE {of_tenant}"
        ).all()
    rows = [(meter, feeder, time_of(at), kwh, volts) for meter, feeder, at, kwh, volts in found]
    return [
        Row(meter, feeder, at, float(kwh or "nan"), None if volts is None else float(volts))
        for meter, feeder, at, kwh, volts in rows
        if at is not None
    ]


def time_of(said: str) -> datetime | None:
    """A time column's text as a time; None for infinity and other things that are none."""
    if re.fullmatch(r"\d{10,13}", said):
        return datetime.fromtimestamp(int(said) / (1000 if len(said) > 11 else 1), UTC)
    try:
        moment = datetime.fromisoformat(said.replace("Z", "+00:00"))
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def usual_kwh(rows: Sequence[Row], at: datetime) -> dict[str | None, float]:
    """What each feeder's reads added up to at the same time of the days before, the middle of them."""
    by_feeder: dict[str | None, list[float]] = {}
    for days in (1, 2, 3):
        then = at - timedelta(days=days)
        here = {(row.meter, row.feeder): row.kwh for row in rows if row.at == then}
        for feeder in {feeder for _, feeder in here}:
            total = sum(kwh for (_, of), kwh in here.items() if of == feeder)
            by_feeder.setdefault(feeder, []).append(total)
    return {feeder: sorted(totals)[len(totals) // 2] for feeder, totals in by_feeder.items()}
