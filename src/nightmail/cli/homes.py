"""Where a command's runs are: a home on this machine, or a service.

Commands about runs do not make a home by a typing error; those that start runs do.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from nightmail.errors import ConfigError

if TYPE_CHECKING:
    from nightmail.cli.questions import Questions
    from nightmail.cli.terminal import Terminal
    from nightmail.client import Client


def opened(
    terminal: Terminal,
    *,
    provider: str | None = None,
    base_url: str | None = None,
    may_make: bool = False,
) -> Questions:
    """Whom to ask, by the command's `--home` and `--server`. Raises `ConfigError` if there is no home, unless
    it may be made."""
    if terminal.server is None:
        return _home(terminal.home, provider=provider, base_url=base_url, may_make=may_make)
    if provider is not None or base_url is not None:
        raise ConfigError(
            f"{terminal.server.url} has a provider of its own: --provider and --base-url are for a home"
        )
    from nightmail.remote.client import Remote

    if terminal.server.shows_key:
        terminal.note(
            f"warning: {terminal.server.url} is not https: whoever listens on the way reads the key"
        )
    return Remote(terminal.server, told=terminal.note)


def existing(home: Path | None) -> Client:
    """A client of a home that is there, for what only a home can do. Raises `ConfigError`."""
    return _home(home)


def place_of(terminal: Terminal) -> str:
    """The home's folder or the service's address, for people."""
    return terminal.server.url if terminal.server is not None else str(_folder(terminal))


def is_there(terminal: Terminal) -> bool:
    """Is there anything to ask? A service is taken to be."""
    return terminal.server is not None or _folder(terminal).is_dir()


def _folder(terminal: Terminal) -> Path:
    from nightmail import config

    return config.read(home=terminal.home).home


def _home(
    home: Path | None, *, provider: str | None = None, base_url: str | None = None, may_make: bool = False
) -> Client:
    from nightmail.client import Client

    client = Client(home, provider=provider, base_url=base_url)
    if not may_make and not client.settings.home.is_dir():
        raise ConfigError(
            f"there is no run: there is no home {client.settings.home} "
            "(--home or NIGHTMAIL_HOME names another)"
        )
    return client
