"""Which tasks and which files of this machine a run may name: those that the operator has opened.

Importing a task runs its code, and reading a file shows it, so both are closed but for the folders and
modules in the service's settings. Paths are followed to their ends first: `..` and links lead nowhere else.
"""

from __future__ import annotations

import contextlib
import glob
from collections.abc import Sequence
from pathlib import Path

from nightmail.web.problems import Problem
from nightmail.web.settings import Settings


def open_task(reference: str, settings: Settings) -> str:
    """The reference, if runs may name it. Raises `Problem`."""
    place, colon, name = reference.rpartition(":")
    if not colon:
        place, name = reference, ""
    if place.endswith((".py", ".json")) or "/" in place or "\\" in place:
        path = within(place, settings.tasks)
        return f"{path}:{name}" if name else str(path)
    if any(place == module or place.startswith(f"{module}.") for module in settings.modules):
        return reference
    raise closed(f"the task {reference!r}", "tasks or modules")


def open_source(path: str, settings: Settings) -> list[str]:
    """The files that the path means, if runs may read every one of them. Raises `Problem`."""
    whole = within(path.partition("*")[0].partition("?")[0].partition("[")[0], settings.sources)
    if not glob.has_magic(path):
        files = sorted(whole.iterdir()) if whole.is_dir() else [whole]
    else:
        files = sorted(Path(each) for each in glob.glob(path, recursive=True))  # noqa: PTH207 - a whole path
    files = [each for each in files if each.is_file() and not each.name.startswith(".")]
    if not files:
        raise closed(f"the file {path!r}", "sources")
    return [str(within(str(each), settings.sources)) for each in files]


def within(path: str, folders: Sequence[str]) -> Path:
    """Where the path leads in the end, if that is in one of the folders. What is not there and what is
    elsewhere cannot be told apart."""
    try:
        end = Path(path).resolve()
        if "\0" not in path and Path(path).is_absolute() and end.exists():
            for folder in folders:
                if end.is_relative_to(folder):
                    return end
    except (OSError, ValueError):
        pass
    raise closed(f"the path {path!r}", "sources or tasks")


def open_place(path: str, folders: Sequence[str], which: str) -> None:
    """Raises `Problem` unless what is at the path, or will be, is in one of the folders. It may be a glob or
    a pattern."""
    fixed = path.partition("*")[0].partition("?")[0].partition("[")[0]
    if "\0" not in path and Path(path).is_absolute() and ".." not in Path(path).parts:
        with contextlib.suppress(OSError):
            if any(Path(fixed).resolve().is_relative_to(folder) for folder in folders):
                return
    raise closed(f"the path {path!r}", which)


def closed(what: str, which: str) -> Problem:
    return Problem(
        404, "closed", f"{what} is not there, or not open to runs ([serve] {which} in nightmail.toml)"
    )
