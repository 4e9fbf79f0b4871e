"""The brief as one HTML page for screen and paper, its pictures inside; it loads nothing from anywhere."""

from __future__ import annotations

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from gridlens_core import colours, words
from gridlens_core.display import territory_svg, worth_words
from gridlens_core.leave_behind import brief_words, svg
from gridlens_core.leave_behind.brief import Brief
from gridlens_core.meters.events import colour_of

TEMPLATE = "brief.html.j2"
ENERGY_WIDTH, WATERFALL_WIDTH = 400, 300  # px; together the width of the printed page
CHART_HEIGHT, LOW_CHART_HEIGHT = 112, 108  # px; lower where the table of events is long
GRID = territory_svg.Frame(ENERGY_WIDTH + WATERFALL_WIDTH, 140, 9.5, live=False)
FEW_EVENTS = 3

_templates = Environment(
    loader=PackageLoader("gridlens_core.leave_behind", ""),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    finalize=lambda value: words.unbroken(value) if type(value) is str else value,
)


def brief_html(brief: Brief) -> str:
    """One page, A4 or Letter."""
    height = CHART_HEIGHT if len(brief.receipts) <= FEW_EVENTS else LOW_CHART_HEIGHT
    return _templates.get_template(TEMPLATE).render(
        brief=brief,
        say=brief_words,
        worth_words=worth_words,
        colours=colours,
        colour_of=colour_of,
        energy_width=ENERGY_WIDTH,
        waterfall_width=WATERFALL_WIDTH,
        # The XML writer has escaped every name in these.
        grid=Markup(territory_svg.svg(brief.room, GRID)) if len(brief.receipts) <= FEW_EVENTS else None,
        energy=Markup(svg.energy_chart(brief, ENERGY_WIDTH, height)),
        waterfall=Markup(svg.waterfall_chart(brief, brief.why, WATERFALL_WIDTH, height)) if brief.why else None,
    )
