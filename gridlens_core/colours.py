"""One colour for each event type, everywhere: screen, brief and slides. Safe for colour-blind eyes (Okabe and Ito)."""

from __future__ import annotations

THEFT, SAG, OUTAGE, NORMAL = "#D55E00", "#E69F00", "#CC79A7", "#009E73"
SUPPLIED, METERED = "#0072B2", "#56B4E9"
GRAY = "#5B6B75"  # natural drift, and what has no colour of its own

EVENT_COLOUR = {"theft": THEFT, "voltage-sag": SAG, "comms-outage": OUTAGE}
