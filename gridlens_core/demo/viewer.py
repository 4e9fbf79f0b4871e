"""Whether a browser sits at the machine itself. What cannot be told is not local."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address
from urllib.parse import urlsplit

LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")
# What proxies, load balancers and content networks add; a prefix stands for all that begin with it.
FORWARDING_PREFIXES = ("x-forwarded", "forwarded", "x-original-", "cf-", "x-envoy-", "x-amzn-", "x-azure-", "x-arr-")
FORWARDING_HEADERS = (
    *("via", "cdn-loop", "x-real-ip", "x-client-ip", "x-cluster-client-ip", "x-remote-ip", "x-remote-addr"),
    *("true-client-ip", "client-ip", "fastly-client-ip", "fly-client-ip", "x-appengine-user-ip", "x-forward-for"),
)


def is_local(headers: Mapping[str, str], peer: str | None, listens: str | None, *, protected: bool) -> bool:
    """Whether a page was asked for from this machine, by a page of its own, and through nothing.

    peer : the address that the connection came from
    listens : the address that the server listens on
    protected : whether the server refuses requests of other pages (CORS and XSRF protection are on)
    """
    known = {name.lower(): value for name, value in headers.items()}
    host, origin = known.get("host", ""), urlsplit(known.get("origin", ""))
    return (
        protected
        and listens in LOOPBACK_NAMES
        and is_loopback(peer)
        and host_name(host) in LOOPBACK_NAMES
        and origin.scheme in ("http", "https")
        and origin.netloc == host
        and not any(name in FORWARDING_HEADERS or name.startswith(FORWARDING_PREFIXES) for name in known)
    )


def is_loopback(address: str | None) -> bool:
    """127.0.0.1 and ::1, also as IPv6 writes the former."""
    try:
        parsed = ip_address(address or "")
    except ValueError:
        return False
    return (getattr(parsed, "ipv4_mapped", None) or parsed).is_loopback


def host_name(host: str) -> str | None:
    """localhost of localhost:8501, ::1 of [::1]:8501; None of what is no host."""
    try:
        parts = urlsplit(f"//{host}")
        whole = parts.netloc == host and "@" not in host and (parts.port is None or parts.port > 0)
    except ValueError:
        return None
    return parts.hostname.rstrip(".") if whole and parts.hostname else None
