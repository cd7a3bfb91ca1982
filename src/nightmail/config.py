"""Settings from the environment and the home's own file, read once and passed down.

| environment       | means                                                                 |
| ----------------- | --------------------------------------------------------------------- |
| NIGHTMAIL_HOME    | the home, if `--home` is not given (default `.nightmail`)               |
| NIGHTMAIL_PRICES  | a price file of one's own, laid over ours (same format)               |
| OPENAI_BASE_URL   | the server, if `--base-url` is not given                              |
| OPENAI_API_KEY    | the key; it is never stored, logged or printed                        |
| NIGHTMAIL_SERVER  | the service, if neither `--server` nor `--home` is given              |
| NIGHTMAIL_API_KEY, NIGHTMAIL_API_KEY_FILE | the key for the service, or the file that holds it |

`nightmail.toml` in the home may hold `base_url`, `prices`, `daily_budget` (USD, as a text, for all runs of
the home in one UTC day), a table `quotas` (model = tokens), tables `[[notify]]`: who is told what, and a
table `serve` (see docs/how-to/serve.md).
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from nightmail.core.channel import Channel
from nightmail.core.notice import NoticeKind
from nightmail.core.pricing import PriceTable, merged, parse, parse_usd
from nightmail.core.quiet import parse_quiet
from nightmail.errors import ConfigError
from nightmail.network import is_loopback

DEFAULT_HOME = ".nightmail"
FILE_NAME = "nightmail.toml"


class _Notify(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    url_env: str | None = None
    secret_env: str | None = None
    apprise_env: str | None = None
    kinds: tuple[NoticeKind, ...] = ()
    quiet: str | None = None
    time_zone: str = "UTC"


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    base_url: str | None = None
    prices: str | None = None
    quotas: dict[str, int] = {}
    daily_budget: str | None = None
    notify: tuple[_Notify, ...] = ()
    serve: dict[str, Any] = {}


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Where things are, and who we are at the provider. `repr` shows no key."""

    home: Path
    provider: str = "openai"
    base_url: str | None = None
    prices: Path | None = None
    quotas: dict[str, int] = {}
    daily_budget: str | None = None
    serve: dict[str, Any] = {}  # the service's own; read by it
    api_key: str | None = None
    channels: tuple[Channel, ...] = ()

    def __repr__(self) -> str:
        return f"Settings(home={str(self.home)!r}, provider={self.provider!r}, base_url={self.base_url!r})"

    @property
    def spool(self) -> Path:
        return self.home / "spool"


class Server(msgspec.Struct, frozen=True, kw_only=True):
    """A service that does what a home would. `url` is without the API's path; `repr` shows no key."""

    url: str
    api_key: str | None = None

    def __repr__(self) -> str:
        return f"Server({self.url!r})"

    @property
    def shows_key(self) -> bool:
        """Does the key travel where others can read it?"""
        plain = urlsplit(self.url).scheme != "https"
        return self.api_key is not None and plain and not is_loopback(self.url)


def server(
    url: str | None, *, home: str | Path | None = None, environment: Mapping[str, str] | None = None
) -> Server | None:
    """The service that is meant, with the key for it from the environment; None: a home is meant. Raises
    `ConfigError`."""
    said = os.environ if environment is None else environment
    if url and home:
        raise ConfigError("--home and --server exclude each other: a command works on one of them")
    meant = url or (said.get("NIGHTMAIL_SERVER") if home is None else None)
    if not meant:
        return None
    parts = urlsplit(meant)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise ConfigError(f"--server {meant}: give the service's address, such as https://batch.example.org")
    if parts.username is not None or parts.password is not None:
        raise ConfigError("--server takes no key: everybody on this machine sees it. Set NIGHTMAIL_API_KEY")
    return Server(url=meant.rstrip("/").removesuffix("/api/v1"), api_key=_service_key(said))


def _service_key(said: Mapping[str, str]) -> str | None:
    path = said.get("NIGHTMAIL_API_KEY_FILE")
    if said.get("NIGHTMAIL_API_KEY") or not path:
        return said.get("NIGHTMAIL_API_KEY")
    try:
        return Path(path).expanduser().read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"NIGHTMAIL_API_KEY_FILE: cannot read {path}: {error}") from error


def read(
    *,
    home: str | Path | None = None,
    provider: str | None = None,
    base_url: str | None = None,
    api_key: str | None = None,
    environment: Mapping[str, str] | None = None,
) -> Settings:
    """Put the settings together: what is given here, then the environment, then the home's file."""
    said = os.environ if environment is None else environment
    folder = Path(home or said.get("NIGHTMAIL_HOME") or DEFAULT_HOME).expanduser().absolute()
    written = _read_file(folder / FILE_NAME)
    prices = said.get("NIGHTMAIL_PRICES") or written.prices
    return Settings(
        home=folder,
        provider=provider or "openai",
        base_url=base_url or said.get("OPENAI_BASE_URL") or written.base_url,
        prices=Path(prices).expanduser() if prices else None,
        quotas=written.quotas,
        serve=written.serve,
        daily_budget=_amount(written.daily_budget, folder / FILE_NAME),
        api_key=api_key or said.get("OPENAI_API_KEY"),
        channels=_channels(written.notify, folder / FILE_NAME),
    )


def read_prices(override: Path | None) -> PriceTable:
    """Our dated price table, with the user's own file laid over it."""
    table = parse((files("nightmail.core") / "prices.json").read_bytes())
    if override is None:
        return table
    try:
        return merged(table, parse(override.read_bytes()))
    except OSError as error:
        raise ConfigError(f"cannot read the price file {override}: {error.strerror}") from error
    except ValueError as error:
        raise ConfigError(f"the price file {override} cannot be used: {error}") from error


def _amount(written: str | None, path: Path) -> str | None:
    """An amount of USD, checked where it is read."""
    if written is not None:
        try:
            parse_usd(written)
        except ValueError as error:
            raise ConfigError(f"{path}: daily_budget: {error}") from error
    return written


def _channels(written: tuple[_Notify, ...], path: Path) -> tuple[Channel, ...]:
    found: dict[str, Channel] = {}
    for each in written:
        try:
            if each.name in found or not each.name:
                raise ValueError("each needs a name of its own")
            if (each.url_env is None) is (each.apprise_env is None):
                raise ValueError("give url_env or apprise_env, one of them")
            if (each.url_env is None) is not (each.secret_env is None):
                raise ValueError("a webhook is signed: url_env and secret_env go together")
            quiet = parse_quiet(each.quiet, ZoneInfo(each.time_zone)) if each.quiet else None
        except (ValueError, ZoneInfoNotFoundError) as error:
            raise ConfigError(f"{path}: [[notify]] {each.name!r}: {error}") from error
        found[each.name] = Channel(
            name=each.name,
            url_env=each.url_env,
            secret_env=each.secret_env,
            apprise_env=each.apprise_env,
            kinds=each.kinds,
            quiet=quiet,
        )
    return tuple(found.values())


def _read_file(path: Path) -> _File:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return _File()
    except NotADirectoryError:
        raise ConfigError(
            f"the home {path.parent} is a file; --home or NIGHTMAIL_HOME names a folder"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {path}: {error}") from error
    try:
        return msgspec.convert(tomllib.loads(text), _File)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise ConfigError(f"{path}: {error}") from error
