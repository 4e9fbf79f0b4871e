"""The leave-behind's numbers are the pages' own; its one page is complete, loads no scripts and fits on paper."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from html.parser import HTMLParser
from pathlib import Path

import pytest
from existing_shapes import SHAPES, Shape, demo_on, migrate, template_of
from helpers import FROZEN, SMALL_FLEET, TENANT, Server, event_request, room_of

from gridlens_core import words
from gridlens_core.demo.demo import Demo
from gridlens_core.display.branding import Brand
from gridlens_core.display.figures import waterfall
from gridlens_core.explanation.detection import Score
from gridlens_core.explanation.money import money_of
from gridlens_core.leave_behind import brief_words
from gridlens_core.leave_behind.brief import Brief, brief_of, file_stem, just_shown
from gridlens_core.leave_behind.brief_html import brief_html
from gridlens_core.leave_behind.slides import brief_slides
from gridlens_core.meters.events import EventRequest
from gridlens_core.meters.feeders import feeder_sizes

HOSTILE = "<script>alert('7')</script>&\"_" + "LONG_" * 12
VOID = ("meta", "br", "img", "link", "hr", "input")
CHROMIUM = next((path for name in ("chromium", "google-chrome") if (path := shutil.which(name))), None)


class Page(HTMLParser):
    """What stands in a page: tags, attributes and text; complains about tags that do not close."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(" ".join(data.split()))

    @property
    def text(self) -> str:
        return " ".join(self.words)


def hostile(brief: Brief) -> Brief:
    """The same with names that contain markup, and more events than fit."""
    receipts = tuple(replace(one, event=replace(one.event, feeder_id=HOSTILE)) for one in brief.receipts * 3)
    assert brief.why is not None
    labels = {event_id: replace(label, text=f"theft {HOSTILE}") for event_id, label in brief.labels.items()}
    room = replace(brief.room, feeder_id=HOSTILE, shaded=tuple(one.event for one in receipts))
    return replace(
        brief,
        tenant_id=HOSTILE,
        brand=HOSTILE[:60],
        receipts=receipts,
        leading=receipts[0],
        room=room,
        labels=labels,
    )


def test_events_truth_and_money_are_those_of_the_receipts(shown: Demo) -> None:
    brief, receipts = brief_of(shown.desk.explained(TENANT), Brand()), shown.desk.explained(TENANT).receipts
    assert brief.receipts == tuple(receipts[::-1])
    assert brief.leading == receipts[1]
    assert brief.money == money_of(
        receipts, FROZEN - timedelta(days=1), brief.grid_now, shown.settings.tariff_usd_per_kwh
    )
    assert brief.money.lost_usd == sum(one.usd for one in receipts) > 0


def test_kpis_chart_and_cause_are_those_of_the_control_room(demo: Demo) -> None:
    demo.publish(TENANT)
    demo.trigger(TENANT, event_request(duration_minutes=120))
    demo.publish(TENANT, cycles=2)
    brief, room = brief_of(demo.desk.explained(TENANT), Brand()), room_of(demo, TENANT, follow=True)
    cards = {card.key: card for card in room.cards}
    assert brief.room == room
    assert brief.why == cards["loss_pct"].why
    rows = {row.kpi: row for row in brief.kpis}
    for kpi in ("loss_pct", "read_success_pct", "voltage_compliance_pct", "suspicious_meters", "open_tasks"):
        assert rows[kpi].now == room.kpis[kpi]
        why = cards[kpi].why
        assert why is not None
        assert rows[kpi].before == why.before
    facts = {fact.label: fact for fact in brief_words.facts(brief)}
    assert facts["Loss today"].value == cards["loss_pct"].value
    assert facts["Lost to theft"].value == cards["at_risk"].value
    assert facts["Lost to theft"].note.startswith(cards["at_risk"].change)


def test_before_drift_and_effect_make_now_to_the_last_digit(brief: Brief) -> None:
    assert len(brief.kpis) == 6
    for row in brief.kpis:
        assert None not in (row.before, row.drift, row.effect)
        assert sum((row.before, row.drift, row.effect), Decimal(0)) == row.now
    assert brief.why is not None
    bars = waterfall(brief.why, brief.labels)
    assert [bar.start for bar in bars[2:-1]] == [bar.end for bar in bars[1:-2]]
    assert bars[-2].end == pytest.approx(bars[-1].end)


def test_the_score_is_the_sum_of_the_receipts(brief: Brief) -> None:
    scores = [one.score for one in brief.receipts if one.score]
    assert brief.score is not None
    assert brief.score.found == sum(score.found for score in scores)
    sizes = feeder_sizes(SMALL_FLEET["feeders"], SMALL_FLEET["meters_per_feeder"])
    assert brief.score.meters == sizes[1] + sizes[6]  # FEEDER_2 and FEEDER_7
    assert f"named {brief.score.found} of {brief.score.meters} meters" in brief_words.detection(brief)


def test_a_missed_event_is_said_to_be_missed(brief: Brief) -> None:
    theft = brief.receipts[1]
    missed = Score(theft.event, 20, 0, 0, 3, None, None)
    receipt = replace(theft, score=missed, before_detection_usd=None)
    brief = replace(brief, receipts=(receipt,), leading=receipt, score=replace(missed, event=None))
    page = Page(brief_html(brief)).text
    assert "missed, 3 cycles" in page
    assert "Blind detection named 0 of 20 meters touched, and 0 wrongly. It missed 1 event." in page


def test_the_page_says_every_number_as_the_pages_do(brief: Brief) -> None:
    page = Page(brief_html(brief)).text
    theft = brief.receipts[1]
    for said in (
        words.energy(theft.truth.kwh_not_recorded),
        words.dollars(theft.usd),
        words.dollars(theft.truth.kwh_a_year * brief.tariff_usd_per_kwh),
        words.dollars(theft.before_detection_usd),
        f"{words.count(theft.truth.reads_altered)} changed",
        f"{words.energy(brief.receipts[2].truth.kwh_unread)} unread",
        f"{words.count(brief.receipts[0].truth.reads_low_voltage)} under 114 V",
        words.percent(brief.room.kpis["loss_pct"]),
        words.date_time(brief.grid_now, brief.timezone),
        "Local database",
        *brief_words.method(brief),
        *(cell for row in brief_words.kpi_rows(brief) for cell in row),
        *(bar.text for bar in waterfall(brief.why, brief.labels)),
    ):
        assert said in page


def test_the_page_is_labelled_whole_and_loads_nothing(brief: Brief) -> None:
    source = brief_html(brief)
    page = Page(source)
    tags = dict(page.tags)
    assert tags["html"]["lang"] == "en"
    assert page.text.count(f"Simulated events on {TENANT}") == 2
    pictures = [attributes for tag, attributes in page.tags if tag == "svg"]
    assert len(pictures) == 3
    assert all(one["role"] == "img" and one["aria-label"] for one in pictures)
    assert [tag for tag, _ in page.tags if tag in ("script", "img", "link", "iframe", "object", "base")] == []
    assert (
        re.findall(r"(?:https?:)?//(?!www\.w3\.org/2000/svg)\S+|@import|src=|href=(?!\"#t-)|url\((?!#)", source) == []
    )
    assert len(source) < 100_000


def test_the_page_forbids_itself_scripts_and_anything_from_elsewhere(brief: Brief) -> None:
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]+)"', brief_html(brief))
    assert policy == "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def test_hostile_names_stay_names(brief: Brief) -> None:
    page = Page(brief_html(hostile(brief)))
    assert "script" not in dict(page.tags)
    assert f"Simulated events on {HOSTILE}" in page.text


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here to print with")
@pytest.mark.parametrize("paper", ["A4", "letter"])
@pytest.mark.parametrize("names", [pytest.param(False, id="own names"), pytest.param(True, id="long names")])
def test_it_prints_on_one_page(brief: Brief, tmp_path: Path, paper: str, names: bool) -> None:
    page, pdf = tmp_path / "brief.html", tmp_path / "brief.pdf"
    source = brief_html(hostile(brief) if names else brief)
    page.write_text(source.replace("@page {", f"@page {{ size: {paper};"), encoding="utf-8")
    command = [str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    command += ["--no-pdf-header-footer", f"--user-data-dir={tmp_path / 'profile'}", f"--print-to-pdf={pdf}"]
    subprocess.run([*command, page.as_uri()], check=True, capture_output=True, timeout=60)
    assert len(re.findall(rb"/Type\s*/Page\b(?!s)", pdf.read_bytes())) == 1


def test_a_quiet_day_makes_a_page_without_events(demo: Demo) -> None:
    brief = brief_of(demo.desk.explained(TENANT), Brand())
    assert (brief.receipts, brief.leading, brief.why, brief.score) == ((), None, None, None)
    assert "A quiet day" in Page(brief_html(brief)).text


def test_an_event_that_has_touched_nothing_yet_is_not_in_it(demo: Demo) -> None:
    demo.trigger(TENANT, event_request())
    receipts, now = demo.desk.explained(TENANT).receipts, demo.desk.pulse(TENANT).grid_now
    assert just_shown(receipts, now) == ()
    assert just_shown(receipts, now + timedelta(minutes=15)) == tuple(receipts)
    assert just_shown(receipts, now + timedelta(hours=26)) == ()


def test_what_happened_before_midnight_is_told_of_that_day(make_demo: Callable[..., Demo]) -> None:
    demo = make_demo(now=FROZEN + timedelta(hours=10, minutes=45))  # 22:45 in Chicago
    demo.trigger(TENANT, event_request(duration_minutes=30))
    demo.publish(TENANT, cycles=4)
    before_midnight = demo.desk.explained(TENANT)
    demo.publish(TENANT, cycles=4)
    brief = brief_of(demo.desk.explained(TENANT), Brand())
    # The day is closed with its last interval, where measuring that fits the budget.
    assert brief.until in (before_midnight.grid_now, before_midnight.grid_now + timedelta(minutes=30))
    loss = brief.kpis[0]
    assert brief.until < brief.grid_now
    assert loss.effect is not None
    assert loss.effect > 0
    assert brief.why is not None
    assert brief.why.now == loss.now


def test_the_utilitys_own_names_of_feeders_are_used(shown: Demo) -> None:
    brand = Brand(name="Lakeside Electric", feeders={"FEEDER_7": "Riverside"})
    page = Page(brief_html(brief_of(shown.desk.explained(TENANT), brand))).text
    assert "Lakeside Electric" in page
    assert "Riverside" in page
    assert re.findall(r".{60}FEEDER_7.{20}", page) == []


def test_a_file_name_is_one_that_any_system_takes() -> None:
    assert file_stem("A/B:C <x>", FROZEN) == "gridlens-A_B_C_x_-20261118-1800"


@pytest.mark.parametrize(
    "shape",
    [shape for shape in SHAPES if shape.name in ("variant_a_static", "registry", "mean_loss")],
    ids=lambda shape: shape.name,
)
def test_an_existing_database_gets_its_brief_from_what_it_has(
    shape: Shape, server: Server, new_database: Callable[..., str], tmp_path: Path
) -> None:
    url = new_database(template_of(server, shape))
    migrate(url, shape.role)
    demo = demo_on(url, shape, tmp_path / "data", explain_budget_s=60)  # enough on a busy machine
    demo.session.start()
    feeder = demo.desk.fleet(shape.tenant).feeders[0]
    demo.trigger(shape.tenant, EventRequest("theft", feeder_id=feeder, severity=0.7, duration_minutes=180))
    demo.publish(shape.tenant, cycles=2, interval_minutes=shape.minutes)
    brief = brief_of(demo.desk.explained(shape.tenant), Brand())
    page, slides = Page(brief_html(brief)).text, brief_slides(brief)
    demo.stop()
    assert f"Simulated events on {shape.tenant}" in page
    assert "Existing database" in page
    assert words.energy(brief.receipts[0].truth.kwh_not_recorded) in page
    assert len(slides) > 20_000
    assert [row for row in brief.kpis if row.now is None] == []
    assert brief_words.why_sentence(brief) in page
    if shape.loss == "down":
        assert "loss_pct" not in [row.kpi for row in brief.kpis], "what falls under a theft is not shown as a loss"
        return
    assert brief.why is not None
    assert brief.why.kpi == ("feeder_loss_pct" if shape.loss is None else "loss_pct")
