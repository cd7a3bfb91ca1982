"""Which servers are on this machine, and whether the environment's proxies stand before the others."""

from __future__ import annotations

import ipaddress
from importlib.util import find_spec
from urllib.parse import urlsplit
from urllib.request import getproxies

from nightmail.errors import ConfigError

_KINDS = ("http", "https", "socks5", "socks5h")
_SOCKS = "socksio"  # what httpx2 speaks it with


def is_loopback(url: str) -> bool:
    """Whether the URL stays on this machine; one that is none does not."""
    try:
        return is_this_machine(urlsplit(url).hostname or "")
    except ValueError:
        return False


def is_this_machine(host: str) -> bool:
    """Does the name or address lead nowhere else?"""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def may_be_proxied(url: str) -> bool:
    """May calls go through a proxy of the environment (or of the system's settings, where it has them)? Those
    are for the world outside. Raises `ConfigError` for one that calls would fail by, with its variable and
    not its address, in which a password may stand."""
    if is_loopback(url):
        return False
    proxies = getproxies()
    if "*" not in map(str.strip, proxies.get("no", "").split(",")):
        for scheme in ("http", "https", "all"):
            if address := proxies.get(scheme):
                _refuse_unusable(address, f"{scheme.upper()}_PROXY")
    return True


def _refuse_unusable(address: str, variable: str) -> None:
    try:
        parts = urlsplit(address if "://" in address else f"http://{address}")
        usable = parts.scheme in _KINDS and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise ConfigError(f"{variable} names no proxy that can be used; write http://HOST:PORT, or unset it")
    if parts.scheme.startswith("socks") and find_spec(_SOCKS) is None:
        raise ConfigError(
            f"{variable} names a SOCKS proxy and {_SOCKS} is not installed: pip install {_SOCKS}, or unset it"
        )
