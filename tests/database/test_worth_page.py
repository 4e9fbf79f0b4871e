"""What is it worth to you, as a page and as the last act: sliders change what one browser shows, a button saves."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import streamlit as st
from helpers import TENANT
from screens import SHORT_STORY, button, shown
from streamlit.testing.v1 import AppTest
from test_walkthrough_pages import look, opened, words_of

import pages._frame
from gridlens_core.demo.demo import Demo
from gridlens_core.display import worth_words
from gridlens_core.display.own_numbers import OwnNumbers, numbers_of
from gridlens_core.explanation.worth import worth_of
from gridlens_core.leave_behind.brief import brief_of
from gridlens_core.leave_behind.brief_html import brief_html
from gridlens_core.show import Show, on_stage, put_on_stage
from gridlens_core.walkthrough.story import STORY_FILE, load_story
from pages import _worth

LAST_ACT = """
[[acts]]
id = "worth"
title = "What is it worth to you?"
say = "Your numbers."
watch = "loss_pct"
shows = "worth"
steps = [{ publish = 1 }]
"""


@pytest.fixture
def served(demo: Demo, monkeypatch: pytest.MonkeyPatch) -> Iterator[Demo]:
    """A demo with a story of a utility's own that ends with what it is worth, looked at from the machine itself."""
    folder = demo.settings.data_dir
    (folder / STORY_FILE).write_text(SHORT_STORY + LAST_ACT, encoding="utf-8")
    show = put_on_stage(Show(demo, load_story(folder)))
    monkeypatch.setattr(pages._frame, "is_local_viewer", lambda: True)
    st.cache_data.clear()
    yield demo
    show.stop()


def result(demo: Demo, **own: object) -> str:
    """What it is worth with these numbers."""
    at = demo.desk.fresh(TENANT)
    return worth_words.result(worth_of(numbers_of(OwnNumbers(**own), at.fleet, at.tariff_usd_per_kwh)))


def slide(page: AppTest, name: str, value: object) -> AppTest:
    """Puts a slider somewhere."""
    turn = page.session_state["worth_turn"] if "worth_turn" in page.session_state else 0  # noqa: SIM401 - has no get
    key = f"worth_{name}_{TENANT}_{turn}"
    page.get_by_key(key).set_value(value)
    return look(page)


def titles(page: AppTest) -> list[str]:
    return [shown(one.value) for one in page.title]


def test_a_slider_changes_this_browser_alone_and_what_it_leaves_behind(served: Demo) -> None:
    page, before = opened("worth.py"), (served.settings.data_dir / STORY_FILE).read_bytes()
    assert titles(page) == [result(served)]
    assert "The meters of this tenant." in words_of(page)
    slide(slide(page, "customers", 240_000), "loss_pct", (2.0, 3.0))
    wanted = result(served, customers=240_000, loss_pct=(2.0, 3.0))
    assert titles(page) == [wanted]
    assert words_of(page).count(f"{_worth.HERE.capitalize()}.") == 2
    assert titles(opened("worth.py")) == [result(served)]
    assert (served.settings.data_dir / STORY_FILE).read_bytes() == before
    page.switch_page("control_room.py")
    look(page).switch_page("worth.py")
    assert titles(look(page)) == [wanted]
    button(page, "worth_back").click().run()
    assert titles(look(page)) == [result(served)]


def test_the_button_saves_what_it_was_drawn_with_and_the_rest_of_the_file_stays(served: Demo) -> None:
    page, file = opened("worth.py"), served.settings.data_dir / STORY_FILE
    slide(page, "customers", 50_000)
    button(page, "worth_save").click().run()
    assert "The numbers are saved in walkthrough.toml." in words_of(page)
    assert file.read_text().startswith(SHORT_STORY + LAST_ACT)
    assert load_story(served.settings.data_dir).worth.customers == on_stage().story.worth.customers == 50_000
    assert titles(opened("worth.py")) == [result(served, customers=50_000)]
    assert "The utility's own number." in words_of(look(page))


def test_without_the_key_anybody_may_look_and_nobody_saves(served: Demo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages._frame, "is_local_viewer", lambda: False)
    page = opened("worth.py")
    assert button(page, "worth_save").disabled
    assert titles(slide(page, "customers", 1_000_000)) == [result(served, customers=1_000_000)]


def test_a_file_that_was_spoilt_meanwhile_is_said_and_left_alone(served: Demo) -> None:
    page, file = opened("worth.py"), served.settings.data_dir / STORY_FILE
    file.write_text("acts = ")
    button(page, "worth_save").click().run()
    assert "is not a TOML file" in words_of(page)
    assert file.read_text() == "acts = "


def test_the_last_act_says_it_with_the_numbers_of_the_page(served: Demo) -> None:
    page = opened("worth.py")
    slide(page, "customers", 240_000)
    on_stage().director(TENANT).jump(3)
    on_stage().director(TENANT).wait()
    page.switch_page("walkthrough.py")
    said = words_of(look(page))
    wanted = result(served, customers=240_000)
    assert wanted in said
    assert "in the first year, for 240,000 customers" in said
    assert "Awesense case study" in said
    assert "What each event did" in said


def test_the_brief_says_it_with_its_formula_and_the_basis_of_every_number(served: Demo) -> None:
    at = served.desk.fresh(TENANT)
    brief = brief_of(at, on_stage().story.brand, numbers_of(OwnNumbers(customers=240_000), at.fleet, 0.25))
    page = brief_html(brief).replace("\N{NO-BREAK SPACE}", " ").replace("&#39;", "'").replace("&amp;", "&")
    for said in (worth_words.result(brief.worth), worth_words.in_short(brief.worth), worth_words.basis(brief.worth)):
        assert said in page
    assert "Customers 240,000 (the utility's own number)" in page
