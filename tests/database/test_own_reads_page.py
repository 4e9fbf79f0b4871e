"""The page Data source, "Load your own reads", as Streamlit runs it on the real local database."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from time import sleep

import pytest
import streamlit as st
from file_forms import HOMES, german_csv, homes, written
from helpers import TENANT
from streamlit.testing.v1 import AppTest

from gridlens_core.demo.demo import Demo
from gridlens_core.demo.loads import Loading
from gridlens_core.show import Show, put_on_stage
from gridlens_core.walkthrough.story import load_story
from pages import _data

ENTRY = Path(_data.__file__).parent / "entry.py"
SECONDS = 60


@pytest.fixture(autouse=True)
def _no_cached_reads() -> None:
    st.cache_data.clear()


def page_of(demo: Demo, *, unlocked: bool = True) -> AppTest:
    put_on_stage(Show(demo, load_story(demo.settings.data_dir)))
    app = AppTest.from_file(str(ENTRY), default_timeout=SECONDS)
    app.session_state["unlocked"] = unlocked
    app.run().switch_page("data_source.py").run()
    assert not app.exception
    return app


def texts_of(app: AppTest) -> str:
    said = (*app.markdown, *app.caption, *app.error, *app.success)
    return "\n".join(one.value for one in said).replace("\\", "")


def upload(app: AppTest, path: Path) -> AppTest:
    app.file_uploader(key="own_files").set_value([(path.name, path.read_bytes(), "text/csv")])
    return app.run()


def test_a_file_is_shown_corrected_loaded_and_then_chosen(make_demo: Callable[..., Demo], tmp_path: Path) -> None:
    demo = make_demo()
    app = upload(page_of(demo), german_csv(homes(), tmp_path / "homes.csv"))
    (plan,) = [one.value for one in app.dataframe if "Certainty" in one.value]
    found = dict(zip(plan["What"], zip(plan["Found"], plan["Certainty"], strict=True), strict=True))
    assert found["decimal sign"] == ("comma", "sure")
    assert found["unit"] == ("kWh", "a guess")
    assert any("kWh played back" in one.value for one in app.dataframe)
    app.selectbox(key="load_unit").set_value("kWh").run()
    (plan,) = [one.value for one in app.dataframe if "Certainty" in one.value]
    assert dict(zip(plan["What"], plan["Certainty"], strict=True))["unit"] == "as you said"
    assert demo.session.tenants.names == (TENANT,)  # nothing is loaded yet
    app.button(key="load_reads").click().run()
    loading = app.session_state["loading"]
    assert isinstance(loading, Loading)
    for _ in range(SECONDS * 10):
        if loading.over:
            break
        sleep(0.1)
    assert loading.problem == ""
    app.run()
    app.button(key="show_loaded").click().run()
    assert not app.exception
    assert app.selectbox(key="tenant").value == "HOMES"
    texts = texts_of(app)
    assert "Supply and technical loss are modelled" in texts
    assert f"HOMES was loaded from homes.csv: {homes().kwh.size:,} reads, 0 missing, 0 estimated" in texts
    assert len(demo.desk.fleet("HOMES")) == HOMES


def test_a_wrong_file_is_refused_by_line_on_the_page(make_demo: Callable[..., Demo], tmp_path: Path) -> None:
    table = homes().long(homes().local("%Y-%m-%d %H:%M")).astype({"kwh": "str"})
    table.loc[7, "kwh"] = "lots"
    app = upload(page_of(make_demo()), written(table, tmp_path / "odd.csv"))
    assert "odd.csv, line 9, column 'kwh': 'lots' is no number." in texts_of(app)
    assert "load_reads" not in {one.key for one in app.button}


def test_only_a_presenter_may_load(make_demo: Callable[..., Demo]) -> None:
    app = page_of(make_demo(), unlocked=False)
    assert "Loading is for the presenter." in texts_of(app)
    assert not app.file_uploader
