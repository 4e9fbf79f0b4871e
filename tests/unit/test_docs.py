"""The README is held to the code."""

import re
from pathlib import Path

import pytest

from gridlens_core.api.routes import build_api
from gridlens_core.meters.events import EVENT_TYPES
from gridlens_core.settings import Settings, describe_settings
from gridlens_core.show import make_show

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
CONTRACTS = (ROOT / "docs" / "contracts.md").read_text(encoding="utf-8")
FOLDERS = "gridlens_core|pages|sql|tests|benchmarks|docs"
TEXT_TYPES = {".py", ".md", ".sql", ".toml", ".j2"}


def section(document: str, title: str) -> str:
    return document.split(f"\n## {title}\n")[1].split("\n## ")[0]


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


def test_every_package_has_its_reason() -> None:
    files = sorted(ROOT.glob("requirements*.txt"))
    packages = re.findall(r"^([\w-]+)>=", "".join(path.read_text(encoding="utf-8") for path in files), re.MULTILINE)
    reasons = re.findall(r"[\w-]+", README.split("## What it stands on")[1])
    assert len(files) == 4
    assert packages
    assert set(packages) - set(reasons) == set()


DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_what_a_document_points_to_is_there(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)#:]+)\)", text)
    paths = re.findall(rf"`((?:{FOLDERS})/[\w./-]*)`", text)
    assert [link for link in links if not (document.parent / link).exists()] == []
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_the_documents_point_to_enough_to_be_worth_reading() -> None:
    assert README.count("](docs/") > 4
    assert CONTRACTS.count("`tests/") > 8


def test_nothing_cites_a_document_that_is_not_in_the_repository() -> None:
    texts = [path for folder in FOLDERS.split("|") for path in (ROOT / folder).rglob("*") if path.suffix in TEXT_TYPES]
    known = {path.name for path in [*DOCUMENTS, *texts]}
    cited = {
        f"{path.relative_to(ROOT)}: {name}"
        for path in [*DOCUMENTS, *texts, ROOT / "app.py"]
        for name in re.findall(r"\b[\w-]+\.md\b", path.read_text(encoding="utf-8"))
        if name not in known
    }
    assert cited == set()


def test_a_section_of_a_document_that_the_code_cites_is_there() -> None:
    """Citations read: the document, a comma, the section in quotes."""
    cited = [
        (path, document, section)
        for folder in ("gridlens_core", "pages", "tests", "benchmarks")
        for path in (ROOT / folder).rglob("*.py")
        for document, section in re.findall(r'(docs/[\w-]+\.md), "([^"]+)"', path.read_text(encoding="utf-8"))
    ]
    assert len(cited) > 5
    missing = [
        f"{path.relative_to(ROOT)}: {document}, {section}"
        for path, document, section in cited
        if not re.search(rf"^## {re.escape(section)}$", (ROOT / document).read_text(encoding="utf-8"), re.MULTILINE)
    ]
    assert missing == []


# --- docs/contracts.md ------------------------------------------------------------------------------------


def test_the_contract_lists_the_calls_of_the_api_and_which_need_the_key(tmp_path: Path) -> None:
    api = build_api(make_show(Settings(data_dir=tmp_path)).demo).openapi()
    calls = {
        (f"{method.upper()} {path}", "yes" if "security" in call else "no")
        for path, methods in api["paths"].items()
        for method, call in methods.items()
    }
    assert set(re.findall(r"^\| `((?:GET|POST) [^`]+)` \|.*\| (yes|no) \|$", CONTRACTS, re.MULTILINE)) == calls


def test_the_pages_have_the_widget_keys_of_the_contract() -> None:
    keys = re.findall(r"`(\w+)`", section(CONTRACTS, "Widget keys"))
    source = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "pages").glob("*.py"))
    made = set(re.findall(r"key=\"(\w+)\"", source))
    assert "trigger_{" in source  # one button for each event type
    made |= {f"trigger_{event_type.replace('-', '_')}" for event_type in EVENT_TYPES}
    assert len(keys) == 12
    assert set(keys) - made == set()


def test_the_contract_names_the_event_types() -> None:
    assert [name for name in EVENT_TYPES if f"`{name}`" not in section(CONTRACTS, "The events table")] == []
