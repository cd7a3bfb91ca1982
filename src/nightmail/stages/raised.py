"""What is said of an exception of the user's code: what it is, and which line of theirs led to it."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType

OURS = str(Path(__file__).parents[1])


def described(error: BaseException) -> str:
    """An exception of the user's code in one line: `KeyError: 'text' (topics.py:12)`."""
    said = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    place = _place(error.__traceback__)
    return f"{said} ({place})" if place else said


def _place(frame: TracebackType | None) -> str | None:
    """The deepest line in the first file that isn't ours. What that file calls may be anybody's library,
    whose lines tell the user nothing."""
    file, line = None, 0
    while frame is not None:
        name = frame.tb_frame.f_code.co_filename
        if file is None and not name.startswith((OURS, "<")):
            file = name
        if name == file:
            line = frame.tb_lineno
        frame = frame.tb_next
    return f"{Path(file).name}:{line}" if file else None
