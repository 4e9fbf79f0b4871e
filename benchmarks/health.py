"""How long health takes while 200 clients ask for everything else: python -m benchmarks.health [--clients N]

A real server with the default fleet. A third of the clients publish, a third ask for quickcheck, the rest for why,
status and events, each again as soon as it was answered; ten more ask for health. Prints p50, p95 and p99 in seconds
beside the goal, and how often each was answered with what."""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import tempfile
import time
from collections import Counter
from itertools import cycle, islice
from pathlib import Path

import httpx2

from tests.serving import start_server

FLEET = {"GRIDLENS_FEEDERS": "10", "GRIDLENS_METERS_PER_FEEDER": "40", "GRIDLENS_HISTORY_DAYS": "8"}
TENANT = "DEMO_TENANT"
GOAL_S = 0.5  # for p99 of health
PUBLISH, QUICKCHECK, HEALTH, STATUS = "/ami/publish-once", "/ami/kpi/quickcheck", "/health", "/ami/status"
MIX = (PUBLISH, QUICKCHECK, "/ami/kpi/why", PUBLISH, QUICKCHECK, STATUS, PUBLISH, QUICKCHECK, "/ami/events")
HEALTH_CLIENTS, PAUSE_S = 10, 0.05


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=30)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="gridlens-", ignore_cleanup_errors=True) as folder:
        served = start_server(Path(folder), FLEET)
        try:
            print(f"{options.clients} clients for {options.seconds:g} s, and {HEALTH_CLIENTS} for health; seconds")
            print(f"{'':24s}{'p50':>8s}{'p95':>8s}{'p99':>8s}{'goal':>8s}  answers", flush=True)
            # Those who ask for health measure in a process of their own, so that they do not wait for the others.
            given = (served.base_url, served.key, options.seconds)
            crowd = multiprocessing.Process(target=run, args=(*given, [*islice(cycle(MIX), options.clients)]))
            crowd.start()
            run(*given, [HEALTH] * HEALTH_CLIENTS)
            crowd.join()
        finally:
            served.stop()


def run(base_url: str, key: str, seconds: float, paths: list[str]) -> None:
    """Prints how long calls took, asked by a client for each path at once."""
    asyncio.run(measure(base_url, key, seconds, paths))


async def measure(base_url: str, key: str, seconds: float, paths: list[str]) -> None:
    """Asks, and prints how long each call took."""
    took: dict[str, list[float]] = {path: [] for path in paths}
    answers: dict[str, Counter[int | str]] = {path: Counter() for path in took}
    until = time.monotonic() + seconds
    limits = httpx2.Limits(max_connections=None)
    headers = {"Authorization": f"Bearer {key}"}
    async with httpx2.AsyncClient(base_url=f"{base_url}/api", limits=limits, headers=headers, timeout=120) as client:

        async def ask(path: str) -> None:
            tenant = {} if path == HEALTH else {"tenantId": TENANT}
            while time.monotonic() < until:
                began = time.perf_counter()
                try:
                    response = await (
                        client.post(path, json=tenant) if path == PUBLISH else client.get(path, params=tenant)
                    )
                except httpx2.TransportError as error:
                    answers[path][type(error).__name__] += 1
                    continue
                took[path].append(time.perf_counter() - began)
                answers[path][response.status_code] += 1
                await asyncio.sleep(float(response.headers.get("Retry-After", PAUSE_S)))

        await asyncio.gather(*(ask(path) for path in paths))
    for path, values in took.items():
        ordered = sorted(values) or [float("nan")]
        ranks = (min(len(ordered) - 1, int(share * len(ordered))) for share in (0.5, 0.95, 0.99))
        shares = "".join(f"{ordered[rank]:8.3f}" for rank in ranks)
        goal = f"{GOAL_S:8.1f}" if path == HEALTH else " " * 8
        print(f"{path:24s}{shares}{goal}  {dict(answers[path])}", flush=True)


if __name__ == "__main__":
    main()
