"""DESIGN.md, section 11: arrows point down only."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import gridlens_core

CORE = Path(gridlens_core.__file__).parent
ROOT = CORE.parent
SOURCES = [*sorted(CORE.glob("*.py")), ROOT / "app.py", *sorted((ROOT / "pages").glob("*.py"))]

# From the bottom up; a module imports from its own layer or from those below it.
LAYERS = {
    "words and rules": "errors clock settings latest colours words",
    "what meters do": "profiles load_model habits patterns",
    "the door to the database": "queries entra database embedded",
    "what is there": "bindings schema events fleet emulator history published realism",
    "a publish cycle": "baseline publisher kpis trace truth",
    "what a cycle did": "movement rehearsal detection evidence receipts money story control_room branding",
    "the demo": "startup auto demo",
    "its faces": "answers api_errors api director findings fitness trial preflight brief brief_words brief_html svg "
    "slides __main__",
}
OPTIONAL = "from azure.identity import"  # an extra that is installed only where it is used
HEIGHT = {module: height for height, modules in enumerate(LAYERS.values()) for module in modules.split()}


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imported(path: Path) -> Iterator[str]:
    """Every module a file imports, by its full name."""
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name} imports relatively"
            yield str(node.module)
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def core_imports(path: Path) -> set[str]:
    """The modules of the core a file imports, by their short names."""
    modules = {other.stem for other in CORE.glob("*.py")}
    names = (name.split(".") for name in imported(path) if name.startswith("gridlens_core."))
    return {parts[1] for parts in names if parts[1] in modules}


MODULES = [path for path in CORE.glob("*.py") if path.stem != "__init__"]


def test_every_module_has_its_layer() -> None:
    assert {path.stem for path in MODULES} - set(HEIGHT) == set(), "new modules belong in LAYERS, and in DESIGN.md"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_a_module_imports_nothing_from_above_itself(path: Path) -> None:
    above = {name for name in core_imports(path) if HEIGHT.get(name, -1) > HEIGHT.get(path.stem, 99)}
    assert above == set()


def test_no_two_modules_need_each_other() -> None:
    order = list(TopologicalSorter({path.stem: core_imports(path) for path in MODULES}).static_order())
    assert order.index("baseline") < order.index("publisher") < order.index("demo") < order.index("api")


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_the_core_knows_nothing_of_the_user_interface(path: Path) -> None:
    tops = {name.split(".")[0] for name in imported(path)}
    assert not tops & {"streamlit", "pages", "app"}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_imports_stand_at_the_top(path: Path) -> None:
    inside = {
        ast.unparse(node)
        for function in ast.walk(tree_of(path))
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for node in ast.walk(function)
        if isinstance(node, ast.Import | ast.ImportFrom)
    }
    assert {line for line in inside if not line.startswith(OPTIONAL)} == set()


def test_pages_do_not_import_the_application() -> None:
    for path in (ROOT / "pages").glob("*.py"):
        assert "app" not in set(imported(path)), path.name


def test_shared_parts_of_the_pages_import_no_page() -> None:
    pages = {path.stem for path in (ROOT / "pages").glob("*.py")}
    for path in (ROOT / "pages").glob("_*.py"):
        names = {name.split(".")[1] for name in imported(path) if name.startswith("pages.")} & pages
        assert {name for name in names if not name.startswith("_")} == set(), path.name


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_the_wall_clock_is_read_in_one_place(path: Path) -> None:
    read = [
        ast.unparse(node)
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Call)
        and ast.unparse(node.func)
        in ("datetime.now", "datetime.utcnow", "datetime.today", "date.today", "time.time", "time.time_ns")
    ]
    assert read == (["datetime.now(UTC)"] if path.stem == "clock" else [])
