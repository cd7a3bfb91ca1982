"""Download an input from a URL that somebody else has named, without being led into our own networks.

The name is looked up once, every address that it has must be a public one, and the connection goes to the
address that was checked: a name that leads elsewhere a moment later changes nothing. Redirects are not
followed, since each would be a new URL.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import AsyncIterator
from urllib.parse import SplitResult, urlsplit

import httpx2

from nightmail.web.problems import Problem
from nightmail.web.settings import Settings

CONNECT_SECONDS = 10.0
PORTS = {"http": 80, "https": 443}


async def fetch(url: str, settings: Settings) -> AsyncIterator[bytes]:
    """What is there, in pieces, up to `max_upload` bytes. Raises `Problem`."""
    parts = _parted(url)
    address = await _public_address(parts, settings)
    host = f"[{address}]" if ":" in address else address
    target = parts._replace(netloc=f"{host}:{_port(parts)}", fragment="").geturl()
    # The certificate is that of the name, not of the address.
    named = {"sni_hostname": parts.hostname}
    timeout = httpx2.Timeout(settings.body_timeout, connect=CONNECT_SECONDS)
    seen = 0
    try:
        async with (
            httpx2.AsyncClient(timeout=timeout, follow_redirects=False, trust_env=False) as http,
            http.stream("GET", target, headers={"Host": _host(parts)}, extensions=named) as answer,
        ):
            if answer.status_code != 200:
                raise _refused(f"the URL's server answered {answer.status_code}")
            async for piece in answer.aiter_raw():
                seen += len(piece)
                if seen > settings.max_upload:
                    raise Problem(413, "too-large", f"an input may have {settings.max_upload:,} bytes here")
                yield piece
    except httpx2.HTTPError as error:
        raise _refused(f"the URL cannot be read ({type(error).__name__})") from error


def _parted(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in PORTS and parts.hostname and parts.username is None and _port(parts)
    except ValueError:
        usable = None
    if not usable:
        raise _refused("give a http or https URL without a user's name in it")
    return parts


def _port(parts: SplitResult) -> int:
    return parts.port or PORTS[parts.scheme]


def _host(parts: SplitResult) -> str:
    name = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname or ""
    return f"{name}:{parts.port}" if parts.port else name


async def _public_address(parts: SplitResult, settings: Settings) -> str:
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            found = await asyncio.get_running_loop().getaddrinfo(
                parts.hostname, _port(parts), type=socket.SOCK_STREAM
            )
    except (OSError, UnicodeError, TimeoutError):
        raise _refused("the URL's host is not known") from None
    addresses = [str(each[4][0]) for each in found]
    if not settings.fetch_from_private and not all(map(is_public, addresses)):
        raise _refused("the URL leads to a private address")
    return addresses[0]


def is_public(address: str) -> bool:
    """Is it an address of the internet at large: no loopback, no private network, no metadata service?"""
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        inner = found.ipv4_mapped or found.sixtofour or (found.teredo[1] if found.teredo else None)
        # 64:ff9b::/96 is how an IPv6 network writes IPv4 addresses.
        if inner is None and found in ipaddress.ip_network("64:ff9b::/96"):
            inner = ipaddress.IPv4Address(int(found) & 0xFFFF_FFFF)
        if inner is not None:
            return is_public(str(inner))
    return found.is_global and not found.is_multicast


def _refused(why: str) -> Problem:
    return Problem(422, "url", why)
