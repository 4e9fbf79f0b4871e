"""SQL that stands still lives in sql/, in blocks that begin with '-- name: <name>'; this reads them."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

import sqlalchemy as sa

# A wheel carries sql/ inside the package; a checkout has it beside the package, where a DBA looks for it.
_INSTALLED, _CHECKOUT = files("gridlens_core") / "sql", Path(__file__).parents[2] / "sql"
SQL_DIR: Traversable = _INSTALLED if _INSTALLED.is_dir() else _CHECKOUT
EVENTS_MIGRATION = SQL_DIR / "phase3_ami_events.sql"

_NAME_LINE = re.compile(r"^-- name: (\w+)\s*$", re.MULTILINE)


@cache
def blocks(file_name: str) -> dict[str, str]:
    """The named blocks of one file of sql/ or of a folder in it, in order."""
    parts = _NAME_LINE.split(SQL_DIR.joinpath(*file_name.split("/")).read_text(encoding="utf-8"))
    return dict(zip(parts[1::2], (part.strip() for part in parts[2::2]), strict=True))


@cache
def query(file_name: str, name: str) -> sa.TextClause:
    """One named block as a statement with :named parameters."""
    return sa.text(blocks(file_name)[name])
