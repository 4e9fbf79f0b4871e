"""The colours of screen, brief and slides, safe for colour-blind eyes (Okabe and Ito).
Which event type has which is in meters/events.py."""

from __future__ import annotations

THEFT, SAG, OUTAGE, NORMAL = "#D55E00", "#E69F00", "#CC79A7", "#009E73"
SUPPLIED, METERED = "#0072B2", "#56B4E9"
GRAY = "#5B6B75"  # natural drift, and what has no colour of its own
