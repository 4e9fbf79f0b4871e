"""Colours, shapes and the words of a badge, in the current theme."""

import re

import streamlit as st

from gridlens_core import colours, words
from gridlens_core.meters.events import EVENT_KINDS, ColourName, Event, kind_of
from gridlens_core.preflight.findings import Finding

THEFT, SAG, OUTAGE, NORMAL = colours.THEFT, colours.SAG, colours.OUTAGE, colours.NORMAL
SUPPLIED, METERED = colours.SUPPLIED, colours.METERED

# A hatching goes with each colour of a bar or an area, for eyes and printers that see no colour.
HATCHING = {THEFT: "x", SAG: "-", OUTAGE: "."}
ON_COLOUR = "#101010"  # letters on a bar or tag in any event colour: at least 5:1


def colour_name(cause: str | None) -> ColourName:
    """The theme's name of an event type's colour, gray for none."""
    return kind_of(cause or "").colour_name


def colour(cause: str | None) -> str:
    """An event type's colour; the theme's gray for none, or for a type that GridLens does not emulate."""
    return EVENT_KINDS[cause].colour if cause is not None and cause in EVENT_KINDS else quiet()


def called(event: Event) -> str:
    """theft FEEDER_7 70 %; an outage is total whatever its severity."""
    severity = "" if event.event_type == "comms-outage" else f" {words.share(event.fraction)}"
    return f"{event.label}{severity}"


def ink() -> str:
    """The theme's text colour, for the letters in charts; Streamlit's own gray is too faint on a light page."""
    return _of_theme("textColor")


def quiet() -> str:
    """The theme's gray, for lines that carry no colour of their own."""
    return _of_theme("grayColor")


def _of_theme(name: str) -> str:
    """A colour of the theme file; gray where the server was started without it."""
    return str(st.get_option(f"theme.{st.context.theme.type or 'light'}.{name}") or "gray")


FINDING_ICON = {
    "passed": ":green[:material/check_circle:]",
    "degraded": ":orange[:material/warning:]",
    "blocked": ":red[:material/block:]",
}


def finding(one: Finding) -> str:
    """A line of the preflight: icon, state in words, what was found, and the remedy."""
    remedy = f" :gray[Remedy: {plain(one.remedy)}]" if one.remedy else ""
    return f"{FINDING_ICON[one.state]} **{plain(one.what)}**, {one.state}: {plain(one.found)}{remedy}"


JOINER = "\u2060"  # has no width; between two signs it keeps them from being read as one
# What Streamlit replaces in text whatever is escaped in it: icons and emoji, addresses, typographic signs.
READ_TOGETHER = re.compile(
    r":(?=[\w/+-]+:)|(?:https?|ftp):(?=//)|www(?=\.)|(?<=[\w.+-])(?=@)|(?<!\S)(?:<-|-|>|<|~)(?=(?:>|-|=)(?!\S))", re.I
)
SIGNS = re.compile(r"([\\`*_{}\[\]()#$~<>|:&!])")
STARTS_A_BLOCK = re.compile(r"^(\d*)([-+=.)])")  # a list, a rule, the underline of a heading


def plain(text: str) -> str:
    """Text in which Markdown finds nothing to format, on one line: names are shown as they are, whatever is in them."""
    one_line = READ_TOGETHER.sub(lambda found: found[0] + JOINER, " ".join(text.split()))
    return words.unbroken(STARTS_A_BLOCK.sub(r"\1\\\2", SIGNS.sub(r"\\\1", one_line)))


def code(text: str) -> str:
    """Text to copy, shown as it is."""
    return "`" + " ".join(text.replace("`", "'").split()) + "`"


def delta(text: str) -> str:
    """A change for st.metric, which looks at the sign in front."""
    return text[:1] + plain(text[1:]) if text.startswith("-") else plain(text)


def tip(text: str | None) -> str | None:
    """A text for a help balloon, where there is one."""
    return plain(text) if text else None


def in_figure(text: str) -> str:
    """Text for a Plotly figure, which reads some HTML: shown as it is."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
