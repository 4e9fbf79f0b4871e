"""The dashboard and the HTTP API in one process, at one address: streamlit run app.py"""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import streamlit as st
from starlette.middleware import Middleware
from starlette.routing import Mount
from streamlit import config

from gridlens_core.api.guard import Guard, Rules
from gridlens_core.api.routes import build_api
from gridlens_core.api.slow import drop_slow_connections
from gridlens_core.database.embedded import KEY_FILE
from gridlens_core.errors import SettingsError
from gridlens_core.show import Show, make_show, put_on_stage
from pages._calm import unforeseen
from pages._imports import import_all
from pages._policy import page_policy


@asynccontextmanager
async def lifespan(_: object) -> AsyncIterator[None]:
    """Starts the database without holding up the first page, which shows how far the start has come."""
    import_all()
    sys.stdout.write(f"GridLens: {about_the_key(show)}\n")
    sys.stdout.flush()
    show.start_in_background()
    show.go_on_with_loops()
    yield
    show.stop()


def about_the_key(show: Show) -> str:
    """What the person who starts the server must know of its key; a key that was set is not repeated."""
    demo = show.demo
    if demo.session.api_key is None:
        return "writing is off, because GRIDLENS_API_KEY is not set."
    if demo.settings.api_key is not None:
        return "the API key is the one in GRIDLENS_API_KEY."
    return f"the API key is {demo.session.api_key} (kept in {demo.settings.data_dir / KEY_FILE})."


def say_calmly(error: Exception) -> bool:
    """What a page says in place of Streamlit's box when something unforeseen fails; Streamlit has logged the error."""
    unforeseen()
    return True


try:
    show = put_on_stage(make_show())
except SettingsError as error:
    sys.exit(f"gridlens: {error.message}")

if show.story.brand.colours is not None:
    config.set_option("theme.light.primaryColor", show.story.brand.colours.light)
    config.set_option("theme.dark.primaryColor", show.story.brand.colours.dark)
drop_slow_connections()
rules = Rules(lambda: st.get_option("server.address"), show.demo.settings.allowed_hosts, page_policy())
app = st.App(
    "pages/entry.py",
    lifespan=lifespan,
    routes=[Mount("/api", app=build_api(show.demo))],
    middleware=[Middleware(Guard, rules=rules)],
    on_script_error=say_calmly,
)
