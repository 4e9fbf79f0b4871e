"""The dashboard and the API as an operator serves them: streamlit run app.py, in a process of its own."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import gridlens_core
from gridlens_core.database.embedded import KEY_FILE

ROOT = Path(gridlens_core.__file__).resolve().parent.parent
# FEEDER_7 is there, and the history is made in a second or two.
QUICK_FLEET = {"GRIDLENS_FEEDERS": "8", "GRIDLENS_METERS_PER_FEEDER": "10", "GRIDLENS_HISTORY_DAYS": "3"}
START_SECONDS, STOP_SECONDS = 90, 30


@dataclass(frozen=True)
class Served:
    """A running server. `log` is the file of all it has printed."""

    base_url: str
    key: str
    data_dir: Path
    log: Path
    process: subprocess.Popen[bytes]

    def stop(self, told: signal.Signals = signal.SIGTERM) -> int:
        """Ends the server and returns its exit status; one that does not end is killed."""
        self.process.send_signal(told)
        try:
            return self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()


def free_port() -> int:
    """A port that nothing listens on at the moment."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def start_server(data_dir: Path, environment: dict[str, str] | None = None, port: int | None = None) -> Served:
    """Starts the server on `data_dir` and waits until it is ready.

    None of the developer's GridLens variables are passed on; a .env beside app.py
    is not read, because the server works in `data_dir`.
    """
    port = port or free_port()
    data_dir.mkdir(parents=True, exist_ok=True)
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("GRIDLENS_", "PG", "STREAMLIT_")) and name != "DATABASE_URL"
    }
    given = {"GRIDLENS_DATA_DIR": str(data_dir), **QUICK_FLEET, **(environment or {})}
    log = data_dir / "server.log"
    with log.open("ab") as output:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "streamlit", "run", str(ROOT / "app.py")),
                *("--server.port", str(port), "--server.headless", "true"),
                *("--server.fileWatcherType", "none", "--browser.gatherUsageStats", "false"),
            ],
            cwd=data_dir,
            env={**kept, **given},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    base_url = f"http://localhost:{port}"
    deadline = time.monotonic() + START_SECONDS
    while not _is_ready(base_url):
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            process.wait()
            raise RuntimeError(f"The server did not start:\n{log.read_text(errors='replace')}")
        time.sleep(0.1)
    key = given.get("GRIDLENS_API_KEY") or (data_dir / KEY_FILE).read_text()
    return Served(base_url, key, data_dir, log, process)


def _is_ready(base_url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{base_url}/api/health", timeout=10) as response:
            return bool(response.status == 200)
    except urllib.error.HTTPError as error:
        error.close()
        return False
    except OSError:
        return False
