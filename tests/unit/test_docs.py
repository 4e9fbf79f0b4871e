"""The README is held to the code it speaks of."""

import re
from pathlib import Path

from gridlens_core.settings import describe_settings

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def code_blocks() -> list[str]:
    return [block.strip() for block in re.findall(r"```\n(.*?)```", README, re.DOTALL)]


def test_the_settings_table_is_the_declared_one() -> None:
    rows = [
        f"| `{variable}` | {default if default == 'none' else f'`{default}`'} | {meaning} |"
        for variable, default, meaning in describe_settings()
    ]
    table = README.split("|---|---|---|\n")[1].split("\n\n")[0].splitlines()
    assert table == rows


def test_ci_runs_exactly_the_test_command_of_the_readme() -> None:
    (command,) = [block for block in code_blocks() if "pytest" in block]
    assert command in (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()


def test_every_runtime_package_has_its_reason() -> None:
    packages = re.findall(r"^([\w-]+)[>=]", (ROOT / "requirements.txt").read_text(), re.MULTILINE)
    reasons = README.split("## What it stands on")[1]
    assert packages
    assert [name for name in packages if name not in reasons] == []


def test_every_picture_and_page_the_readme_points_to_is_there() -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", README)
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []
