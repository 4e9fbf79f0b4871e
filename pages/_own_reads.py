"""Load your own reads: files in, the plan of what they mean, corrections, and the load. The local database only."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import streamlit as st

from gridlens_core import words
from gridlens_core.demo.loads import Loading, Wishes, named_after, planned
from gridlens_core.errors import GridLensError
from gridlens_core.loading.layout import ROLES
from gridlens_core.loading.plan import Plan
from gridlens_core.loading.said import UNITS, Said
from gridlens_core.loading.source import MOST_BYTES
from pages import _data, _frame, _look

FORMS = ["csv", "tsv", "txt", "dat", "xlsx", "xlsm", "parquet", "xml", "gz", "zip"]
FOUND = "as found"
ROLE_WORDS = dict(zip(ROLES, ("Meter", "Feeder", "Time", "Energy", "Voltage"), strict=True))
CERTAINTY = {"sure": "sure", "guess": "a guess", "set": "as you said"}


def own_reads(tenant_id: str) -> None:
    """The part of the page; only a presenter sees more than what was loaded."""
    session = _data.demo().session
    if not session.settings.is_local:
        return
    with st.container(border=True, key="own_reads"):
        st.markdown("**Load your own reads** :gray[CSV, Excel, Parquet, NEM12, Green Button; also gzip and zip]")
        loaded = session.tenants.loaded(tenant_id)
        if loaded is not None:
            reads = f"{loaded.reads:,} reads, {loaded.missing:,} missing, {loaded.estimated:,} estimated"
            st.caption(_look.plain(f"{tenant_id} was loaded from {loaded.files}: {reads}. {loaded.note}"))
            with st.expander("What was found in the file", key="loaded_items"):
                st.dataframe(list(loaded.found), hide_index=True)
        if not _frame.unlocked():
            st.caption("Loading is for the presenter.")
        elif not isinstance(st.session_state.get("loading"), Loading):
            _choose()
        else:
            _progress()


def _choose() -> None:
    files = st.file_uploader(
        "Files of reads", FORMS, accept_multiple_files=True, key="own_files", max_upload_size=MOST_BYTES // 1_000_000
    )
    if not files:
        st.session_state.pop("load_plan", None)
        st.caption("Nothing is loaded before you have seen what was found, and what could not be read is refused.")
        return
    said, wishes = _corrections(files[0].name)
    asked = (tuple(one.file_id for one in files), repr(said), repr(wishes))
    known = st.session_state.get("load_plan")
    if known is None or known[0] != asked:
        with st.spinner("Reading the files"):
            known = st.session_state["load_plan"] = (asked, *_plan(files, said, wishes))
    _, plan, problem = known
    if plan is None:
        st.error(_look.plain(problem), title="Not loaded", icon=":material/block:")
        return
    _show(plan)


def _corrections(file_name: str) -> tuple[Said, Wishes]:
    """What the presenter says of the files."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        tenant = st.text_input("Tenant", named_after(file_name), key="load_tenant", max_chars=40)
        hide = st.toggle("Pseudonyms for meter ids", value=True, key="load_hide")
        shift = st.toggle("Move the history to end now", key="load_shift")
    with st.expander("Correct what was found", key="load_corrections"), st.container(horizontal=True):
        unit = st.selectbox("Unit of energy", [FOUND, *UNITS], key="load_unit")
        label = st.selectbox("A time is its interval's", [FOUND, "start", "end"], key="load_label")
        decimal = st.selectbox("Decimal sign", [FOUND, ".", ","], key="load_decimal")
        order = st.selectbox("03/04/2026 has first", [FOUND, "the day", "the month"], key="load_order")
        zone = st.text_input("Time zone", key="load_zone", placeholder=_data.demo().settings.timezone)
        columns = {role: st.text_input(f"{name} column", key=f"load_{role}") for role, name in ROLE_WORDS.items()}
    said = Said(
        columns={role: name for role, name in columns.items() if name},
        unit="" if unit == FOUND else str(unit),
        timezone=zone.strip(),
        label="" if label == FOUND else str(label),
        decimal="" if decimal == FOUND else str(decimal),
        day_first=None if order == FOUND else order == "the day",
        us_zone=_data.demo().settings.timezone.startswith(("America/", "US/")),
    )
    return said, Wishes(tenant.strip(), keep_ids=not hide, shift_to_now=shift)


def _plan(files: list[Any], said: Said, wishes: Wishes) -> tuple[Plan | None, str]:
    """The plan, or why there is none."""
    with TemporaryDirectory() as folder:
        paths = []
        for number, file in enumerate(files):
            paths.append((Path(folder) / str(number), file.name))
            paths[-1][0].write_bytes(file.getbuffer())
        try:
            return planned(_data.demo(), paths, said, wishes), ""
        except GridLensError as error:
            return None, error.message


def _show(plan: Plan) -> None:
    """What was found, how the last day plays back, and the load."""
    st.dataframe(
        [{"What": one.what, "Found": one.found, "Certainty": CERTAINTY[one.certainty], "Why": one.why}
         for one in plan.items],
        hide_index=True, key="load_items",
    )  # fmt: skip
    st.markdown("**Playback** :gray[the last day of the file, emulated from the days before it]")
    if plan.playback.feeders:
        st.dataframe(plan.playback.table(), hide_index=True, key="load_playback")
    elif plan.playback.note:
        st.caption(_look.plain(plan.playback.note))
    for problem in plan.playback.problems:
        st.error(_look.plain(f"{problem.found}. Remedy: {problem.remedy}"), icon=":material/block:")
    guesses = sum(one.certainty == "guess" for one in plan.items)
    if guesses:
        st.caption(f"{words.plural(guesses, 'line')} of it are guesses: look at them before you load.")
    st.button(
        f"Load {words.plural(len(plan.fleet), 'meter')} as {plan.tenant_id}",
        key="load_reads", icon=":material/upload:", on_click=_begin, args=(plan,),
        disabled=bool(plan.playback.problems) or _frame.controls_off(),
    )  # fmt: skip


def _begin(plan: Plan) -> None:
    if _frame.unlocked():
        st.session_state["loading"] = Loading(_data.demo(), plan)
        st.session_state.pop("load_plan", None)


@st.fragment(run_every=_data.REFRESH_SECONDS)
def _progress() -> None:
    loading = st.session_state.get("loading")
    if not isinstance(loading, Loading):
        return
    if not loading.over:
        st.progress(loading.share, text=_look.plain(loading.doing))
        return
    if loading.problem:
        st.error(_look.plain(loading.problem), title="Not loaded", icon=":material/block:")
    else:
        st.success(_look.plain(f"{loading.tenant_id} is loaded."), icon=":material/check_circle:")
        st.button(f"Show {loading.tenant_id}", key="show_loaded", on_click=_go_to, args=(loading.tenant_id,))
    st.button("Load other files", key="load_more", on_click=_done)


def _go_to(tenant_id: str) -> None:
    _done()
    _data.forget_tenants()
    st.session_state["tenant"] = tenant_id


def _done() -> None:
    st.session_state.pop("loading", None)
