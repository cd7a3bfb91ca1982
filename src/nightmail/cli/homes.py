"""A home that must be there already: commands about runs do not make one by a typing error."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from nightmail.errors import ConfigError

if TYPE_CHECKING:
    from nightmail.client import Client


def existing(home: Path | None, *, provider: str | None = None, base_url: str | None = None) -> Client:
    """A client of the home. Raises `ConfigError` if nothing is there."""
    from nightmail.client import Client

    client = Client(home, provider=provider, base_url=base_url)
    if not client.settings.home.is_dir():
        raise ConfigError(
            f"there is no run: there is no home {client.settings.home} "
            "(--home or NIGHTMAIL_HOME names another)"
        )
    return client
