"""Many browsers that follow one demo: python -m benchmarks.viewers [--browsers 50] [--cycles 20] [--every 2]

Each browser is a client that speaks Streamlit's protocol: it opens the page, and asks again as often as the page tells
it to; nothing is drawn, for fifty real browsers would keep the machine busy themselves. Prints the first paint, how
late each browser sees a published interval, how many it sees, and the server's share of a core."""

from __future__ import annotations

import argparse
import asyncio
import time
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import psutil
import websockets
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

from benchmarks.click import TENANT, call, server
from tests.serving import Served

ZONE = ZoneInfo("America/Chicago")
GOALS = {"first paint, last of them [s]": 5.0, "lag, p95 [s]": 2.0, "seen": 0.95, "share of a core": 0.4}
SETTLE_S = 3
INTERVAL = timedelta(minutes=15)


@dataclass
class Viewer:
    """One browser on one page; `seen` is when each grid clock was first on it."""

    url: str
    page: str
    script_hash: str = ""
    painted: float = 0.0
    seen: dict[str, float] = field(default_factory=dict)
    wanted: set[str] = field(default_factory=set)

    async def follow(self) -> None:
        """Opens the page and follows it until it is cancelled."""
        origin = self.url.replace("ws://", "http://").split("/_stcore")[0]
        async with websockets.connect(self.url, max_size=None, subprotocols=["streamlit"], origin=origin) as socket:
            await socket.send(self._rerun())
            timers: dict[str, asyncio.Task[None]] = {}
            told: set[str] = set()
            try:
                async for raw in socket:
                    message = ForwardMsg.FromString(raw)
                    self._look(raw)
                    kind = message.WhichOneof("type")
                    if kind == "new_session":
                        told.clear()
                    elif kind == "navigation":
                        self.script_hash = message.navigation.page_script_hash
                    elif kind == "auto_rerun":
                        again = message.auto_rerun
                        told.add(again.fragment_id)
                        if again.fragment_id not in timers:
                            repeat = self._repeat(socket, again.interval, again.fragment_id)
                            timers[again.fragment_id] = asyncio.create_task(repeat)
                    elif kind == "script_finished" and message.script_finished == ForwardMsg.FINISHED_SUCCESSFULLY:
                        self.painted = self.painted or time.monotonic()
                        for gone in timers.keys() - told:  # fragments of an earlier run of the page
                            timers.pop(gone).cancel()
            finally:
                for timer in timers.values():
                    timer.cancel()

    async def _repeat(self, socket: websockets.ClientConnection, interval_s: float, fragment_id: str) -> None:
        while True:
            await asyncio.sleep(interval_s)
            await socket.send(self._rerun(fragment_id))

    def _rerun(self, fragment_id: str = "") -> bytes:
        message = BackMsg()
        message.rerun_script.page_name = self.page
        message.rerun_script.page_script_hash = self.script_hash
        message.rerun_script.fragment_id = fragment_id
        message.rerun_script.is_auto_rerun = bool(fragment_id)
        message.rerun_script.context_info.timezone = str(ZONE)
        return message.SerializeToString()

    def _look(self, raw: bytes | str) -> None:
        for clock in self.wanted - self.seen.keys():
            if clock.encode() in bytes(raw):
                self.seen[clock] = time.monotonic()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--browsers", type=int, default=50)
    parser.add_argument("--cycles", type=int, default=20)
    parser.add_argument("--every", type=float, default=2.0, help="seconds between publishes")
    parser.add_argument("--page", default="audience")
    options = parser.parse_args()
    with server() as served:
        found = asyncio.run(measured(served, options))
    print(f"{options.browsers} browsers on {options.page or 'the control room'}, a publish every {options.every:g} s")
    for name, goal in GOALS.items():
        print(f"{name:32s}{found[name]:8.2f}   goal {goal:g}")


async def measured(served: Served, options: argparse.Namespace) -> dict[str, float]:
    """What the browsers saw, by the names of GOALS."""
    url = served.base_url.replace("http://", "ws://") + "/_stcore/stream"
    viewers = [Viewer(url, options.page) for _ in range(options.browsers)]
    process = psutil.Process(served.process.pid)
    began = time.monotonic()
    tasks = [asyncio.create_task(viewer.follow()) for viewer in viewers]
    while not all(viewer.painted for viewer in viewers):
        for task in tasks:
            if task.done():
                task.result()
        await asyncio.sleep(0.05)
    painted = max(viewer.painted for viewer in viewers) - began
    await asyncio.sleep(SETTLE_S)
    cpu, watched, published = cpu_s(process), time.monotonic(), {}
    for _ in range(options.cycles):
        due = time.monotonic() + options.every
        clock = await asyncio.to_thread(next_clock, served)
        for viewer in viewers:
            viewer.wanted.add(clock)
        published[clock] = time.monotonic()
        await asyncio.to_thread(call, served, "publish-once", {"tenantId": TENANT})
        await asyncio.sleep(max(0.0, due - time.monotonic()))
    await asyncio.sleep(SETTLE_S)
    share = (cpu_s(process) - cpu) / (time.monotonic() - watched)
    for task in tasks:
        if task.done():
            task.result()  # raises what ended it
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    lags = sorted(seen - published[clock] for viewer in viewers for clock, seen in viewer.seen.items())
    return {
        "first paint, last of them [s]": painted,
        "lag, p95 [s]": lags[int(0.95 * len(lags))] if lags else float("inf"),
        "seen": len(lags) / (len(viewers) * options.cycles),
        "share of a core": share,
    }


def cpu_s(process: psutil.Process) -> float:
    """CPU seconds of the server so far."""
    times = process.cpu_times()
    return times.user + times.system


def next_clock(served: Served) -> str:
    """The grid clock after the next publish, as pages write it."""
    grid_now = datetime.fromisoformat(str(call(served, f"status?tenantId={TENANT}")["gridNow"]))
    return f"{(grid_now + INTERVAL).astimezone(ZONE):%H:%M}"


if __name__ == "__main__":
    main()
