"""Command line for operators, and for a worker without the dashboard: python -m gridlens_core"""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from threading import Event
from typing import Any, NoReturn

from pydantic import BaseModel

from gridlens_core.api.answers import EventFacts, PublishAnswer, QuickcheckAnswer, RehearseAnswer
from gridlens_core.database.connection import connect
from gridlens_core.database.discovery import discover
from gridlens_core.database.queries import EVENTS_MIGRATION
from gridlens_core.demo.demo import Demo, Published
from gridlens_core.demo.loads import Wishes, load, planned
from gridlens_core.errors import BadInputError, DatabaseNotReadyError, GridLensError
from gridlens_core.loading.layout import ROLES
from gridlens_core.loading.said import UNITS, Said
from gridlens_core.meters.events import EVENT_TYPES, EventRequest
from gridlens_core.meters.patterns import PATTERNS
from gridlens_core.preflight.checks import preflight, summary
from gridlens_core.publishing.auto import AutoPublishers
from gridlens_core.show import Show, make_show

FAILED, BAD_OPTION, INTERRUPTED = 1, 2, 130


class OneLineParser(argparse.ArgumentParser):
    """Says what is wrong in one line, without the usage."""

    def error(self, message: str) -> NoReturn:
        self.exit(BAD_OPTION, f"gridlens: {message} (see {self.prog} --help)\n")


def main(arguments: Sequence[str] | None = None, make: Callable[[], Show] = make_show) -> int:
    """Runs one command on the show that `make` makes; 0 on success, else not 0 and one clear line on standard error."""
    options = _parser().parse_args(arguments)
    demo = None
    try:
        demo = make().demo
        options.run(demo, options)
    except GridLensError as error:
        _complain(error.message)
        return FAILED
    except KeyboardInterrupt:
        _complain("interrupted")
        return INTERRUPTED
    finally:
        if demo is not None:
            demo.stop()
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = OneLineParser(prog="python -m gridlens_core", description="GridLens AMI pilot")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    check_options = commands.add_parser("check", help="can this database carry the demo?")
    check_options.add_argument("--json", action="store_true", help="as JSON, for programs")
    check_options.set_defaults(run=check)
    commands.add_parser("migrate", help="apply sql/phase3_ami_events.sql, nothing else").set_defaults(run=migrate)

    publish_options = commands.add_parser("publish", help="publish the next intervals")
    how_often = publish_options.add_mutually_exclusive_group()
    how_often.add_argument("--cycles", type=int, default=1, help="how many (default 1)")
    how_often.add_argument("--every", type=float, metavar="SECONDS", help="go on, one cycle each SECONDS")
    publish_options.add_argument("--interval", type=int, help="minutes (default: as the history has it)")
    publish_options.set_defaults(run=publish)

    event_options = commands.add_parser("event", help="trigger an event")
    event_options.set_defaults(run=event)
    rehearse_options = commands.add_parser("rehearse", help="the KPI path an event would cause; nothing stays")
    rehearse_options.add_argument("--cycles", type=int, default=4, help="how many (default 4)")
    rehearse_options.set_defaults(run=rehearse)
    for options in (event_options, rehearse_options):
        options.add_argument("type", choices=EVENT_TYPES)
        options.add_argument("--feeder", help="default: every feeder")
        options.add_argument("--meter", help="default: every meter")
        options.add_argument("--severity", type=float, default=0.7, help="fraction over 0 to 1 (default 0.7)")
        options.add_argument("--minutes", type=float, default=60, help="duration (default 60)")
        options.add_argument("--pattern", choices=PATTERNS, default="bypass", help="of a theft (default bypass)")

    load_options = commands.add_parser("load", help="load your own reads into the local database")
    load_options.add_argument(
        "files", nargs="+", type=Path, metavar="FILE", help="CSV, Excel, Parquet, NEM12, Green Button"
    )
    load_options.add_argument("--timezone", default="", help="of times that say none (default GRIDLENS_TIMEZONE)")
    load_options.add_argument("--unit", choices=UNITS, default="", help="of the energy (default: found)")
    load_options.add_argument("--time-is", choices=("start", "end"), default="", help="of an interval (default: found)")
    load_options.add_argument("--day-first", action="store_true", default=None, help="of dates such as 03/04/2026")
    load_options.add_argument(
        "--column", action="append", default=[], metavar="ROLE=NAME", help=f"a column's role: {', '.join(ROLES)}"
    )
    load_options.add_argument("--keep-ids", action="store_true", help="not replaced by pseudonyms")
    load_options.add_argument("--shift-to-now", action="store_true", help="by whole weeks")
    load_options.add_argument("--yes", action="store_true", help="load without asking")
    load_options.set_defaults(run=load_files)

    commands.add_parser("quickcheck", help="what the KPI views say").set_defaults(run=quickcheck)
    for command in commands.choices.values():
        command.add_argument("--tenant", help="default: the first of GRIDLENS_TENANTS")
    return parser


def check(demo: Demo, options: argparse.Namespace) -> None:
    """Says of each thing the demo needs whether it is there; fails where one is blocked."""
    findings = preflight(demo, options.tenant or demo.settings.tenants[0])
    if options.json:
        _show({**summary(findings), "findings": [asdict(one) for one in findings]})
    else:
        widest = max(len(one.what) for one in findings)
        for one in findings:
            remedy = f"  Remedy: {one.remedy}" if one.remedy else ""
            print(f"{one.state:<8}  {one.what:<{widest}}  {one.found}{remedy}")
            for row in one.table:
                print(f"{'':<{widest + 12}}{', '.join(f'{name} {value}' for name, value in row.items())}")
    blocked = [one for one in findings if one.state == "blocked"]
    if blocked:
        more = f" (and {len(blocked) - 1} more)" if len(blocked) > 1 else ""
        raise DatabaseNotReadyError(f"{blocked[0].what} is blocked: {blocked[0].found}{more}")


def migrate(demo: Demo, options: argparse.Namespace) -> None:
    """Applies the events migration to the existing database."""
    if demo.settings.database_url is None:
        demo.session.start()  # the local database gets the same file with its baseline
    else:
        database = connect(demo.settings.database_url.get_secret_value(), is_local=False)
        with database.transaction() as connection:
            there = discover(connection)
            if there.events_problem:
                there.require_events()  # which says what is there; a migration leaves that as it is
            connection.exec_driver_sql(EVENTS_MIGRATION.read_text(encoding="utf-8"))
        database.engine.dispose()
    _show({"ok": True, "applied": f"sql/{EVENTS_MIGRATION.name}"})


def publish(demo: Demo, options: argparse.Namespace) -> None:
    """Publishes a number of cycles, or goes on until it is told to stop."""
    demo.session.start()
    tenant_id = _tenant(demo, options)
    if options.every is None:
        _show(PublishAnswer.of(demo.publish(tenant_id, interval_minutes=options.interval, cycles=options.cycles)))
        return
    timer = AutoPublishers(lambda tenant, minutes: _log(demo.publish(tenant, interval_minutes=minutes)))
    with _until_told_to_stop() as stopped:
        interval = options.interval or demo.usual_interval(tenant_id)
        timer.start(demo.session.database, tenant_id, options.every, interval)
        said = None
        try:
            # Not one long wait: on Windows it would keep signals waiting too.
            while not stopped.wait(timeout=0.5):
                problem = timer.problem(tenant_id)
                if problem and problem != said:
                    _complain(problem)
                said = problem
        finally:
            timer.stop_all()


def event(demo: Demo, options: argparse.Namespace) -> None:
    """Triggers one event."""
    demo.session.start()
    _show(EventFacts.model_validate(demo.trigger(_tenant(demo, options), _request(options))))


def rehearse(demo: Demo, options: argparse.Namespace) -> None:
    """Prints what POST /api/ami/rehearse answers."""
    demo.session.start()
    found = demo.rehearse(_tenant(demo, options), _request(options), cycles=options.cycles)
    _show(RehearseAnswer.of(found))


def quickcheck(demo: Demo, options: argparse.Namespace) -> None:
    """Prints what GET /api/ami/kpi/quickcheck answers."""
    demo.session.start()
    demo.session.require_events_for_kpis()
    _show(QuickcheckAnswer.of(demo.desk.fresh(_tenant(demo, options))))


def load_files(demo: Demo, options: argparse.Namespace) -> None:
    """Shows what was found in the files, and loads them once somebody says so."""
    demo.session.start()
    columns = dict(one.partition("=")[::2] for one in options.column)
    if set(columns) - set(ROLES):
        raise BadInputError.of("--column", ", ".join(options.column), f"ROLE=NAME, ROLE one of {', '.join(ROLES)}")
    said = Said(columns, options.unit, options.timezone, options.time_is, "", options.day_first,
                demo.settings.timezone.startswith(("America/", "US/")))  # fmt: skip
    wishes = Wishes(options.tenant or "", options.keep_ids, options.shift_to_now)
    plan = planned(demo, [(path, path.name) for path in options.files], said, wishes, _progress)
    for item in plan.items:
        print(f"{item.what:<14}{item.certainty:<7}{item.found}{f' ({item.why})' if item.why else ''}")
    for row in plan.playback.table():
        print(f"{'played back':<21}" + ", ".join(f"{name} {value}" for name, value in row.items()))
    if plan.playback.note:
        print(f"{'played back':<21}{plan.playback.note}")
    plan.playback.require()
    if not options.yes and (not sys.stdin.isatty() or input(f"Load it as {plan.tenant_id}? [y/N] ").lower() != "y"):
        raise BadInputError("Nothing was loaded: say y, or add --yes.")
    loaded = load(demo, plan, _progress)
    _show({"ok": True, "tenantId": loaded.tenant_id, "reads": loaded.reads, "missing": loaded.missing,
           "estimated": loaded.estimated, "meters": len(plan.fleet), "endsAt": loaded.ends_at.isoformat()})  # fmt: skip


def _progress(doing: str, share: float) -> None:
    if sys.stderr.isatty():
        print(f"\r{100 * share:3.0f} %  {doing:<60.60}", end="\r", file=sys.stderr, flush=True)


def _request(options: argparse.Namespace) -> EventRequest:
    return EventRequest(
        options.type,
        feeder_id=options.feeder,
        meter_id=options.meter,
        severity=options.severity,
        duration_minutes=options.minutes,
        pattern=options.pattern,
    )


def _tenant(demo: Demo, options: argparse.Namespace) -> str:
    return demo.session.check_tenant(options.tenant or demo.settings.tenants[0])


@contextmanager
def _until_told_to_stop() -> Iterator[Event]:
    """An event that SIGINT (Ctrl-C) and SIGTERM set, so that a cycle under way is finished first."""
    stopped = Event()
    before = {each: signal.signal(each, lambda *_: stopped.set()) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stopped
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def _log(published: Published) -> None:
    last, loss_pct = published.cycles[-1], published.after and published.after["loss_pct"]
    print(
        f"{last.read_at:%Y-%m-%dT%H:%MZ} {last.inserted} of {last.meters} reads, loss today "
        f"{'unknown' if loss_pct is None else f'{loss_pct:.2f} %'}",
        flush=True,
    )


def _show(answer: BaseModel | dict[str, Any]) -> None:
    values = answer.model_dump(mode="json", by_alias=True) if isinstance(answer, BaseModel) else answer
    print(json.dumps(values, indent=2))


def _complain(message: str) -> None:
    print(f"gridlens: {message}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
