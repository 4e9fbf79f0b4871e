"""Suspicious meters: whom the blind detection names, day by day, and on what evidence."""

from collections import Counter

import streamlit as st

from gridlens_core import words
from gridlens_core.schema import OVERVIEW, SUSPICIOUS
from pages import _charts, _data, _frame, _look

ISSUE_LOOK = {"CONSUMPTION_DROP": ("consumption drop", _look.THEFT), "VOLTAGE_LOW": ("low voltage", _look.SAG)}

tenant = _frame.tenant()


@_frame.live
def suspicious() -> None:
    pulse = _data.pulse(tenant)
    rows = _data.kpi_rows(tenant, pulse, SUSPICIOUS)
    days = [row["day"] for row in _data.kpi_rows(tenant, pulse, OVERVIEW)]
    today = _data.demo().today(pulse.grid_now)
    named = [row for row in rows if row["day"] == today]
    issues = Counter(row.get("issue") for row in named)
    with st.grid(3, min_column_width=170, gap="xsmall"):
        st.metric("Meters named now", words.count(len(named)), border=True)
        for issue, (word, _) in ISSUE_LOOK.items():
            st.metric(f"For {word}", words.count(issues[issue]), border=True)
    with st.container(border=True):
        st.markdown("**Meters named by day** :gray[as of each day's last two intervals; today is pale]")
        per_day = Counter((row["day"], row.get("issue")) for row in rows)
        series = [
            _charts.DaySeries(word, days, [per_day[day, issue] for day in days], colour)
            for issue, (word, colour) in ISSUE_LOOK.items()
        ]
        st.plotly_chart(
            _charts.days(series, "meters", 240), key="named_days", config=_charts.CONFIG, alt="Meters named by day"
        )
    with st.container(border=True):
        st.markdown("**Named now, and why** :gray[the view cannot see the events]")
        if not named:
            st.caption(
                "Nobody is named. A meter is named when its feeder loses more than usual, or its voltage is low."
            )
            return
        st.dataframe(
            named,
            hide_index=True,
            height=340,
            column_order=["meter_id", "feeder_id", "issue", "evidence"],
            column_config={"meter_id": "Meter", "feeder_id": "Feeder", "issue": "Issue", "evidence": "Evidence"},
            alt="Meters named today with issue and evidence",
        )


st.subheader("Suspicious meters")
suspicious()
