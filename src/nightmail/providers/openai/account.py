"""Whose server and whose key: the rules about base URL, key and the account's name. Pure."""

from __future__ import annotations

import hashlib
from urllib.parse import urlsplit

from nightmail.errors import ConfigError
from nightmail.network import is_loopback

OPENAI_URL = "https://api.openai.com/v1"
NO_KEY = "none"  # sent to a server on one's own machine, which mostly asks for none


def url_for(base_url: str | None) -> str:
    """The base URL to call, without a slash at its end. Raises `ConfigError` if it is no http(s) URL."""
    url = (base_url or OPENAI_URL).strip().rstrip("/")
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - reading it is what checks it
    except ValueError as error:
        raise ConfigError(f"base URL {url!r}: {error}") from error
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError(f"base URL {url!r}: expected http://HOST:PORT/v1 or https://HOST/v1")
    if parts.query or parts.fragment:
        # Not shown: some servers take their key there.
        raise ConfigError(
            f"base URL of {host_of(url)}: what follows ? or # cannot be sent along; leave it out"
        )
    return url


def key_for(base_url: str | None, api_key: str | None) -> str:
    """The key to send: without one "none" for a server on this machine, and elsewhere `ConfigError`."""
    key = (api_key or "").strip()
    if key:
        if not key.isascii() or not key.isprintable() or " " in key:
            raise ConfigError("the API key contains characters that no key has; check OPENAI_API_KEY")
        return key
    if is_loopback(url_for(base_url)):
        return NO_KEY
    raise ConfigError(f"no API key for {host_of(url_for(base_url))}: set OPENAI_API_KEY")


def host_of(url: str) -> str:
    """`api.openai.com` or `127.0.0.1:8687`: never a user name or password that the URL may hold."""
    parts = urlsplit(url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else (parts.hostname or "")
    return host if parts.port is None else f"{host}:{parts.port}"


def account_of(url: str, key: str) -> str:
    """Whose limits these are: the host and eight digits of the key's digest, never the key."""
    return f"{host_of(url)}:{hashlib.sha256(key.encode()).hexdigest()[:8]}"
