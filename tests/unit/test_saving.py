"""The utility's own numbers in walkthrough.toml: only their table changes; what is not sure is not written."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from gridlens_core.display.own_numbers import OwnNumbers
from gridlens_core.errors import SettingsError
from gridlens_core.walkthrough.saving import save_numbers, with_numbers
from gridlens_core.walkthrough.story import OWN_STORY, STORY_FILE, load_story

OWN = OwnNumbers(customers=240_000, kwh_a_customer=9_800.0, loss_pct=(1.5, 3.0), truck_roll_usd=(300, 800))
LINES = "customers = 240000\nkwh_a_customer = 9800.0\nloss_pct = [1.5, 3.0]\ntruck_roll_usd = [300.0, 800.0]"
ACT = '[[acts]]\nid = "one"\ntitle = "One"\nsay = "All."\nwatch = "loss_pct"\nsteps = [{ publish = 1 }]\n'
TRICKY = (
    ACT.replace('"All."', '"""A line\n[worth]\ncustomers = 3 # "" \\"\n[acts]""""') + "feeder_notes = '''\n[worth]'''\n"
)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(ACT, ACT + "\n[worth]\n" + LINES + "\n", id="no table yet"),
        pytest.param("[worth]\n" + ACT, "[worth]\n" + LINES + "\n" + ACT, id="an empty table"),
        pytest.param(
            "# a\n[worth]  # [ours]\ncustomers = 5 # old\nunread_pct = [0, 1]\n\n# of the act\n" + ACT,
            "# a\n[worth]  # [ours]\n" + LINES + "\n\n# of the act\n" + ACT,
            id="numbers there, and comments around them",
        ),
        pytest.param(ACT + "[worth]\ncustomers = 5", ACT + "[worth]\n" + LINES, id="at the end, without a line's end"),
        pytest.param("\t[ worth ]\ncustomers = 5\n" + ACT, "\t[ worth ]\n" + LINES + "\n" + ACT, id="set wide"),
        pytest.param(TRICKY, TRICKY + "\n[worth]\n" + LINES + "\n", id="a heading inside a text is none"),
    ],
)
def test_only_the_table_changes(before: str, after: str) -> None:
    assert with_numbers(before, OWN) == after
    windows = before.replace("\n", "\r\n")
    assert with_numbers(windows, OWN) == after.replace("\n", "\r\n")


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("worth = { customers = 5 }\n" + ACT, id="an inline table"),
        pytest.param("worth.customers = 5\n" + ACT, id="a dotted key"),
        pytest.param('["worth"]\ncustomers = 5\n' + ACT, id="a heading in quotes"),
    ],
)
def test_numbers_in_another_form_are_left_alone_and_said(tmp_path: Path, text: str) -> None:
    (tmp_path / STORY_FILE).write_text(text)
    with pytest.raises(SettingsError, match=r"not under a heading \[worth\] of their own"):
        save_numbers(tmp_path, OWN)
    assert (tmp_path / STORY_FILE).read_text() == text


def test_without_a_file_of_its_own_it_begins_as_a_copy_of_gridlens_s(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    save_numbers(folder, OWN)
    story = load_story(folder)
    assert story.worth == OWN
    assert story.model_copy(update={"worth": OwnNumbers()}) == load_story(tmp_path)
    assert (folder / STORY_FILE).read_text() == OWN_STORY.read_text().replace("[worth]\n", f"[worth]\n{LINES}\n")
    assert [one.name for one in folder.iterdir()] == [STORY_FILE]


def test_saving_again_changes_no_other_byte_and_keeps_the_files_mode(tmp_path: Path) -> None:
    file = tmp_path / STORY_FILE
    file.write_bytes("# caf\u00e9\r\n".encode() + ACT.replace("\n", "\r\n").encode())
    file.chmod(0o600)
    save_numbers(tmp_path, OWN)
    first = file.read_bytes()
    save_numbers(tmp_path, OwnNumbers(customers=7))
    save_numbers(tmp_path, OWN)
    assert file.read_bytes() == first
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_file_that_is_not_acceptable_is_not_written_over(tmp_path: Path) -> None:
    file = tmp_path / STORY_FILE
    file.write_text("acts = ")
    with pytest.raises(SettingsError, match="not a TOML file"):
        save_numbers(tmp_path, OWN)
    assert file.read_text() == "acts = "


def test_a_folder_that_cannot_be_written_is_said_without_a_trace(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file in the place of the folder")
    with pytest.raises(SettingsError, match="cannot be written"):
        save_numbers(tmp_path / "data", OWN)


@pytest.mark.parametrize(
    ("table", "said"),
    [
        pytest.param("customers = 0", "worth, customers is 0; accepted: greater than or equal to 1", id="no customers"),
        pytest.param("customers = 1.5", "worth, customers is 1.5; accepted: integer", id="half a customer"),
        pytest.param("loss_pct = [4.0, 1.0]", "worth, loss_pct; accepted: [lowest, highest]", id="high before low"),
        pytest.param("loss_pct = 3.0", "worth, loss_pct is 3.0; accepted: list", id="no range"),
        pytest.param("unread_pct = [0, 101]", "worth, unread_pct 2 is 101", id="over a hundred percent"),
        pytest.param('found_pct = ["a", 5]', "worth, found_pct 1 is 'a'; accepted: number", id="a word"),
        pytest.param("truck_roll_usd = [250]", "worth, truck_roll_usd 2 is missing", id="one end"),
        pytest.param("tariff = 0.2", "worth, tariff is not known", id="another name"),
    ],
)
def test_a_number_that_is_wrong_is_told_with_its_place(tmp_path: Path, table: str, said: str) -> None:
    (tmp_path / STORY_FILE).write_text(f"[worth]\n{table}\n{ACT}")
    with pytest.raises(SettingsError) as error:
        load_story(tmp_path)
    assert said in error.value.message


def test_what_an_act_shows_is_one_of_a_list(tmp_path: Path) -> None:
    (tmp_path / STORY_FILE).write_text(ACT + 'shows = "money"\n')
    with pytest.raises(SettingsError, match="act 1, shows is 'money'; accepted: path, events, worth"):
        load_story(tmp_path)
