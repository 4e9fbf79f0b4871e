"""What it is worth, as the walkthrough and the page of that name show it: with the utility's saved numbers, and over
them those chosen in this browser."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import streamlit as st

from gridlens_core.display import worth_words
from gridlens_core.display.own_numbers import numbers_of
from gridlens_core.explanation.moment import Moment
from gridlens_core.explanation.worth import Numbers, Worth, worth_of
from pages import _data, _frame, _look

CHOSEN = "worth_chosen"  # in the session: by tenant, the numbers that are not the saved ones
HERE = "chosen here, not saved"


def saved(at: Moment) -> Numbers:
    """The utility's own numbers, else the tenant's and the usual ranges."""
    return numbers_of(_data.story().worth, at.fleet, at.tariff_usd_per_kwh)


def numbers(at: Moment) -> Numbers:
    """The saved numbers and over them those chosen in this browser."""
    chosen: dict[str, Any] = st.session_state.get(CHOSEN, {}).get(at.tenant_id, {})
    known = saved(at)
    return replace(known, **chosen, basis={**known.basis, **dict.fromkeys(chosen, HERE)})


def choose(at: Moment, chosen: Mapping[str, Any]) -> None:
    """Keeps for this browser what differs from the saved numbers."""
    known = saved(at)
    others = {name: value for name, value in chosen.items() if value != getattr(known, name)}
    st.session_state[CHOSEN] = {**st.session_state.get(CHOSEN, {}), at.tenant_id: others}


def forget(tenant: str) -> None:
    """Back to the saved numbers."""
    st.session_state.get(CHOSEN, {}).pop(tenant, None)


def worth(at: Moment) -> Worth:
    """What it is worth with the numbers of this browser."""
    return worth_of(numbers(at))


def headline(found: Worth) -> None:
    """The result, large, and what it is of."""
    st.title(_look.plain(worth_words.result(found)), anchor=False)
    st.markdown(f"**{_look.plain(worth_words.about(found))}** :gray[low to high; {worth_words.ESTIMATE}]")


def panel(at: Moment) -> None:
    """The last act of the walkthrough: result, what it is made of, and how it is worked out."""
    found = worth(at)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"**{worth_words.TITLE}** :gray[{_look.plain(worth_words.about(found))}]", width="stretch")
        if not _frame.is_audience():
            st.page_link("worth.py", label="Change the numbers", icon=":material/tune:")
    st.title(_look.plain(worth_words.result(found)), anchor=False)
    with st.grid(3, min_column_width=150, gap="xsmall"):
        for label, low, high in worth_words.part_rows(found)[1:-1]:
            st.metric(_look.plain(label), _look.plain(worth_words.dollars_of(low, high)))
    st.caption(_look.plain(worth_words.in_short(found)), help=_look.tip(worth_words.basis(found)))
