"""Data source: which database and its state, the grid clock, where the API key is, the calls to copy."""

from urllib.parse import urlsplit

import streamlit as st

from gridlens_core import words
from gridlens_core.database.embedded import KEY_FILE
from gridlens_core.errors import GridLensError
from pages import _data, _frame, _look, _own_reads, _realism

KEY = '-H "Authorization: Bearer $GRIDLENS_API_KEY" -H "Content-Type: application/json"'
CALLS = (
    f"curl -X POST $BASE_URL/api/ami/publish-once {KEY} -d "
    """'{{"tenantId":"{tenant}","intervalMinutes":15,"batchSize":50}}'""",
    f"curl -X POST $BASE_URL/api/ami/event/theft {KEY} -d "
    """'{{"tenantId":"{tenant}","feederId":"{feeder}","durationMinutes":60,"severity":0.7}}'""",
    'curl "$BASE_URL/api/ami/kpi/quickcheck?tenantId={tenant}"',
)
ALONE = "KPIs seen are remembered in this server's data directory; a replica without it tells a story of its own."
DEMO_FEEDER = "FEEDER_7"

tenant = _frame.tenant()


@_frame.live
def source() -> None:
    demo = _data.demo()
    at = _data.moment(tenant)
    zone = demo.settings.timezone
    latest = "none yet" if at.pulse.latest_read_at is None else words.clock_time(at.pulse.latest_read_at, zone)
    with st.grid(4, min_column_width=200, gap="xsmall"):
        st.metric(
            "Database",
            demo.session.site.name,
            _look.delta(demo.session.database.address),
            border=True,
            delta_color="off",
            delta_arrow="off",
        )
        st.metric(
            "Grid clock",
            words.clock_time(at.grid_now, zone),
            words.ahead(at.grid_now, demo.session.wall(tenant)),
            border=True,
            delta_color="off",
            delta_arrow="off",
        )
        st.metric("Latest read", latest, _look.plain(zone), border=True, delta_color="off", delta_arrow="off")
        fleet = _data.fleet(tenant)
        st.metric("Fleet", words.plural(len(fleet), "meter"), words.plural(len(fleet.feeders), "feeder"), border=True,
                  delta_color="off", delta_arrow="off")  # fmt: skip


@_frame.live
def preflight() -> None:
    """What the demo needs of the database and what was found; asked again after a while, or on a click."""
    with st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown("**Preflight** :gray[what the demo needs of this database]", width="stretch")
            st.button("Check again", key="check_again", icon=":material/refresh:", on_click=_data.preflight.clear)
        found = _data.preflight(tenant)
        for one in found:
            if one.state != "passed":
                st.markdown(_look.finding(one))
            if one.table:
                with st.expander(_look.plain(one.what), key="table_" + one.what):
                    st.dataframe(list(one.table), hide_index=True)
        passed = [one for one in found if one.state == "passed"]
        with st.expander(f"{len(passed)} of {words.plural(len(found), 'check')} passed", key="passed"):
            st.markdown("\n".join(f"- {_look.finding(one)}" for one in passed))


@_frame.live
def memory() -> None:
    """What of the demo's memory is lost, and who shares it."""
    demo = _data.demo()
    for said in demo.after.lost(tenant):
        st.warning(_look.plain(said), icon=":material/memory_alt:")
    if not demo.session.site.may_put_right:
        st.caption(ALONE)


def feeders_or_none() -> tuple[str, ...]:
    try:
        return _data.fleet(tenant).feeders
    except GridLensError:
        return ()  # the preflight says why


def key_whereabouts() -> str:
    settings = _data.demo().settings
    if settings.api_key is not None:
        return "The API key is the one in `GRIDLENS_API_KEY`."
    if settings.is_local and not _frame.unlocked():
        return "The API key is known to the person who started the server."
    if settings.is_local:
        folder = _look.code(str(settings.data_dir))
        return f"The API key is in the file `{KEY_FILE}` of the data directory ({folder}), mode 0600."
    return "No API key is set: writes are off. Set `GRIDLENS_API_KEY` and start again to turn them on."


st.subheader("Data source")
source()
memory()
preflight()
_own_reads.own_reads(tenant)
with st.container(border=True):
    st.markdown("**HTTP API** :gray[same address; description at /api/openapi.json]")
    st.markdown(key_whereabouts())
    feeders = feeders_or_none()
    feeder = DEMO_FEEDER if DEMO_FEEDER in feeders or not feeders else feeders[-1]
    address = urlsplit(st.context.url or "http://localhost:8501")
    st.markdown(f"`BASE_URL` is this page's address: {_look.code(f'{address.scheme}://{address.netloc}')}")
    for call in CALLS:
        st.code(call.format(tenant=tenant, feeder=feeder), language=None, wrap_lines=True)

_realism.how_real(tenant)
