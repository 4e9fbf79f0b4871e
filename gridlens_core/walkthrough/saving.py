"""Saves the utility's own numbers: the table [worth] of walkthrough.toml is written anew, every other byte stays."""

from __future__ import annotations

import re
import tomllib
from contextlib import suppress
from pathlib import Path

from gridlens_core.display.own_numbers import OwnNumbers
from gridlens_core.errors import SettingsError
from gridlens_core.files import reason_of, replace_whole
from gridlens_core.walkthrough.story import OWN_STORY, STORY_FILE, load_story

TABLE = "worth"
# What may hold brackets that are no heading of a table: strings of four kinds, and comments.
NOT_A_HEADING = re.compile(
    r'"""(?:\\.|[^\\])*?"{3,5}|' r"'''.*?'{3,5}|" r'"(?:\\.|[^"\\\n])*"|' r"'[^'\n]*'|#[^\r\n]*", re.DOTALL
)
OUR_HEADING = re.compile(rf"^[ \t]*\[[ \t]*{TABLE}[ \t]*\][ \t]*(?=\r?$)", re.MULTILINE)
A_HEADING = re.compile(r"^[ \t]*\[", re.MULTILINE)


def save_numbers(data_dir: Path, own: OwnNumbers) -> None:
    """Puts the numbers into walkthrough.toml in the data directory, which begins as a copy of GridLens's own.

    Raises SettingsError where the file is not acceptable as it stands, or cannot be written; it is then untouched.
    """
    load_story(data_dir)
    path = (data_dir / STORY_FILE).resolve()
    before = path.read_bytes() if path.is_file() else OWN_STORY.read_bytes()
    after = with_numbers(before.decode("utf-8"), own)
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        mode = path.stat().st_mode if path.exists() else None
        replace_whole(path, after.encode("utf-8"))
        if mode is not None:
            path.chmod(mode)
    except OSError as error:
        raise SettingsError(f"{path} cannot be written: {reason_of(error)}.") from None


def with_numbers(text: str, own: OwnNumbers) -> str:
    """The TOML text with these numbers in its table [worth], up to its last number; what is around it stays.

    Raises SettingsError where the numbers stand in another form than a table of that heading.
    """
    bare = NOT_A_HEADING.sub(lambda found: re.sub(r"[^\n]", " ", found[0]), text)
    end = "\r\n" if "\r\n" in text else "\n"
    found = OUR_HEADING.search(bare)
    if found is None:
        gap = "" if not text or text.endswith("\n") else end
        changed = f"{text}{gap}{end}[{TABLE}]{end}{end.join(_lines(own))}{end}"
    else:
        starts = found.end()
        following = A_HEADING.search(bare, starts)
        body = bare[starts : following.start() if following else len(bare)]
        stops = starts + len(body.rstrip())
        heading = text[starts : starts + len(text[starts:].split("\n", 1)[0].rstrip("\r"))]  # a comment beside it
        changed = text[:starts] + heading + end + end.join(_lines(own)) + text[max(stops, starts + len(heading)) :]
    _check(text, changed, own)
    return changed


def _lines(own: OwnNumbers) -> list[str]:
    said = own.model_dump(exclude_none=True)
    return [f"{name} = {list(value) if isinstance(value, tuple) else value}" for name, value in said.items()]


def _check(before: str, after: str, own: OwnNumbers) -> None:
    """Nothing but the numbers has changed, whatever the text looked like."""
    with suppress(ValueError):  # what does not parse is one too
        said = tomllib.loads(after)
        if OwnNumbers.model_validate(said.pop(TABLE)) == own and said == _others(before):
            return
    raise SettingsError(
        f"The numbers in {STORY_FILE} are not under a heading [{TABLE}] of their own; write them there."
    )


def _others(text: str) -> dict[str, object]:
    return {name: value for name, value in tomllib.loads(text).items() if name != TABLE}
