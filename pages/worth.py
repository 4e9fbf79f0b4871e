"""What is it worth to you: the utility's own numbers on sliders, each with its range and where that was found, and the
result as a range with its formula in words. Sliders change what this browser shows; a button saves them."""

from typing import Any

import streamlit as st

from gridlens_core import words
from gridlens_core.display import sentences, worth_words
from gridlens_core.display.own_numbers import OwnNumbers, own_of
from gridlens_core.explanation.moment import Moment
from gridlens_core.explanation.worth import INPUTS, Input, Numbers, Range, worth_of
from pages import _data, _frame, _look, _tables, _worth

READY = "The walkthrough, the brief and the slides use these numbers; saved, they stay in walkthrough.toml."
FORMATS = {"kWh": "%,.0f", "$/kWh": "%.3f", "%": "%.1f", "$": "%,.0f"}
DIGITS = 4  # after the decimal point that a slider can mean

tenant = _frame.tenant()


def key_of(row: Input) -> str:
    """Of its slider; going back to the saved numbers begins with new sliders."""
    return f"worth_{row.name}_{tenant}_{st.session_state.get('worth_turn', 0)}"


def sizes(own: int) -> list[int]:
    """Numbers of customers to choose from: two digits each, and the utility's own."""
    limits = INPUTS["customers"].limits
    steps = {10**power * number for power in range(1, 7) for number in range(10, 100)}
    return sorted({one for one in steps if limits.low <= one <= limits.high} | {own})


def customers(row: Input, known: int) -> int:
    """From a hundred to millions in even steps."""
    options = sizes(known)
    said: int = st.select_slider(
        row.label, options, known, format_func=words.count, key=key_of(row), persist_state="session"
    )
    return said


def slider(row: Input, known: float | Range) -> float | Range:
    """One number or both ends of a range; it can go as far as the saved one even beyond the usual range."""
    ends = (float(known.low), float(known.high)) if isinstance(known, Range) else (float(known),)
    said: Any = st.slider(
        f"{row.label}, {row.unit}",
        float(min(row.limits.low, *ends)),
        float(max(row.limits.high, *ends)),
        ends if row.is_range else ends[0],
        float(row.step),
        format=FORMATS[row.unit],
        key=key_of(row),
        persist_state="session",
    )
    return Range(*(round(end, DIGITS) for end in said)) if row.is_range else round(said, DIGITS)


def one_input(row: Input, known: Numbers) -> int | float | Range:
    """A slider with its range, where that was found, and where the number on it is from."""
    before = getattr(known, row.name)
    with st.container(border=True, gap="xxsmall", key=f"worth_{row.name}", height="stretch"):
        chosen = customers(row, before) if row.name == "customers" else slider(row, before)
        basis = known.basis[row.name] if chosen == before else _worth.HERE
        own = "" if basis == row.source else f"**{_look.plain(sentences.capital(basis))}.** "
        st.caption(f"{own}{_look.plain(worth_words.limits(row.name))}")
    return chosen


def inputs(at: Moment) -> Numbers:
    """The sliders, and what they are set to."""
    known, (first, *others) = _worth.saved(at), INPUTS.values()
    chosen = {first.name: one_input(first, known)}
    with st.grid(2, min_column_width=280, gap="xsmall"):
        for row in others:
            chosen[row.name] = one_input(row, known)
    _worth.choose(at, chosen)
    return _worth.numbers(at)


def save(own: OwnNumbers) -> None:
    """Keeps the numbers the button was drawn with."""

    def keep() -> str:
        _data.save_numbers(own)
        return "The numbers are saved in walkthrough.toml."

    _frame.act(keep)


def back() -> None:
    """The sliders go back to the saved numbers."""
    _worth.forget(tenant)
    st.session_state["worth_turn"] = st.session_state.get("worth_turn", 0) + 1


@_frame.live
def worth() -> None:
    at = _data.moment(tenant)
    left, right = st.columns([1, 1.35], gap="xsmall")  # on a phone the result comes first
    with right.container(gap="xsmall"):
        numbers = inputs(at)
    found = worth_of(numbers)
    with left.container(border=True, gap="xsmall", key="worth_result"):
        _worth.headline(found)
        _tables.show(
            [dict(zip(worth_words.PART_HEAD, row, strict=True)) for row in worth_words.part_rows(found)],
            "worth",
            "What the worth of the first year is made of, low and high",
        )
        st.markdown("\n".join(f"1. {_look.plain(step)}" for step in worth_words.formula(found)))
        own = own_of(numbers)
        with st.container(horizontal=True, vertical_alignment="center"):
            _frame.button(
                "Save these numbers",
                key="worth_save",
                does=own.model_dump_json(),
                on_click=save,
                args=(own,),
                icon=":material/save:",
                disabled=_frame.controls_off(),
            )
            st.button("Back to the saved numbers", key="worth_back", icon=":material/undo:", on_click=back)
        _frame.acknowledge(READY)


st.subheader(worth_words.TITLE)
worth()
