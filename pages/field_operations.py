"""Field operations: open tasks by kind, day by day, today live."""

import streamlit as st

from gridlens_core import words
from gridlens_core.database.schema import FIELDOPS
from pages import _charts, _data, _frame, _look

# column -> (word, colour)
KINDS = {
    "revenue_or_meter_tasks": ("revenue or meter", _look.THEFT),
    "power_quality_tasks": ("power quality", _look.SAG),
    "comms_tasks": ("comms", _look.OUTAGE),
}

tenant = _frame.tenant()


@_frame.live
def field_operations() -> None:
    rows = _data.kpi_rows(_data.moment(tenant), FIELDOPS)
    if not rows:
        _frame.absent(FIELDOPS, "The field-operations view has no rows for this tenant yet.")
        return
    today = rows[0]
    with st.grid(4, min_column_width=170, gap="xsmall"):
        for column, word in {
            "open_tasks": "Open field",
            **{name: kind[0].capitalize() for name, kind in KINDS.items()},
        }.items():
            open_now = today.get(column)
            why = _look.tip(_data.why_absent(column, open_now))
            st.metric(f"{word} tasks", words.count(open_now), border=True, help=why)
    with st.container(border=True):
        st.markdown("**Open tasks by day** :gray[at each day's end; today is pale]")
        series = [
            _charts.DaySeries(word, [row["day"] for row in rows], [row[column] for row in rows], colour)
            for column, (word, colour) in KINDS.items()
            if column in today
        ]
        _charts.show(_charts.days(series, "tasks", 320), "task_days", "Open tasks by day and kind")
    st.caption(
        "One task is one dispatch: a crew is sent to a feeder for a kind of work. "
        "A truck roll costs \\$250 to \\$1,000 (S&C, TSIA)."
    )


st.subheader("Field operations")
field_operations()
