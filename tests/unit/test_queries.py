from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from gridlens_core.database import queries
from gridlens_core.database.queries import EVENTS_MIGRATION, SQL_DIR, blocks, query

NAMED_FILES = sorted(
    path.relative_to(SQL_DIR).as_posix() for path in SQL_DIR.rglob("*.sql") if path != EVENTS_MIGRATION
)
CORE = Path(queries.__file__).parents[1]
BEGINS_A_NAME = re.compile(r"forget_\{\w+\}(_\w+)?$")  # the family of block names that the core composes


def asked_for() -> set[tuple[str, str]]:
    """Every (file, block) that the core asks for with plain words."""
    found = set()
    for path in CORE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "query":
                words = [argument.value for argument in node.args if isinstance(argument, ast.Constant)]
                if len(words) == 2:
                    found.add(tuple(words))
    return found


def composed() -> list[re.Pattern[str]]:
    """Patterns of the block names that the core composes: f-strings with a word in front."""
    patterns = []
    for path in CORE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr) and BEGINS_A_NAME.match(ast.unparse(node)[2:-1]):
                parts = [re.escape(one.value) if isinstance(one, ast.Constant) else r"\w+" for one in node.values]
                patterns.append(re.compile("".join(map(str, parts))))
    return patterns


def words_of_the_code() -> set[str]:
    """Every constant word in the core: block names also stand in tables and tuples."""
    return {
        node.value
        for path in CORE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


def test_every_block_is_asked_for() -> None:
    words, patterns = words_of_the_code(), composed()
    names = [(file_name, name) for file_name in NAMED_FILES for name in blocks(file_name)]
    assert any(pattern.fullmatch("forget_meter_expectations") for pattern in patterns)
    assert not any(pattern.fullmatch("no_such_block") for pattern in patterns)
    unasked = [
        (file_name, name)
        for file_name, name in names
        if name not in words and not any(pattern.fullmatch(name) for pattern in patterns)
    ]
    assert unasked == []


def test_every_block_the_code_asks_for_is_there() -> None:
    wanted = asked_for()
    assert ("reads.sql", "lock_tenant") in wanted
    assert {(file, name) for file, name in wanted if name not in blocks(file)} == set()


@pytest.mark.parametrize("file_name", NAMED_FILES)
def test_every_block_has_a_name_of_its_own(file_name: str) -> None:
    text = (SQL_DIR / file_name).read_text(encoding="utf-8")
    names = re.findall(r"^-- name: (\w+)$", text, re.MULTILINE)
    assert names == list(blocks(file_name))
    assert all(blocks(file_name).values())
    assert text.count("-- name:") == len(names)


def test_a_block_is_a_statement_with_its_parameters() -> None:
    assert set(query("events.sql", "events_in_window").compile().params) == {"tenant_id", "from_time", "to_time"}
    assert query("events.sql", "events_in_window") is query("events.sql", "events_in_window")


def test_an_unknown_block_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        query("events.sql", "no such block")
