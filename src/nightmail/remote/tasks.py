"""How a task is named to a service: declared in a file here, or one that the service has itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from nightmail.errors import TaskError
from nightmail.tasks.declared import Declaration, load_declared


def task_for(reference: str) -> str | dict[str, Any]:
    """A declared task (.json) as it is written here, or the reference for the service to find. Raises
    `TaskError` for what is wrong with it, and for Python of this machine: a service runs only its own."""
    place = reference.rpartition(":")[0] or reference
    if reference.endswith(".json"):
        path = Path(reference).expanduser()
        # Checked here: the words are better next to the file.
        load_declared(path)
        found: dict[str, Any] = msgspec.to_builtins(msgspec.json.decode(path.read_bytes(), type=Declaration))
        return found
    if place.endswith(".py") and not Path(place).is_absolute():
        raise TaskError(
            f"{reference}: a service runs no Python of this machine. Declare the task in a .json file, or "
            "name it as the service knows it: /its/folder/task.py:Class or package.module:Class "
            "([serve] tasks and modules in its nightmail.toml open them)"
        )
    return reference
