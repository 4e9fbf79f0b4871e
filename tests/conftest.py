"""The embedded PostgreSQL, databases seeded once and copied for each test, and demos on them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import hypothesis
import pytest
import sqlalchemy as sa
from existing_shapes import Shape, demo_on, migrate, template_of
from helpers import FROZEN, FULL_FLEET, SMALL_FLEET, TENANT, Server, event_request, server_folder

from gridlens_core.database.connection import Database, connect
from gridlens_core.database.embedded import start_embedded, stop_embedded
from gridlens_core.demo.demo import Demo
from gridlens_core.display.branding import Brand
from gridlens_core.leave_behind.brief import Brief, brief_of
from gridlens_core.meters.events import EventRequest
from gridlens_core.meters.fleet import Fleet
from gridlens_core.publishing.seeding import local_fleet, prepare_local
from gridlens_core.settings import Settings

# Machines differ in speed, and a failure prints the example it found.
hypothesis.settings.register_profile("gridlens", deadline=None, database=None)
hypothesis.settings.load_profile("gridlens")

_numbers = count(1)
_briefs: list[Brief] = []


@pytest.fixture(scope="session", autouse=True)
def _own_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The environment and the .env of the developer do not reach the tests."""
    with pytest.MonkeyPatch.context() as patch:
        for variable in [name for name in os.environ if name.startswith(("GRIDLENS_", "PG")) or name == "DATABASE_URL"]:
            patch.delenv(variable)
        patch.chdir(tmp_path_factory.mktemp("cwd"))
        yield


@pytest.fixture(scope="session")
def server_dir() -> Iterator[Path]:
    """Data directory of the session's embedded server."""
    with server_folder() as folder:
        yield folder


@pytest.fixture(scope="session")
def server(server_dir: Path, _own_environment: None) -> Iterator[Server]:
    """The session's embedded server."""
    url = start_embedded(server_dir)
    engine = sa.create_engine(sa.make_url(url).set(drivername="postgresql+psycopg2"), isolation_level="AUTOCOMMIT")
    server = Server(server_dir, url, engine)
    # What is lost in a crash of a test run is of no use; durability is not what is tested.
    server.execute("ALTER SYSTEM SET fsync = off")
    server.execute("SELECT pg_reload_conf()")
    yield server
    engine.dispose()
    stop_embedded(server_dir)


def _seed(server: Server, name: str, **fleet: int) -> str:
    """A database as the start of a demo leaves it at FROZEN."""
    database = connect(server.create(name), is_local=True)
    prepare_local(database, Settings(now=FROZEN, **fleet), FROZEN, lambda _: None)
    database.engine.dispose()
    return name


@pytest.fixture(scope="session")
def seeded_template(server: Server) -> str:
    """Name of a local database with SMALL_FLEET's history up to FROZEN; copied, never written."""
    return _seed(server, "seeded_small", **SMALL_FLEET)


@pytest.fixture(scope="session")
def full_template(server: Server) -> str:
    """Like `seeded_template`, with the default settings' fleet and history."""
    return _seed(server, "seeded_full", **FULL_FLEET)


@pytest.fixture
def new_database(server: Server) -> Iterator[Callable[..., str]]:
    """`new_database(template=None)` -> address of a database of the test's own, dropped afterwards."""
    names: list[str] = []

    def create(template: str | None = None) -> str:
        names.append(f"test_{next(_numbers)}")
        return server.create(names[-1], template)

    yield create
    for name in names:
        server.drop(name)


@pytest.fixture
def make_demo(new_database: Callable[..., str], seeded_template: str, tmp_path: Path) -> Iterator[Callable[..., Demo]]:
    """`make_demo(clock=None, template=..., start=True, **settings)` -> a local Demo on a database of its own.

    The default template is `seeded_template`, None an empty database. A demo's data directory stands for its
    database: one that is given another's `data_dir` works on the same database, as another process would.
    """
    addresses: dict[Path, str] = {}
    demos: list[Demo] = []

    def make(
        clock: Callable[..., object] | None = None,
        *,
        template: str | None = seeded_template,
        start: bool = True,
        **settings: object,
    ) -> Demo:
        chosen = {"data_dir": tmp_path / f"data{len(demos)}", "now": FROZEN, **SMALL_FLEET, **settings}
        data_dir = Path(str(chosen["data_dir"]))
        data_dir.mkdir(exist_ok=True)
        if data_dir not in addresses:
            addresses[data_dir] = new_database(template)
        demo = Demo(Settings(**chosen), clock, lambda data_dir: addresses.get(data_dir) or start_embedded(data_dir))
        demos.append(demo)
        if start:
            demo.session.start()
        return demo

    yield make
    for demo in demos:
        demo.stop()


@pytest.fixture
def demo(make_demo: Callable[..., Demo]) -> Demo:
    """A started local Demo on a fresh copy of the seeded database, its wall clock frozen at FROZEN."""
    return make_demo()


@pytest.fixture
def shown(demo: Demo) -> Demo:
    """A demo in which something was shown: a sag that is over, a theft and an outage that run."""
    demo.trigger(TENANT, EventRequest("voltage-sag", feeder_id="FEEDER_2", severity=0.6, duration_minutes=15))
    demo.publish(TENANT, cycles=2)
    demo.trigger(TENANT, event_request(duration_minutes=120))
    demo.publish(TENANT)
    demo.trigger(TENANT, EventRequest("comms-outage", feeder_id="FEEDER_4", severity=1, duration_minutes=60))
    demo.publish(TENANT, cycles=2)
    return demo


@pytest.fixture
def brief(request: pytest.FixtureRequest) -> Brief:
    """The brief of `shown`, made once: nothing in it can change."""
    if not _briefs:
        _briefs.append(brief_of(request.getfixturevalue("shown").desk.explained(TENANT), Brand()))
    return _briefs[0]


@pytest.fixture
def existing_url(new_database: Callable[..., str]) -> Callable[..., str]:
    """`existing_url(sql="")` -> address of a database GridLens did not make, its shape given by SQL."""

    def create(sql: str = "") -> str:
        url = new_database()
        database = connect(url, is_local=False)
        if sql:
            with database.engine.begin() as connection:
                connection.exec_driver_sql(sql)
        database.engine.dispose()
        return url

    return create


@pytest.fixture
def open_database() -> Iterator[Callable[..., Database]]:
    """`open_database(url, is_local=False)` -> a Database whose connections are closed after the test."""
    opened: list[Database] = []

    def open_(url: str, *, is_local: bool = False) -> Database:
        opened.append(connect(url, is_local=is_local))
        return opened[-1]

    yield open_
    for database in opened:
        database.engine.dispose()


@pytest.fixture
def local(new_database: Callable[..., str], seeded_template: str, open_database: Callable[..., Database]) -> Database:
    """A fresh copy of the seeded local database, without a Demo around it."""
    return open_database(new_database(seeded_template), is_local=True)


@pytest.fixture
def connection(local: Database) -> Iterator[sa.Connection]:
    """A connection to `local`; what is not committed is gone after the test."""
    with local.engine.connect() as connection:
        yield connection


@pytest.fixture
def fleet(local: Database) -> Fleet:
    """The meters of `local`."""
    return local_fleet(local, Settings(**SMALL_FLEET), TENANT)


@pytest.fixture
def on(server: Server, new_database: Callable[..., str], tmp_path: Path) -> Iterator[Callable[..., tuple[Demo, str]]]:
    """`on(shape, migrated=True, start=True, **settings)` -> (Demo, owner's address) on a fresh copy of a shape."""
    demos: list[Demo] = []

    def make(shape: Shape, *, migrated: bool = True, start: bool = True, **settings: object) -> tuple[Demo, str]:
        url = new_database(template_of(server, shape))
        if migrated:
            migrate(url, shape.role)
        demos.append(demo_on(url, shape, tmp_path / f"existing{len(demos)}", **settings))
        if start:
            demos[-1].session.start()
        return demos[-1], url

    yield make
    for demo in demos:
        demo.stop()
