"""What the operator of a service decides: the table `[serve]` of `nightmail.toml`."""

from __future__ import annotations

from pathlib import Path

import msgspec

from nightmail.core.rates import Rate
from nightmail.errors import ConfigError

MB = 1_000_000


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Bytes, seconds, and counts; every ceiling has a default that a small machine bears."""

    sources: tuple[str, ...] = ()  # folders whose files a run may read by path
    outputs: tuple[str, ...] = ()  # folders into which schedules that came by the API may write
    tasks: tuple[str, ...] = ()  # folders whose task files a run may name
    modules: tuple[str, ...] = ()  # task modules that a run may name: a package with all below it
    max_body: int = 8 * MB  # of anything but an upload
    max_upload: int = 2_000 * MB
    body_timeout: float = 20.0  # between two pieces of a body
    min_body_rate: int = 10_000  # bytes a second, after the first body_timeout
    max_connections: int = 500  # at the same time; more are told to come back
    head_timeout: float = 10.0  # until a request's line and headers are in
    read_timeout: float = 60.0  # until a client that reads nothing of its answer is left
    max_head: int = 32_768  # bytes of them
    requests_per_second: float = 1000.0  # by one key
    burst: float = 2000.0
    wrong_keys_per_minute: float = 30.0  # from one address
    hide_texts: bool = False  # do pages show neither prompts nor answers?
    fetch_from_private: bool = False  # may a URL lead into this machine's own networks?

    @property
    def rate(self) -> Rate:
        return Rate(self.requests_per_second, self.burst)

    @property
    def wrong_key_rate(self) -> Rate:
        return Rate(self.wrong_keys_per_minute / 60, self.wrong_keys_per_minute)


def settings_of(table: dict[str, object], home: Path) -> Settings:
    """The table, checked. Folders are relative to the home. Raises `ConfigError`."""
    try:
        read = msgspec.convert(table, Settings)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{home / 'nightmail.toml'}: [serve]: {error}") from error
    return msgspec.structs.replace(
        read,
        sources=tuple(str((home / each).resolve()) for each in read.sources),
        outputs=tuple(str((home / each).resolve()) for each in read.outputs),
        tasks=tuple(str((home / each).resolve()) for each in read.tasks),
    )
