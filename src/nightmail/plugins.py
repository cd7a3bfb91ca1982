"""From a name to the class, by entry points: `openai` -> `OpenAIProvider`.

A third-party package adds a provider, store, source or sink by declaring an entry point in the group
`nightmail.providers` (`.stores`, `.sources`, `.sinks`).
"""

from __future__ import annotations

from functools import cache
from importlib.metadata import entry_points
from typing import Any

from nightmail.errors import ConfigError


@cache
def load(kind: str, name: str) -> Any:
    """The class called `name` among the `kind` (`providers`, `stores`, `sources`, `sinks`)."""
    found = entry_points(group=f"nightmail.{kind}")
    if name not in found.names:
        raise ConfigError(
            f"there is no {name!r} among the {kind}; there is: {', '.join(sorted(found.names))}"
        )
    return found[name].load()


def names(kind: str) -> list[str]:
    return sorted(entry_points(group=f"nightmail.{kind}").names)
