"""What pages import is imported before the server answers: two threads that import at once find half a module."""

from __future__ import annotations

import os
import subprocess
import sys

from helpers import server_folder
from serving import QUICK_FLEET, ROOT

SECONDS = 240  # for every page once, on a busy machine
# Runs app.py as a server does, up to where it would answer; then every page, dialog and download.
SCRIPT = """
import asyncio, json, sys
from streamlit.testing.v1 import AppTest
import streamlit.web.bootstrap
from gridlens_core.meters.events import EventRequest
import app

from pages import _frame
_frame.is_local_viewer = lambda: True  # whoever sits at this machine may use the controls

async def start():
    async with app.lifespan(None):
        while not app.show.demo.session.ready:
            await asyncio.sleep(0.1)
            assert app.show.demo.session.start_error is None, app.show.demo.session.start_error
        before = set(sys.modules)
        look_at_everything()
        new = set(sys.modules) - before
        return sorted(name for name in new if name.split(".")[0] not in sys.stdlib_module_names)

def look_at_everything():
    from pages import _data, _worth
    demo, (tenant,) = app.show.demo, app.show.demo.settings.tenants
    for number, kind in enumerate(("theft", "voltage-sag", "comms-outage"), start=1):
        where = {"feeder_id": f"FEEDER_{number}", "severity": 0.7, "duration_minutes": 60}
        demo.trigger(tenant, EventRequest(kind, **where))
    demo.publish(tenant, cycles=2)
    demo.desk.explained(tenant)
    for page in sys.argv[2:]:
        browser = AppTest.from_file(sys.argv[1], default_timeout=120)
        browser.run()
        if page != "control_room":
            browser.switch_page(f"{page}.py").run()
        else:
            browser.button(key="why_loss_pct").click().run()
            browser.button(key="rehearse").click().run()
        assert not browser.exception, (page, browser.exception)
    at = demo.desk.known(tenant)
    _data.brief_html(at, _worth.saved(at))
    _data.brief_slides(at, _worth.saved(at))

print(json.dumps(asyncio.run(start())))
"""
PAGES = sorted(page.stem for page in (ROOT / "pages").glob("[a-z]*.py") if page.stem != "entry")


def test_no_page_imports_anything_that_was_not_there_before_the_server_answered() -> None:
    with server_folder() as folder:
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT, str(ROOT / "pages" / "entry.py"), *PAGES],
            cwd=folder,
            env={
                **os.environ,
                "GRIDLENS_DATA_DIR": str(folder),
                **QUICK_FLEET,
                "PYTHONPATH": str(ROOT),
            },
            capture_output=True,
            text=True,
            timeout=SECONDS,
        )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"
