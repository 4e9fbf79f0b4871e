"""Arrows between the folders point down only (docs/architecture.md): read from the imports, for any folder."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from graphlib import TopologicalSorter
from itertools import pairwise
from pathlib import Path

import pytest

import gridlens_core

CORE = Path(gridlens_core.__file__).parent
ROOT = CORE.parent
CORE_FILES = [path for path in sorted(CORE.rglob("*.py")) if path.name != "__init__.py"]
SOURCES = [*CORE_FILES, ROOT / "app.py", *sorted((ROOT / "pages").glob("*.py"))]
FOLDERS = {path.parent.name for path in CORE.glob("*/__init__.py")}
FACES = {"api", "walkthrough", "leave_behind", "preflight"}
BELOW_THE_FACES = (
    "demo",
    "display",
    "loading",
    "explanation",
    "publishing",
    "database",
    "detection",
    "meters",
)  # from the top down
READERS = {"source", "gathered", "said", "names", "numbers", "times", "zones", "tables", "nem12", "green_button"}
LOOSE_FILES = {
    "errors",
    "clock",
    "files",
    "settings",
    "words",
    "colours",
}  # of the root; they import nothing but each other
TOP_FILES = {"show", "__main__"}  # of the root; they put together what is below them
MOST_LINES_OF_A_MODULE, MOST_LINES_OF_A_CLASS, MOST_PARAMETERS = 350, 200, 6
OPTIONAL = "from azure.identity import"  # an extra that is installed only where it is used


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


def room_of(path: Path) -> str:
    """The folder of the core a file lies in, or its own name where it lies in none."""
    return path.stem if path.parent == CORE else path.relative_to(CORE).parts[0]


def rooms_of(path: Path) -> set[str]:
    """The folders and root files of the core that a file imports from."""
    names = [name.split(".") for name in imported(path) if name.startswith("gridlens_core.")]
    return {parts[1] for parts in names if parts[1] in FOLDERS | LOOSE_FILES | TOP_FILES} - {room_of(path)}


def reachable_from(room: str) -> set[str]:
    """What a folder or a file of the root may import from."""
    if room in LOOSE_FILES:
        return LOOSE_FILES
    if room in ("meters", "detection"):
        return LOOSE_FILES
    if room in FACES:
        return LOOSE_FILES | set(BELOW_THE_FACES)
    if room in TOP_FILES:
        return LOOSE_FILES | set(BELOW_THE_FACES) | FACES | ({"show"} if room == "__main__" else set())
    return LOOSE_FILES | set(BELOW_THE_FACES[BELOW_THE_FACES.index(room) + 1 :])


def test_every_folder_and_root_file_has_its_place() -> None:
    assert FACES | set(BELOW_THE_FACES) == FOLDERS
    assert {path.stem for path in CORE.glob("*.py")} - {"__init__"} <= LOOSE_FILES | TOP_FILES


@pytest.mark.parametrize("path", CORE_FILES, ids=lambda path: path.relative_to(CORE).as_posix())
def test_a_file_imports_only_from_folders_below_its_own(path: Path) -> None:
    assert rooms_of(path) - reachable_from(room_of(path)) == set()


@pytest.mark.parametrize("name", sorted(READERS))
def test_readers_of_files_know_no_database(name: str) -> None:
    names = list(imported(CORE / "loading" / f"{name}.py"))
    ours = {one.split(".")[2] for one in names if one.startswith("gridlens_core.loading.")}
    assert ours <= READERS
    assert rooms_of(CORE / "loading" / f"{name}.py") <= LOOSE_FILES
    assert not {one.split(".")[0] for one in names} & {"sqlalchemy", "psycopg2"}


@pytest.mark.parametrize("path", sorted((CORE / "detection").glob("*.py")), ids=lambda path: path.stem)
def test_detection_knows_neither_events_nor_a_database(path: Path) -> None:
    ours = {one for one in imported(path) if one.startswith("gridlens_core.")}
    assert all(one.startswith("gridlens_core.detection") for one in ours)
    assert not {one.split(".")[0] for one in imported(path)} & {"sqlalchemy", "psycopg2"}


def test_no_two_modules_need_each_other() -> None:
    modules = {".".join(path.relative_to(CORE).with_suffix("").parts): path for path in CORE_FILES}
    needs = {
        name: {other.removeprefix("gridlens_core.") for other in imported(path)} & modules.keys()
        for name, path in modules.items()
    }
    order = list(TopologicalSorter(needs).static_order())
    assert order.index("clock") < order.index("meters.emulator") < order.index("api.routes")


@pytest.mark.parametrize("path", CORE_FILES, ids=lambda path: path.relative_to(CORE).as_posix())
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


def functions_of(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in ast.walk(tree_of(path)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def parameters_of(function: ast.FunctionDef | ast.AsyncFunctionDef) -> list[str]:
    """Its named parameters; *args and **kwargs are passed on and not counted."""
    given = function.args
    names = [one.arg for one in (*given.posonlyargs, *given.args, *given.kwonlyargs)]
    return [name for name in names if name not in ("self", "cls")]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_modules_classes_and_signatures_stay_small(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MOST_LINES_OF_A_MODULE
    classes = [node for node in ast.walk(tree_of(path)) if isinstance(node, ast.ClassDef)]
    lines = {one.name: (one.end_lineno or one.lineno) - one.lineno + 1 for one in classes}
    assert {name: count for name, count in lines.items() if count > MOST_LINES_OF_A_CLASS} == {}
    parameters = {one.name: parameters_of(one) for one in functions_of(path)}
    assert {name: names for name, names in parameters.items() if len(names) > MOST_PARAMETERS} == {}


def test_the_architecture_page_names_the_folders_in_their_order() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    places = [re.search(rf"^ *{name}/", page, re.MULTILINE) for name in BELOW_THE_FACES]
    assert all(places), f"docs/architecture.md begins no line with one of {BELOW_THE_FACES}"
    starts = [place.start() for place in places if place]
    assert all(first < then for first, then in pairwise(starts))
    assert {face for face in FACES if f"{face}/" not in page} == set()
