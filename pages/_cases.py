"""What several pages show of the cases."""

from collections.abc import Sequence

import streamlit as st

from gridlens_core import words
from gridlens_core.display import case_words
from gridlens_core.explanation.cases import Case
from gridlens_core.explanation.moment import Moment
from pages import _data, _look, _worth

LOST_HELP = (
    "Energy delivered but not recorded, at the tariff: ground truth where the emulator made the theft, else estimated "
    "from what the feeder-loss view says beyond the feeder's usual loss. Dismissed cases are left out."
)


def prices(at: Moment) -> case_words.Prices:
    """The tariff, and what a truck roll costs by the saved numbers."""
    numbers = _worth.saved(at)
    basis = numbers.basis["truck_roll_usd"]
    return case_words.Prices(at.tariff_usd_per_kwh, numbers.truck_roll_usd, basis, at.timezone)


def dollars(found: Sequence[Case], at: case_words.Prices, name: str) -> str:
    """The sum of a figure over all cases that were not dismissed."""
    known = [at.usd(getattr(one, name)) for one in found if one.state != "dismissed"]
    return _look.plain(words.dollars(sum(usd or 0.0 for usd in known)))


def count(tenant: str) -> None:
    """How many cases there are to decide, with the way to them."""
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(f"**Cases** {_look.plain(case_words.in_short(_data.cases(tenant)))}", width="content")
        st.page_link("cases.py", label="Decide them", icon=":material/folder_open:")
