"""The dashboard and the HTTP API in one process, at one address: streamlit run app.py"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import streamlit as st
from starlette.routing import Mount

from gridlens_core.api import build_api
from gridlens_core.demo import shared_demo


@asynccontextmanager
async def lifespan(_: object) -> AsyncIterator[None]:
    """Starts the database without holding up the first page, which shows how far the start has come."""
    shared_demo().start_in_background()
    yield
    shared_demo().stop()


app = st.App("pages/entry.py", lifespan=lifespan, routes=[Mount("/api", app=build_api(shared_demo()))])
