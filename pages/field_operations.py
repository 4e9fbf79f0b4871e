"""Field operations: open tasks by kind, day by day, today live."""

import streamlit as st

from gridlens_core.database.schema import FIELDOPS
from gridlens_core.display import kpi_words, worth_words
from gridlens_core.explanation.catalogue import CATALOGUE
from pages import _cases, _charts, _data, _frame, _look, _worth

COLOURS = {
    "revenue_or_meter_tasks": _look.THEFT,
    "power_quality_tasks": _look.SAG,
    "comms_tasks": _look.OUTAGE,
}

tenant = _frame.tenant()


@_frame.live
def field_operations() -> None:
    at = _data.moment(tenant)
    rows = _data.kpi_rows(at, FIELDOPS)
    if not rows or FIELDOPS in at.kpis.failed:
        _frame.absent(at, FIELDOPS, "The field-operations view has no rows for this tenant yet.")
        return
    today = rows[0]
    with st.grid(4, min_column_width=170, gap="xsmall"):
        for kpi in ("open_tasks", *COLOURS):
            open_now, row = today.get(kpi), CATALOGUE[kpi]
            label = row.label if row.on_card else f"{row.label} {row.unit}"
            why_absent = _look.tip(_data.why_absent(at, kpi, open_now))
            st.metric(label, kpi_words.value_of(kpi, open_now), border=True, help=why_absent)
    _cases.count(tenant)
    with st.container(border=True):
        st.markdown("**Open tasks by day** :gray[at each day's end; today is pale]")
        series = [
            _charts.DaySeries(
                CATALOGUE[kpi].label.lower(), [row["day"] for row in rows], [row[kpi] for row in rows], colour
            )
            for kpi, colour in COLOURS.items()
            if kpi in today
        ]
        _charts.show(_charts.days(series, "tasks", 320), "task_days", "Open tasks by day and kind")
    numbers = _worth.saved(at)
    cost = worth_words.value("truck_roll_usd", numbers.truck_roll_usd)
    st.caption(
        "One task is one dispatch: a crew is sent to a feeder for a kind of work. "
        + _look.plain(f"A truck roll costs {cost} ({numbers.basis['truck_roll_usd']}).")
    )


st.subheader("Field operations")
field_operations()
