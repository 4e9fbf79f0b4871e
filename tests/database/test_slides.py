"""The slides open again, their charts are native and hold the brief's numbers."""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO
from typing import Any

import pytest
from helpers import TENANT
from pptx import Presentation
from pptx.enum.chart import XL_CHART_TYPE
from test_brief import HOSTILE, hostile

from gridlens_core.demo.demo import Demo
from gridlens_core.display import worth_words
from gridlens_core.display.branding import Brand
from gridlens_core.display.figures import waterfall
from gridlens_core.explanation.why import Effect, Why
from gridlens_core.leave_behind import brief_words
from gridlens_core.leave_behind.brief import Brief, brief_of
from gridlens_core.leave_behind.slides import brief_slides


def opened(brief: Brief) -> list[Any]:
    return list(Presentation(BytesIO(brief_slides(brief))).slides)


def charts(slides: list[Any]) -> list[Any]:
    return [shape.chart for slide in slides for shape in slide.shapes if shape.has_chart]


def tables(slide: Any) -> list[list[tuple[str, ...]]]:
    return [
        [tuple(cell.text for cell in row.cells) for row in shape.table.rows]
        for shape in slide.shapes
        if shape.has_table
    ]


def said(slide: Any) -> list[str]:
    return [shape.text_frame.text for shape in slide.shapes if shape.has_text_frame]


def test_six_slides_each_with_its_title_and_the_label(brief: Brief) -> None:
    slides = opened(brief)
    assert [slide.shapes.title.text for slide in slides] == [
        *(f"What the meters of {TENANT} showed", "What happened", "Why it moved", "Who, and how much"),
        *("What is it worth to you?", "Method"),
    ]
    assert all(f"Simulated events on {TENANT}" in said(slide) for slide in slides)


def test_the_energy_chart_is_native_and_holds_the_control_rooms_numbers(brief: Brief) -> None:
    chart = charts(opened(brief))[0]
    assert chart.chart_type == XL_CHART_TYPE.LINE
    series = {one.name: list(one.values) for one in chart.plots[0].series}
    assert brief.room.energy.supplied_kwh is not None
    assert series["supplied"] == list(brief.room.energy.supplied_kwh)
    assert series["metered"] == list(brief.room.energy.metered_kwh)
    marks = series["theft FEEDER_7 70 %"]
    assert [mark is not None for mark in marks] == [False] * (len(marks) - 3) + [True] * 3


def test_the_waterfall_is_stacked_columns_that_end_where_the_kpi_stands(brief: Brief) -> None:
    chart = charts(opened(brief))[1]
    assert chart.chart_type == XL_CHART_TYPE.COLUMN_STACKED
    assert brief.why is not None
    bars = waterfall(brief.why, brief.labels)
    base, value = (list(chart.plots[0].series[number].values) for number in (0, 1))
    assert list(chart.plots[0].categories) == [bar.label for bar in bars]
    assert base == pytest.approx([0 if bar.total else bar.low for bar in bars])
    assert [low + size for low, size in zip(base, value, strict=True)] == pytest.approx([bar.high for bar in bars])
    assert value[-1] == pytest.approx(float(brief.why.now))
    assert brief.why.now == brief.room.kpis["loss_pct"]


def test_a_waterfall_across_zero_stacks_down_and_up(brief: Brief) -> None:
    assert brief.why is not None
    start = brief.why.before
    effect = Effect(brief.why.effects[-1].event_id, start * 3)
    why = Why("loss_pct", brief.since, start, -start, start * 2, -start * 2, (effect,))
    chart = charts(opened(replace(brief, why=why)))[1]
    base, up, down, _ = (list(series.values) for series in chart.plots[0].series)
    before = float(why.before)
    assert base == pytest.approx([0, 0, 0, 0])
    assert up == pytest.approx([before, before, 2 * before, 2 * before])
    assert down == pytest.approx([0, -before, -before, 0])


def test_the_tables_say_what_the_page_says(brief: Brief) -> None:
    slides = opened(brief)
    assert tables(slides[1])[0][1:] == [row[:8] for row in brief_words.event_rows(brief)]
    assert tables(slides[2])[0] == [brief_words.KPI_HEAD, *brief_words.kpi_rows(brief)]
    assert brief_words.headline(brief) in said(slides[0])
    parts, basis = tables(slides[4])
    assert parts == [worth_words.PART_HEAD, *worth_words.part_rows(brief.worth)]
    assert basis == [worth_words.BASIS_HEAD, *worth_words.basis_rows(brief.worth)]
    assert worth_words.result(brief.worth) in said(slides[4])
    for fact in brief_words.facts(brief):
        assert fact.value in said(slides[0])


def test_every_chart_has_words_for_those_who_cannot_see_it(brief: Brief) -> None:
    slides = opened(brief)
    frames = [shape for slide in slides for shape in slide.shapes if shape.has_chart]
    assert len(frames) == 2
    assert all(len(frame._element.nvGraphicFramePr.cNvPr.get("descr")) > 20 for frame in frames)


def test_hostile_names_and_letters_that_xml_cannot_hold(brief: Brief) -> None:
    slides = opened(replace(hostile(brief), tenant_id=f"{HOSTILE}\x01"))
    assert any(HOSTILE in line for line in said(slides[0]))


def test_a_quiet_day_has_six_slides_too(demo: Demo) -> None:
    slides = opened(brief_of(demo.desk.explained(TENANT), Brand()))
    assert len(slides) == 6
    assert any("A quiet day" in line for line in said(slides[0]))
    assert len(charts(slides)) == 1
