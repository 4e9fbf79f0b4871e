"""The dashboard and the HTTP API in one process, at one address: streamlit run app.py"""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import streamlit as st
from starlette.routing import Mount
from streamlit import config

from gridlens_core.api import build_api
from gridlens_core.demo import Demo, shared_demo
from gridlens_core.director import stop_directors
from gridlens_core.embedded import KEY_FILE
from gridlens_core.errors import SettingsError


@asynccontextmanager
async def lifespan(_: object) -> AsyncIterator[None]:
    """Starts the database without holding up the first page, which shows how far the start has come."""
    sys.stdout.write(f"GridLens: {about_the_key(demo)}\n")
    sys.stdout.flush()
    demo.start_in_background()
    yield
    stop_directors(demo)
    demo.stop()


def about_the_key(demo: Demo) -> str:
    """What whoever starts the server must know of its key; one that was set is not repeated."""
    if demo.api_key is None:
        return "writing is off, because GRIDLENS_API_KEY is not set."
    if demo.settings.api_key is not None:
        return "the API key is the one in GRIDLENS_API_KEY."
    return f"the API key is {demo.api_key} (kept in {demo.settings.data_dir / KEY_FILE})."


try:
    demo = shared_demo()
except SettingsError as error:
    sys.exit(f"gridlens: {error.message}")

if demo.story.brand.colours is not None:
    config.set_option("theme.light.primaryColor", demo.story.brand.colours.light)
    config.set_option("theme.dark.primaryColor", demo.story.brand.colours.dark)
app = st.App("pages/entry.py", lifespan=lifespan, routes=[Mount("/api", app=build_api(demo))])
