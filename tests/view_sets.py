"""Databases that GridLens did not make and that differ only in what their KPI views say: the files of views/."""

from __future__ import annotations

from pathlib import Path

from existing_shapes import load, migrate
from helpers import FROZEN, TENANT, Server

from gridlens_core.demo.demo import Demo
from gridlens_core.settings import Settings

VIEWS_DIR = Path(__file__).parent / "views"
VIEW_SETS = ("linear", "ranked", "mean")
KPI_NAMES = ("loss_pct", "loss_kwh", "read_success_pct", "voltage_compliance_pct", "suspicious_meters", "open_tasks")
# Which of them a set of views has.
KPIS_OF = {
    "linear": set(KPI_NAMES),
    "ranked": set(KPI_NAMES) - {"loss_kwh"},
    "mean": {"loss_pct", "loss_kwh", "metered_kwh", "read_success_pct", "open_tasks"},
}
FEEDERS = ("F1", "F2", "F3")


def template_of(server: Server, name: str) -> str:
    """A database with one set of views, made on first use and copied from then on."""
    database = f"views_{name}"
    with server.engine.connect() as connection:
        there = connection.exec_driver_sql(f"SELECT 1 FROM pg_database WHERE datname = '{database}'").scalar()
    if not there:
        url = server.create(database)
        load(url, "".join((VIEWS_DIR / f"{part}.sql").read_text(encoding="utf-8") for part in ("base", name)))
        migrate(url)
    return database


def demo_on(url: str, data_dir: Path, explain_budget_s: float = 3) -> Demo:
    """A started Demo on it."""
    data_dir.mkdir(exist_ok=True)
    demo = Demo(
        Settings(
            database_url=url,
            data_dir=data_dir,
            tenants=(TENANT,),
            api_key="a key",
            now=FROZEN,
            explain_budget_s=explain_budget_s,
        )
    )
    demo.session.start()
    return demo
