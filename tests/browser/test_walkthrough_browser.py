"""The whole walkthrough in a real browser, the audience beside it: on the local database and on an existing one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from existing_shapes import SHAPES, migrate, template_of, wall_of
from helpers import FROZEN, Server
from playwright.sync_api import Browser, expect
from serving import start_server
from visits import DESK, PATIENCE_MS, PHONE, chromium, visiting

from gridlens_core.walkthrough.story import OWN_STORY, STORY_FILE, load_story

WIDGETS = (
    *("[data-testid=stButton]", "[data-testid=stCheckbox]", "[data-testid=stSelectbox]", "[data-testid=stSlider]"),
    *("[data-testid=stTextInput]", "[data-testid=stTopNavLink]", "input", "textarea"),
)
FOLLOWS_MS = 5_000  # two seconds, and what a machine that runs tests may add
# What each act must bring on the card of a KPI, where the database has it.
CAUSES = {
    "energy-disappears": {"loss_pct": "theft", "suspicious_meters": "theft"},
    "the-voltage-falls": {"voltage_compliance_pct": "sag", "suspicious_meters": "sag"},
    "the-meters-go-silent": {"read_success_pct": "outage"},
}


@dataclass(frozen=True)
class Stage:
    """A running dashboard with the story at a short pace. `lacks` are KPIs its database does not have."""

    base_url: str
    lacks: tuple[str, ...] = ()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


@pytest.fixture(params=["local", "variant_a"])
def stage(
    request: pytest.FixtureRequest, server_dir: Path, tmp_path: Path, server: Server, new_database: Callable[..., str]
) -> Iterator[Stage]:
    """The dashboard on each kind of database."""
    lacks: tuple[str, ...] = ()
    environment = {"GRIDLENS_NOW": FROZEN.isoformat()}
    if request.param == "variant_a":
        url = new_database(template_of(server, SHAPES[0]))
        migrate(url)
        wall = wall_of(url, SHAPES[0]).isoformat()
        environment = {"DATABASE_URL": url, "GRIDLENS_API_KEY": "a key", "GRIDLENS_NOW": wall}
        lacks = ("read_success_pct", "voltage_compliance_pct")
    folder = server_dir.parent / f"{server_dir.name}-walk-{request.param}"
    folder.mkdir()
    story = OWN_STORY.read_text(encoding="utf-8")
    for own, short in {"pace_seconds = 2.0": "pace_seconds = 0.2", "publish = 2": "publish = 1"}.items():
        story = story.replace(own, short)
    story = story.replace("publish = 3", "publish = 2")
    (folder / STORY_FILE).write_text(story, encoding="utf-8")
    served = start_server(folder, environment)
    yield Stage(served.base_url, lacks)
    served.stop()


def test_the_presenter_plays_every_act_and_the_audience_follows(stage: Stage, browser: Browser, tmp_path: Path) -> None:
    acts = load_story(tmp_path).acts
    with (
        visiting(browser, stage.base_url, viewport=DESK) as presenter,
        visiting(browser, stage.base_url, viewport=PHONE, color_scheme="dark") as phone,
    ):
        presenter.open("walkthrough")
        phone.page.goto(f"{stage.base_url}/audience")
        expect(phone.page.get_by_role("heading", name="The grid, live")).to_be_visible(timeout=PATIENCE_MS)
        for number, act in enumerate(acts, 1):
            presenter.click("walk_next")
            expect(phone.page.get_by_role("heading", name=act.title)).to_be_visible(timeout=FOLLOWS_MS + PATIENCE_MS)
            expect(presenter.page.get_by_text(f"Act {number} of {len(acts)}")).to_be_visible()
            expect(presenter.page.get_by_role("progressbar")).to_have_attribute("aria-valuenow", "100", timeout=60_000)
            for kpi, cause in CAUSES.get(act.id, {}).items():
                change = presenter.card(kpi).change
                expect(change).to_contain_text("not in this database" if kpi in stage.lacks else cause)
            if act.id == "the-crew-goes-out":
                recovered = presenter.page.locator("[data-testid=stMetric]", has_text="Recovered a year")
                expect(recovered).not_to_contain_text("$0.00")
        expect(presenter.keyed("walk_next").locator("button")).to_be_disabled()
        assert (presenter.sideways_px(), presenter.overlong_px(), phone.sideways_px()) == (0, 0, 0)
        assert phone.page.locator(", ".join(WIDGETS)).count() == 0
        presenter.open("time_lapse")
        bar = presenter.keyed("lapse_at").locator("input")
        expect(bar).to_be_visible(timeout=PATIENCE_MS)
        now = presenter.keyed("story_panel").get_by_text("Grid time").inner_text()
        bar.focus()
        bar.press("ArrowLeft")
        expect(presenter.keyed("story_panel")).not_to_contain_text(now)  # the whole page goes back with the bar
        bar.press("End")
        expect(presenter.keyed("story_panel")).to_contain_text(now)
        assert (presenter.sideways_px(), presenter.overlong_px()) == (0, 0)
        assert (presenter.errors, presenter.outside, phone.errors, phone.outside) == ([], [], [], [])
