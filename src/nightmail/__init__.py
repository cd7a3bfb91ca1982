"""Write an LLM task for one record; run it for a million; every record accounted for."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nightmail.client import Client
    from nightmail.errors import (
        AuthenticationFailed,
        BillingBlocked,
        ConfigError,
        DiskFull,
        NightmailError,
        ProviderError,
        Rejected,
        RunChanged,
        SinkError,
        SourceError,
        StoreError,
        TaskError,
    )
    from nightmail.sync import Run, run, start
    from nightmail.tasks.base import Task
    from nightmail.tasks.images import image

__all__ = [
    "AuthenticationFailed",
    "BillingBlocked",
    "Client",
    "ConfigError",
    "DiskFull",
    "NightmailError",
    "ProviderError",
    "Rejected",
    "Run",
    "RunChanged",
    "SinkError",
    "SourceError",
    "StoreError",
    "Task",
    "TaskError",
    "image",
    "run",
    "start",
]

_HOMES = {
    "Client": "client",
    "Run": "sync",
    "run": "sync",
    "start": "sync",
    "Task": "tasks.base",
    "image": "tasks.images",
}


def __getattr__(name: str) -> Any:
    # Loaded when asked for: `import nightmail` in a worker process or a task's file stays cheap.
    if name not in __all__:
        raise AttributeError(f"module 'nightmail' has no attribute {name!r}")
    return getattr(import_module(f"nightmail.{_HOMES.get(name, 'errors')}"), name)
