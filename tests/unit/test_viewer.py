"""Who sits at the machine itself: nobody of whom it is not certain."""

from __future__ import annotations

import pytest

from gridlens_core.demo.viewer import host_name, is_local

HERE = {"Host": "localhost:8501", "Origin": "http://localhost:8501"}
FORWARDED = (
    *(
        "X-Forwarded-For",
        "x-forwarded-proto",
        "X-FORWARDED-HOST",
        "X-Forwarded-Prefix",
        "Forwarded",
        "X-Real-IP",
        "Via",
    ),
    *("CF-Connecting-IP", "CF-Ray", "True-Client-IP", "X-Original-Host", "X-Client-IP", "CDN-Loop", "Via"),
)


@pytest.mark.parametrize(
    ("host", "listens", "peer"),
    [
        pytest.param("localhost:8501", "localhost", "127.0.0.1", id="by name"),
        pytest.param("127.0.0.1:8501", "127.0.0.1", "127.0.0.1", id="by number"),
        pytest.param("[::1]:8501", "::1", "::1", id="IPv6"),
        pytest.param("localhost", "localhost", "::ffff:127.0.0.1", id="the usual port"),
    ],
)
def test_a_page_of_its_own_on_the_machine_itself_is_local(host: str, listens: str, peer: str) -> None:
    assert is_local({"host": host, "origin": f"http://{host}"}, peer, listens, protected=True)


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"Origin": "https://demo.example.com"}, id="a proxy that rewrites Host"),
        pytest.param({"Origin": "http://localhost:3000"}, id="a page on another port of the machine"),
        pytest.param({"Origin": "http://127.0.0.1:8501"}, id="another name of the machine"),
        pytest.param({"Origin": "null"}, id="a page without an origin"),
        pytest.param({"Origin": ""}, id="no origin"),
        pytest.param({"Host": "demo.example.com", "Origin": "http://demo.example.com"}, id="another name"),
        pytest.param({"Host": "localhost.example.com", "Origin": "http://localhost.example.com"}, id="a longer name"),
        pytest.param({"Host": "x@localhost", "Origin": "http://x@localhost"}, id="a user in the name"),
        pytest.param({"Host": "", "Origin": ""}, id="no host"),
        *[pytest.param({name: ""}, id=name) for name in FORWARDED],
    ],
)
def test_anything_between_or_beside_is_not_local(changes: dict[str, str]) -> None:
    assert is_local(HERE, "127.0.0.1", "localhost", protected=True)
    assert not is_local({**HERE, **changes}, "127.0.0.1", "localhost", protected=True)


@pytest.mark.parametrize("peer", ["10.0.0.7", "203.0.113.9", "", None, "localhost", "fe80::1"])
def test_a_connection_from_elsewhere_is_not_local(peer: str | None) -> None:
    assert not is_local(HERE, peer, "localhost", protected=True)


@pytest.mark.parametrize("listens", ["0.0.0.0", "::", "", None, "192.168.1.5"])
def test_a_server_that_listens_beyond_the_machine_has_no_local_viewer(listens: str | None) -> None:
    assert not is_local(HERE, "127.0.0.1", listens, protected=True)


def test_without_protection_against_other_pages_nobody_is_local() -> None:
    assert not is_local(HERE, "127.0.0.1", "localhost", protected=False)


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("LOCALHOST:8501", "localhost"),
        ("[::1]:8501", "::1"),
        ("demo.example.com.", "demo.example.com"),
        ("a b", "a b"),
        ("localhost:99999", None),
        ("localhost:x", None),
        ("u@localhost", None),
        ("localhost/x", None),
        ("[::1", None),
        ("", None),
    ],
)
def test_the_name_of_a_host(host: str, name: str | None) -> None:
    assert host_name(host) == name
