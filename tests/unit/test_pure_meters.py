"""The emulator stands alone: every module of meters/ can be imported where only numpy is installed."""

from __future__ import annotations

import json
from pathlib import Path

from helpers import run_python

import gridlens_core.meters

FORBIDDEN = ("sqlalchemy", "psycopg2", "streamlit", "pandas", "fastapi", "pydantic", "plotly")
MODULES = sorted(path.stem for path in Path(gridlens_core.meters.__file__).parent.glob("*.py"))

IMPORT_ALL = """
import importlib, json, sys

forbidden, modules = (json.loads(argument) for argument in sys.argv[1:])

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in forbidden:
            raise ModuleNotFoundError(f"{name} is blocked")

sys.meta_path.insert(0, Blocked())
for module in modules:
    importlib.import_module(module)
print(json.dumps([name for name in sys.modules if name.split(".")[0] in forbidden]))
"""


def imported(*modules: str) -> tuple[int, str, str]:
    ended = run_python(IMPORT_ALL, json.dumps(FORBIDDEN), json.dumps(modules), check=False)
    return ended.returncode, ended.stdout.strip(), ended.stderr


def test_every_module_of_meters_needs_no_database_and_no_user_interface() -> None:
    assert len(MODULES) > 10
    assert imported(*(f"gridlens_core.meters.{name}" for name in MODULES))[:2] == (0, "[]")


def test_the_block_works() -> None:
    status, _, said = imported("gridlens_core.database.connection")
    assert status != 0
    assert "sqlalchemy is blocked" in said
