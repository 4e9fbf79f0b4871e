"""Colours and shapes, one for each event type everywhere. Safe for colour-blind eyes (Okabe and Ito)."""

from typing import Literal

THEFT, SAG, OUTAGE, NORMAL = "#D55E00", "#E69F00", "#CC79A7", "#009E73"
SUPPLIED, METERED = "#0072B2", "#56B4E9"

EVENT_COLOUR = {"theft": THEFT, "voltage-sag": SAG, "comms-outage": OUTAGE}
# The theme file gives these names the same colours.
ColourName = Literal["orange", "yellow", "violet", "gray"]
EVENT_COLOUR_NAME: dict[str, ColourName] = {"theft": "orange", "voltage-sag": "yellow", "comms-outage": "violet"}
EVENT_ICON = {
    "theft": ":material/electric_bolt:",
    "voltage-sag": ":material/trending_down:",
    "comms-outage": ":material/signal_disconnected:",
}

# state -> (word, colour, marker): a shape goes with each colour
METER_LOOK = {
    "normal": ("normal", NORMAL, "circle"),
    "named": ("named suspicious", THEFT, "x"),
    "low-voltage": ("low voltage", SAG, "triangle-down"),
    "silent": ("no read", OUTAGE, "circle-open"),
}


def colour_name(event_type: str | None) -> ColourName:
    """The theme's colour for an event type, gray for none."""
    return EVENT_COLOUR_NAME.get(event_type or "", "gray")
