"""The brief as a PowerPoint file: six slides whose charts and tables are native, to be edited and restyled."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any

from pptx import Presentation
from pptx.chart.data import CategoryChartData
from pptx.dml.color import RGBColor
from pptx.enum.chart import XL_CHART_TYPE, XL_LABEL_POSITION, XL_LEGEND_POSITION, XL_TICK_LABEL_POSITION
from pptx.enum.dml import MSO_LINE
from pptx.enum.text import MSO_ANCHOR, PP_ALIGN
from pptx.oxml.ns import qn
from pptx.util import Inches, Pt

from gridlens_core import colours, words
from gridlens_core.display import figures, worth_words
from gridlens_core.leave_behind import brief_words
from gridlens_core.leave_behind.brief import Brief
from gridlens_core.meters.events import Event, colour_of

WIDTH, HEIGHT = 13.333, 7.5  # inches, 16:9
LEFT, INNER = 0.6, 13.333 - 1.2
TITLE_ONLY = 5  # of the layouts of the default template
FONT = "Arial"  # on every machine that shows slides
INK, FAINT, PALE = "#0A161E", "#4F5F69", "#E9EEF1"
HOURS_BETWEEN_LABELS = 2
Box = tuple[float, float, float, float]  # left, top, width and height, inches
BASE, VALUE, ROOM = "base", "value", "room for labels"
NOT_TEXT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")  # what XML cannot hold


@dataclass(frozen=True)
class Look:
    """How letters look; size in points."""

    size: int
    bold: bool = False
    colour: str = INK
    align: PP_ALIGN = PP_ALIGN.LEFT


def brief_slides(brief: Brief) -> bytes:
    """The .pptx file: title, what happened, why it moved, who and how much, what it is worth, method."""
    deck: Any = Presentation()
    deck.slide_width, deck.slide_height = Inches(WIDTH), Inches(HEIGHT)
    about = deck.core_properties
    brand = _text(brief.brand)
    about.title, about.author = f"{brand} brief, {brief_words.moment(brief)}", brand
    about.subject = about.comments = _text(brief.label)
    about.last_modified_by, about.created = brand, brief.grid_now.replace(tzinfo=None)
    about.modified = about.created
    _opening(_slide(deck, brief, _text(brief_words.title(brief))), brief)
    _what(_slide(deck, brief, "What happened"), brief)
    _why(_slide(deck, brief, "Why it moved"), brief)
    _who(_slide(deck, brief, "Who, and how much"), brief)
    _worth(_slide(deck, brief, worth_words.TITLE), brief)
    _how(_slide(deck, brief, "Method"), brief)
    file = BytesIO()
    deck.save(file)
    return file.getvalue()


def _slide(deck: Any, brief: Brief, title: str) -> Any:
    """A slide with its title, a line in the house colour, and the label that every slide carries."""
    slide = deck.slides.add_slide(deck.slide_layouts[TITLE_ONLY])
    head = slide.shapes.title
    head.left, head.top, head.width, head.height = Inches(LEFT), Inches(0.35), Inches(INNER), Inches(0.7)
    head.text_frame.vertical_anchor = MSO_ANCHOR.MIDDLE
    head.text_frame.margin_left = 0
    head.text_frame.text = title
    _style(head.text_frame, Look(30, bold=True))
    line = slide.shapes.add_connector(1, Inches(LEFT), Inches(1.1), Inches(LEFT + INNER), Inches(1.1))
    line.line.color.rgb, line.line.width = _rgb(colours.SUPPLIED), Pt(2.5)
    _say(slide, brief.label, (LEFT, 6.95, INNER / 2, 0.35), Look(12, bold=True))
    source, right = f"{brief.brand}, {brief_words.moment(brief)}", Look(12, colour=FAINT, align=PP_ALIGN.RIGHT)
    _say(slide, source, (LEFT + INNER / 2, 6.95, INNER / 2, 0.35), right)
    return slide


def _opening(slide: Any, brief: Brief) -> None:
    _say(slide, brief_words.headline(brief), (LEFT, 1.5, INNER, 1.3), Look(32, bold=True))
    _say(slide, brief_words.story(brief), (LEFT, 2.95, INNER, 1.2), Look(18))
    _facts(slide, brief_words.facts(brief), 4.5)
    _say(slide, f"{brief.database}, {brief_words.size(brief)}", (LEFT, 6.3, INNER, 0.4), Look(14, colour=FAINT))


def _facts(slide: Any, facts: Sequence[brief_words.Fact], top: float) -> None:
    width = INNER / len(facts)
    for number, fact in enumerate(facts):
        left = LEFT + number * width
        _say(slide, fact.label, (left, top, width - 0.15, 0.35), Look(14, colour=FAINT))
        _say(slide, fact.value, (left, top + 0.3, width - 0.15, 0.6), Look(30, bold=True))
        _say(slide, fact.note, (left, top + 0.9, width - 0.15, 0.6), Look(13, colour=FAINT))


def _what(slide: Any, brief: Brief) -> None:
    rows = brief_words.event_rows(brief)
    table_height = 0.36 * (len(rows) + 1) if rows else 0.0
    where = brief_words.chart_place(brief)
    title = f"Supplied and metered energy, {where}, kWh per interval; the gap is the loss, bars are events"
    _say(slide, title, (LEFT, 1.2, INNER, 0.35), Look(14, colour=FAINT))
    _energy(slide, brief, 1.55, 5.2 - table_height)
    if rows:
        kinds = [kind for kind, _ in brief_words.coloured_rows(brief)]
        widths = (2.8, 1.5, 0.75, 1.35, 1.85, 0.85, 0.85, 2.18)
        shown = [row[:8] for row in (brief_words.EVENT_HEAD, *rows)]
        table = _table(slide, shown, (LEFT, 6.85 - table_height), widths)
        for number, kind in enumerate(kinds, start=1):
            _paint(table.cell(number, 0).text_frame, _dark(colour_of(kind)))
    else:
        _say(slide, brief_words.headline(brief), (LEFT, 6.4, INNER, 0.4), Look(14))


def _energy(slide: Any, brief: Brief, top: float, height: float) -> None:
    """A line chart; the events are lines of their own near the bottom, over the intervals they touch."""
    data = brief.room.energy
    if not data.read_at:
        _say(slide, "No reads in the chart's hours.", (LEFT, top, INNER, 0.5), Look(16))
        return
    chart_data = CategoryChartData(number_format="0.0")
    chart_data.categories = [words.clock_time(at, brief.timezone, beside=brief.grid_now)[-5:] for at in data.read_at]
    lines: list[tuple[str, str, float]] = []
    if data.supplied_kwh is not None:
        chart_data.add_series("supplied", data.supplied_kwh)
        lines.append(("supplied", colours.SUPPLIED, 2.5))
    chart_data.add_series("metered", data.metered_kwh)
    lines.append(("metered", colours.METERED, 2.5))
    if data.honest_kwh is not None and brief.receipts:
        chart_data.add_series("metered without events", data.honest_kwh)
        lines.append(("metered without events", FAINT, 1.25))
    level = 0.02 * max([*(data.supplied_kwh or ()), *data.metered_kwh, 0.1])
    for event in brief_words.windows(brief):
        name = _text(brief_words.event_name(event))
        chart_data.add_series(name, [level if touched else None for touched in _touched(brief, event)])
        lines.append((name, event.kind.colour, 9))
    chart = _chart(
        slide, XL_CHART_TYPE.LINE, chart_data, (LEFT, top, INNER, height), brief_words.energy_sentence(brief)
    )
    chart.has_legend = True
    chart.legend.position, chart.legend.include_in_layout = XL_LEGEND_POSITION.TOP, False
    chart.legend.font.size, chart.legend.font.color.rgb = Pt(12), _rgb(INK)
    for series, (name, colour, width) in zip(chart.plots[0].series, lines, strict=True):
        series.smooth = False
        series.format.line.color.rgb, series.format.line.width = _rgb(colour), Pt(width)
        if name == "metered without events":
            series.format.line.dash_style = MSO_LINE.ROUND_DOT
    _axes(chart)
    chart.value_axis.minimum_scale = 0
    per_hour = (
        max(round(3600 / max((data.read_at[-1] - data.read_at[-2]).total_seconds(), 1)), 1) if data.read_at[1:] else 1
    )
    _labels_every(chart.category_axis, HOURS_BETWEEN_LABELS * per_hour)


def _touched(brief: Brief, event: Event) -> list[bool]:
    read_at = brief.room.energy.read_at
    before = [read_at[0] - (read_at[1] - read_at[0]) if read_at[1:] else read_at[0], *read_at]
    return [event.overlaps(start, end) for start, end in zip(before, read_at, strict=False)]


def _why(slide: Any, brief: Brief) -> None:
    wide = 5.0
    if brief.why is None:
        _say(slide, brief_words.why_sentence(brief), (LEFT, 1.4, wide, 1.0), Look(16))
    else:
        _say(slide, brief_words.why_title(brief), (LEFT, 1.2, wide, 0.35), Look(14, colour=FAINT))
        _waterfall(slide, brief, (LEFT, 1.55, wide, 4.9))
    left, narrow = LEFT + wide + 0.3, INNER - wide - 0.3
    title = f"KPIs before and after, {brief_words.span_shown(brief)}"
    _say(slide, title, (left, 1.2, narrow, 0.35), Look(14, colour=FAINT))
    widths = (2.15, 0.95, 0.9, 0.9, 1.05, 0.88)
    rows = brief_words.kpi_rows(brief)
    _table(slide, [brief_words.KPI_HEAD, *rows], (left, 1.6), widths, numbers=True)
    below = 1.8 + 0.36 * (len(rows) + 1)
    _say(slide, brief_words.KPI_NOTE, (left, below, narrow, 0.6), Look(12, colour=FAINT))
    _say(slide, brief_words.why_sentence(brief), (left, 4.9, narrow, 1.4), Look(16))


def _waterfall(slide: Any, brief: Brief, box: Box) -> None:
    """Stacked columns: what carries a bar has no fill. Negative parts stack downwards by themselves."""
    assert brief.why is not None
    bars = figures.waterfall(brief.why, brief.labels)
    low, high = figures.axis(bars, brief.why.kpi)
    chart_data = CategoryChartData(number_format="0.00")
    chart_data.categories = [_text(bar.label) for bar in bars]
    chart_data.add_series(BASE, [max(bar.low, 0.0) + min(bar.high, 0.0) for bar in bars])
    chart_data.add_series(VALUE, [max(bar.high, 0.0) - max(bar.low, 0.0) for bar in bars])
    if any(bar.low < 0 for bar in bars):
        chart_data.add_series(f"{VALUE} below zero", [min(bar.low, 0.0) - min(bar.high, 0.0) for bar in bars])
    chart_data.add_series(ROOM, [(high - low) * 0.1] * len(bars))
    chart = _chart(slide, XL_CHART_TYPE.COLUMN_STACKED, chart_data, box, brief_words.why_sentence(brief))
    chart.has_legend = False
    plot = chart.plots[0]
    plot.gap_width, plot.overlap = 35, 100
    base, *values, room = plot.series
    for unseen in (base, room):
        unseen.format.fill.background()
        unseen.format.line.fill.background()
    for number, bar in enumerate(bars):
        colour = colours.SUPPLIED if bar.total else colour_of(bar.cause)
        for series in values:
            fill = series.points[number].format.fill
            fill.solid()
            fill.fore_color.rgb = _rgb(colour)
        label = room.points[number].data_label
        label.text_frame.text = bar.text
        _style(label.text_frame, Look(14, bold=True))
        label.position = XL_LABEL_POSITION.INSIDE_BASE
    _axes(chart)
    chart.value_axis.minimum_scale, chart.value_axis.maximum_scale = low, high
    chart.value_axis.tick_labels.number_format, chart.value_axis.tick_labels.number_format_is_linked = "0.0", False
    chart.category_axis.tick_label_position = XL_TICK_LABEL_POSITION.LOW


def _who(slide: Any, brief: Brief) -> None:
    _facts(slide, brief_words.detection_facts(brief), 1.4)
    _say(slide, brief_words.detection(brief), (LEFT, 3.1, INNER, 0.8), Look(18))
    rows = [(row[0], row[2], row[7], row[8], row[5], row[6]) for row in brief_words.event_rows(brief)]
    if rows:
        head = ("Event", "Meters", "Named", "Lost before", "Lost so far", "A year, unseen")
        _table(slide, [head, *rows], (LEFT, 4.0), (3.6, 1.2, 2.7, 1.5, 1.5, 1.6))


def _worth(slide: Any, brief: Brief) -> None:
    found = brief.worth
    _say(slide, worth_words.result(found), (LEFT, 1.25, 5.4, 0.7), Look(36, bold=True, colour=colours.SUPPLIED))
    _say(slide, f"{worth_words.about(found)}; {worth_words.ESTIMATE}", (LEFT, 1.95, 5.4, 0.6), Look(14, colour=FAINT))
    parts = [worth_words.PART_HEAD, *worth_words.part_rows(found)]
    _table(slide, parts, (LEFT, 2.65), (2.55, 1.6, 1.65), numbers=True)
    for number, step in enumerate(worth_words.formula(found)):
        _say(slide, f"{number + 1}. {step}", (LEFT, 4.95 + 0.38 * number, INNER, 0.38), Look(12))
    left = LEFT + 5.85
    _table(slide, [worth_words.BASIS_HEAD, *worth_words.basis_rows(found)], (left, 1.3), (1.75, 1.3, 3.23))


def _how(slide: Any, brief: Brief) -> None:
    for number, sentence in enumerate(brief_words.method(brief)):
        _say(slide, str(number + 1), (LEFT, 1.6 + 1.5 * number, 0.6, 0.6), Look(30, bold=True, colour=colours.SUPPLIED))
        _say(slide, sentence, (LEFT + 0.7, 1.65 + 1.5 * number, INNER - 0.7, 1.2), Look(20))


# --- how things are drawn ---------------------------------------------------------------------------------


def _say(slide: Any, said: str, box: Box, look: Look) -> None:
    left, top, width, height = (Inches(side) for side in box)
    frame = slide.shapes.add_textbox(left, top, width, height).text_frame
    frame.word_wrap = True
    frame.margin_left = frame.margin_right = 0
    frame.text = _text(said)
    _style(frame, look)


def _style(frame: Any, look: Look) -> None:
    for paragraph in frame.paragraphs:
        paragraph.alignment = look.align
        paragraph.font.name, paragraph.font.size, paragraph.font.bold = FONT, Pt(look.size), look.bold
        paragraph.font.color.rgb = _rgb(look.colour)


def _paint(frame: Any, colour: str) -> None:
    for paragraph in frame.paragraphs:
        paragraph.font.bold = True
        paragraph.font.color.rgb = _rgb(colour)


def _chart(slide: Any, kind: XL_CHART_TYPE, data: Any, box: Box, alt: str) -> Any:
    frame = slide.shapes.add_chart(kind, *(Inches(side) for side in box), data)
    frame._element.nvGraphicFramePr.cNvPr.set("descr", _text(alt))
    frame.chart.has_title = False
    frame.chart.font.name, frame.chart.font.size = FONT, Pt(12)
    return frame.chart


def _axes(chart: Any) -> None:
    for axis in (chart.category_axis, chart.value_axis):
        axis.format.line.color.rgb = _rgb(FAINT)
        axis.tick_labels.font.size, axis.tick_labels.font.color.rgb = Pt(12), _rgb(INK)
    chart.value_axis.major_gridlines.format.line.color.rgb = _rgb("#CBD5DB")


def _labels_every(axis: Any, categories: int) -> None:
    """One label for every so many categories; python-pptx has no property for it."""
    last = axis._element.find(qn("c:noMultiLvlLbl"))
    for tag in ("c:tickLblSkip", "c:tickMarkSkip"):
        last.addprevious(last.makeelement(qn(tag), {"val": str(categories)}))


def _table(
    slide: Any, rows: Sequence[Sequence[str]], corner: tuple[float, float], widths: Sequence[float], *,
    numbers: bool = False,
) -> Any:  # fmt: skip
    """A plain table under its head, the first row; with `numbers`, all but the first column stand at the right.

    corner : left and top, inches
    """
    left, top = corner
    shape = slide.shapes.add_table(
        len(rows), len(widths), Inches(left), Inches(top), Inches(sum(widths)), Inches(0.36 * len(rows))
    )
    table = shape.table
    table.horz_banding = False
    for column, width in zip(table.columns, widths, strict=True):
        column.width = Inches(width)
    for line, row in enumerate(rows):
        table.rows[line].height = Inches(0.36)
        for number, said in enumerate(row):
            cell = table.cell(line, number)
            cell.margin_left = cell.margin_right = Inches(0.05)
            cell.margin_top = cell.margin_bottom = Inches(0.03)
            cell.vertical_anchor = MSO_ANCHOR.MIDDLE
            cell.fill.solid()
            cell.fill.fore_color.rgb = _rgb(PALE if line == 0 else "#FFFFFF")
            cell.text_frame.text = _text(said)
            align = PP_ALIGN.RIGHT if numbers and number else PP_ALIGN.LEFT
            _style(
                cell.text_frame,
                Look(12, colour=FAINT if line == 0 else INK, bold=line == 0 or number == 0, align=align),
            )
    return table


def _text(said: str) -> str:
    """Letters that XML can hold."""
    return NOT_TEXT.sub("�", said)


def _rgb(colour: str) -> Any:
    return RGBColor.from_string(colour.removeprefix("#"))


def _dark(colour: str) -> str:
    """The colour, dark enough for letters on white."""
    return "#" + "".join(f"{int(int(colour[at : at + 2], 16) * 0.72):02X}" for at in (1, 3, 5))
