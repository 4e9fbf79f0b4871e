"""Events: the log and the timeline of ami_events."""

import streamlit as st

from gridlens_core import words
from pages import _charts, _data, _frame

tenant = _frame.tenant()


@_frame.live
def events() -> None:
    pulse = _data.pulse(tenant)
    timezone = _data.demo().settings.timezone
    log = _data.events(tenant, pulse)
    if not log:
        st.info("No event yet. The control room triggers them.", icon=":material/event_available:")
        return
    with st.container(border=True):
        st.markdown("**Timeline** :gray[grid time; the dotted line is the grid clock]")
        st.plotly_chart(
            _charts.timeline(log, timezone, pulse.grid_now, 260),
            key="timeline",
            config=_charts.CONFIG,
            alt="Events from start to end by feeder or meter",
        )
    with st.container(border=True):
        st.markdown("**Log** :gray[newest first]")
        st.dataframe(
            [
                {
                    "Event": event.name,
                    "Where": event.where,
                    "Severity": event.severity,
                    "From": words.clock_time(event.starts_at, timezone),
                    "To": words.clock_time(event.ends_at, timezone),
                    "State": event.state(pulse.grid_now),
                    "Id": str(event.id),
                }
                for event in log
            ],
            hide_index=True,
            column_config={"Severity": st.column_config.NumberColumn(format="percent")},
            alt="Event log, newest first",
        )


st.subheader("Events")
events()
