"""Builds the wheel from the checkout and tries it alone: python -m tests.wheel

Not a test of the suite: it installs packages from a registry into an environment of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path
from tempfile import TemporaryDirectory
from zipfile import ZipFile

ROOT = Path(__file__).resolve().parents[1]
SOURCES = ("pyproject.toml", "setup.py", "requirements-core.txt", "gridlens_core", "sql")  # what a build reads
NOT_OURS = shutil.ignore_patterns("__pycache__", "*.pyc")

IMPORT_ALL = """
import importlib, pkgutil, gridlens_core
for module in pkgutil.walk_packages(gridlens_core.__path__, "gridlens_core."):
    importlib.import_module(module.name)
print(gridlens_core.__file__)
"""


def build(folder: Path) -> Path:
    """The wheel, built from a copy, so that nothing an earlier build left in the checkout gets into it."""
    sources = folder / "sources"
    sources.mkdir()
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, sources / name, ignore=NOT_OURS)
        else:
            shutil.copy(ROOT / name, sources / name)
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "--wheel-dir", str(folder), str(sources)], check=True)
    (wheel,) = folder.glob("*.whl")
    return wheel


def difference(wheel: Path) -> set[str]:
    """The files that are in the wheel or in the checkout's gridlens_core and sql, but not in both."""
    expected = {
        f"{package}/{path.relative_to(ROOT / folder).as_posix()}"
        for folder, package in (("gridlens_core", "gridlens_core"), ("sql", "gridlens_core/sql"))
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    with ZipFile(wheel) as archive:
        return expected ^ {name for name in archive.namelist() if ".dist-info/" not in name}


def try_out(wheel: Path, folder: Path) -> None:
    """Installs the wheel into an empty environment and runs `check` in an empty folder, on the embedded database."""
    venv.create(folder / "venv", with_pip=True)
    python = folder / "venv" / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    empty = folder / "empty"
    empty.mkdir()
    settings = ("GRIDLENS_", "DATABASE_URL", "PYTHON")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(settings)}

    def run(*arguments: str) -> str:
        command = [str(python), *arguments]
        return subprocess.run(
            command, cwd=empty, env=environment, check=True, stdout=subprocess.PIPE, encoding="utf-8"
        ).stdout

    run("-m", "pip", "install", "--quiet", "--constraint", str(ROOT / "constraints.txt"), str(wheel))
    imported = Path(run("-c", IMPORT_ALL).strip())
    assert imported.is_relative_to(folder / "venv"), f"gridlens_core came from {imported}"
    findings = json.loads(run("-m", "gridlens_core", "check", "--json"))["findings"]  # fails where one is blocked
    server = [one["state"] for one in findings if one["what"] == "Server"]
    assert server == ["passed"], f"check found the server {server}"


def main() -> None:
    """Fails with what is wrong, else says nothing."""
    with TemporaryDirectory(prefix="gl") as name:
        folder = Path(name).resolve()
        wheel = build(folder)
        if different := difference(wheel):
            sys.exit(f"The wheel and the checkout differ in: {', '.join(sorted(different))}")
        try_out(wheel, folder)


if __name__ == "__main__":
    main()
