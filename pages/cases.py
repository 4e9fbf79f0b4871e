"""Cases: suspected thefts from the first name to the end, each with its evidence, its dollars and its dispatch."""

import streamlit as st

from gridlens_core import words
from gridlens_core.database.schema import SUSPICIOUS
from gridlens_core.display import case_words
from gridlens_core.explanation.cases import Case, State
from pages import _cases, _data, _frame, _look, _tables

LOOKS = {"open": ("orange", ":material/search:"), "confirmed": ("blue", ":material/gavel:")}
STEPS: dict[State, tuple[tuple[State, str, str], ...]] = {  # wanted state, label and icon
    "open": (("confirmed", "Confirm", ":material/check:"), ("dismissed", "Dismiss", ":material/close:")),
    "confirmed": (
        ("recovered", "Mark recovered", ":material/paid:"),
        ("dismissed", "Dismiss", ":material/close:"),
    ),
    "dismissed": (("open", "Open again", ":material/undo:"),),
    "recovered": (("confirmed", "Not recovered yet", ":material/undo:"),),
}
READY = "A case opens by itself when the view names meters of a feeder. What you decide is kept beside the data."

tenant = _frame.tenant()


def decide(number: int, wanted: State) -> None:
    """Brings a case to the state its button was drawn for; a second click on it changes nothing."""

    def change() -> str:
        _data.decide_case(_data.moment(tenant), number, wanted)
        return f"Case {number} is {wanted}."

    _frame.act(change)


def steps(case: Case) -> None:
    """The buttons that bring a case on."""
    with st.container(horizontal=True, horizontal_alignment="right", gap="xsmall", width="content"):
        for wanted, label, icon in STEPS[case.state]:
            st.button(
                label,
                key=f"case_{wanted}_{case.number}",
                icon=icon,
                on_click=decide,
                args=(case.number, wanted),
                disabled=_frame.controls_off(),
            )


def live_case(case: Case, prices: case_words.Prices) -> None:
    """A case that is still to be decided."""
    colour, icon = LOOKS[case.state]
    with st.container(border=True, gap="xsmall", key=f"case_{case.number}"):
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.badge(case.state, icon=icon, color=colour)  # type: ignore[arg-type]
            st.markdown(f"**Case {case.number}** {_look.plain(case.feeder_id)}", width="stretch")
            steps(case)
        st.markdown(_look.plain(case_words.line(case, prices)))
        st.caption(_look.plain(f"{case_words.evidence(case)}. {case_words.dispatch_line(case, prices)}"))


@_frame.live
def cases() -> None:
    at = _data.moment(tenant)
    found, prices = _data.cases(tenant), _cases.prices(at)
    live = [one for one in found if one.is_live]
    with st.grid(4, min_column_width=170, gap="xsmall"):
        st.metric("Open", words.count(sum(one.state == "open" for one in found)), border=True)
        st.metric("Confirmed", words.count(sum(one.state == "confirmed" for one in found)), border=True)
        st.metric("Lost, all cases", _cases.dollars(found, prices, "lost_kwh"), border=True, help=_cases.LOST_HELP)
        st.metric(
            "Recovered", _cases.dollars(found, prices, "recovered_kwh"), border=True, help=case_words.RECOVERED_HELP
        )
    if SUSPICIOUS not in at.schema.views or SUSPICIOUS in at.kpis.failed:
        _frame.absent(at, SUSPICIOUS, "")
    for case in reversed(live):
        live_case(case, prices)
    _frame.acknowledge(READY)
    with st.container(border=True):
        st.markdown("**All cases** :gray[newest first; grid time]")
        if not found:
            st.caption("No case yet. One opens with the first meter that is named for its consumption.")
            return
        rows = [case_words.row(one, prices) for one in reversed(found)]
        _tables.show(rows, "cases", "Cases with state, loss, dispatch and evidence, newest first")
    decided_on = [one for one in found if not one.is_live]
    if decided_on:
        with st.expander("Change a decision", key="cases_decided"):
            for case in reversed(decided_on):
                with st.container(horizontal=True, vertical_alignment="center", gap="small"):
                    st.markdown(_look.plain(f"Case {case.number}, {case.feeder_id}: {case.state}"), width="stretch")
                    steps(case)


st.subheader("Cases")
cases()
