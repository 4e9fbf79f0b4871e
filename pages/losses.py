"""Losses: the overview and feeder-loss views over days, today live."""

import streamlit as st

from gridlens_core import words
from gridlens_core.schema import FEEDER_LOSS, OVERVIEW
from pages import _charts, _data, _frame, _look

tenant = _frame.tenant()


@_frame.live
def losses() -> None:
    pulse = _data.pulse(tenant)
    overview = _data.kpi_rows(tenant, pulse, OVERVIEW)
    feeders = _data.kpi_rows(tenant, pulse, FEEDER_LOSS)
    if not overview:
        st.info("The overview view has no rows for this tenant yet.", icon=":material/hourglass_empty:")
        return
    today = overview[0]
    of_today = [row for row in feeders if row["day"] == today["day"]]
    with st.grid(4, min_column_width=170, gap="xsmall"):
        st.metric("Loss today", words.percent(today.get("loss_pct")), border=True)
        st.metric("Lost energy today", words.energy(today.get("loss_kwh")), border=True)
        st.metric("Supplied today", words.energy(today.get("supplied_kwh")), border=True)
        st.metric("Metered today", words.energy(today.get("metered_kwh")), border=True)
    left, right = st.columns(2, gap="xsmall")
    with left.container(border=True):
        st.markdown("**Loss by day** :gray[% of supplied energy; today so far is pale]")
        loss = _charts.DaySeries(
            "loss", [row["day"] for row in overview], [row.get("loss_pct") for row in overview], _look.SUPPLIED
        )
        st.plotly_chart(
            _charts.days([loss], "%", 330), key="loss_days", config=_charts.CONFIG, alt="Loss by day in percent"
        )
    with right.container(border=True):
        st.markdown("**Loss by feeder today** :gray[US utilities: 4 % is usual, over 6 % suspicious]")
        by_feeder = {row["feeder_id"]: float(row["loss_pct"]) for row in of_today if row.get("loss_pct") is not None}
        st.plotly_chart(
            _charts.feeders(by_feeder, 330), key="loss_feeders", config=_charts.CONFIG, alt="Loss by feeder today"
        )
    with st.container(border=True):
        st.markdown("**Feeders today** :gray[from the feeder-loss view, largest loss first]")
        st.dataframe(
            of_today,
            hide_index=True,
            height=300,
            column_order=["feeder_id", "loss_pct", "loss_kwh", "supplied_kwh", "metered_kwh", "read_success_pct"],
            column_config={
                "feeder_id": "Feeder",
                "loss_pct": st.column_config.NumberColumn("Loss, % of supplied", format="%.2f"),
                "loss_kwh": st.column_config.NumberColumn("Loss, kWh", format="%.1f"),
                "supplied_kwh": st.column_config.NumberColumn("Supplied, kWh", format="%.1f"),
                "metered_kwh": st.column_config.NumberColumn("Metered, kWh", format="%.1f"),
                "read_success_pct": st.column_config.NumberColumn("Read success, %", format="%.1f"),
            },
            alt="Loss, supplied and metered energy by feeder today",
        )


st.subheader("Losses")
losses()
