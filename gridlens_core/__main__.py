"""Command line for operators, and for a worker without the dashboard: python -m gridlens_core"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from typing import Any

from gridlens_core.api import event_json, kpis_json, plain, quickcheck_json
from gridlens_core.clock import DEFAULT_INTERVAL_MINUTES
from gridlens_core.database import connect
from gridlens_core.demo import Demo
from gridlens_core.errors import GridLensError
from gridlens_core.events import EVENT_TYPES
from gridlens_core.queries import EVENTS_MIGRATION
from gridlens_core.settings import load_settings


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; 0 on success, else 1 with one clear line on standard error."""
    options = _parser().parse_args(arguments)
    try:
        demo = Demo(load_settings())
        options.run(demo, options)
    except GridLensError as error:
        print(f"gridlens: {error.message}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m gridlens_core", description="GridLens AMI pilot")
    commands = parser.add_subparsers(title="commands", required=True)

    commands.add_parser("check", help="can this database carry the demo?").set_defaults(run=check)
    commands.add_parser("migrate", help="apply sql/phase3_ami_events.sql, nothing else").set_defaults(run=migrate)

    publish_options = commands.add_parser("publish", help="publish the next intervals")
    how_often = publish_options.add_mutually_exclusive_group()
    how_often.add_argument("--cycles", type=int, default=1, help="how many (default 1)")
    how_often.add_argument("--every", type=float, metavar="SECONDS", help="go on, one cycle each SECONDS")
    publish_options.add_argument("--interval", type=int, default=DEFAULT_INTERVAL_MINUTES, help="minutes")
    publish_options.set_defaults(run=publish)

    event_options = commands.add_parser("event", help="trigger an event")
    event_options.add_argument("type", choices=EVENT_TYPES)
    event_options.add_argument("--feeder", help="default: every feeder")
    event_options.add_argument("--meter")
    event_options.add_argument("--severity", type=float, default=0.7, help="fraction over 0 to 1 (default 0.7)")
    event_options.add_argument("--minutes", type=float, default=60, help="duration (default 60)")
    event_options.set_defaults(run=event)

    commands.add_parser("quickcheck", help="what the KPI views say").set_defaults(run=quickcheck)
    for command in commands.choices.values():
        command.add_argument("--tenant", help="default: the first of GRIDLENS_TENANTS")
    return parser


def check(demo: Demo, options: argparse.Namespace) -> None:
    """Starts as the demo would and says what was found."""
    demo.start()
    schema = demo.schema
    schema.require_reads()
    schema.require_events()
    _show({"ok": True, "database": demo.database.address, "views": sorted(schema.views)})


def migrate(demo: Demo, options: argparse.Namespace) -> None:
    """Applies the events migration to the existing database."""
    if demo.settings.database_url is None:
        demo.start()  # the local database gets the same file with its baseline
    else:
        database = connect(demo.settings.database_url.get_secret_value(), is_local=False)
        with database.transaction() as connection:
            connection.exec_driver_sql(EVENTS_MIGRATION.read_text(encoding="utf-8"))
    _show({"ok": True, "applied": f"sql/{EVENTS_MIGRATION.name}"})


def publish(demo: Demo, options: argparse.Namespace) -> None:
    """Publishes a number of cycles, or goes on until interrupted."""
    demo.start()
    tenant_id = _tenant(demo, options)
    if options.every is None:
        published = demo.publish(tenant_id, interval_minutes=options.interval, cycles=options.cycles)
        _show({"readAt": published.cycles[-1].read_at, "kpis": kpis_json(published.after)})
        return
    demo.auto.start(demo.database, tenant_id, options.every, options.interval)
    try:
        while True:
            time.sleep(options.every)
            problem = demo.auto.problem(tenant_id)
            if problem:
                print(f"gridlens: {problem}", file=sys.stderr)
    finally:
        demo.stop()


def event(demo: Demo, options: argparse.Namespace) -> None:
    """Triggers one event."""
    demo.start()
    written = demo.trigger(
        _tenant(demo, options),
        options.type,
        feeder_id=options.feeder,
        meter_id=options.meter,
        severity=options.severity,
        duration_minutes=options.minutes,
    )
    _show(event_json(written))


def quickcheck(demo: Demo, options: argparse.Namespace) -> None:
    """Prints what GET /api/ami/kpi/quickcheck answers."""
    demo.start()
    _show(quickcheck_json(demo, _tenant(demo, options)))


def _tenant(demo: Demo, options: argparse.Namespace) -> str:
    return demo.check_tenant(options.tenant or demo.settings.tenants[0])


def _show(answer: Any) -> None:
    print(json.dumps(plain(answer), indent=2))


if __name__ == "__main__":
    sys.exit(main())
