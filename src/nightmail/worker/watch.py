"""What is new in the watched folders: files that nobody has taken, and that their writers are done with.

A file is complete when two looks that are `SETTLE` apart have found it with the same size and time; one that
was moved in whole only waits for the second look. Hidden names are never meant, so who writes slowly writes
under one and renames. What was seen is forgotten with the process: then the wait begins anew.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from pathlib import Path

from nightmail.core.schedule import FileMark, complete, seen_since
from nightmail.sources.files import Format, format_of, inputs_in

SETTLE = timedelta(seconds=10)
# The files of one run; what is there beyond them makes the next one.
MOST_FILES = 1_000


class Watch:
    """The looks at one folder. Blocking: call it from a thread."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._seen: dict[FileMark, datetime] = {}

    def look(self, now: datetime, taken: Collection[FileMark]) -> list[FileMark]:
        """Complete files that are not taken, of one format, by name. Raises `SourceError`."""
        present = [mark for mark in _marks(self.folder) if mark not in taken]
        self._seen = seen_since(self._seen, present, now)
        return _of_one_format(complete(self._seen, now, settle=SETTLE))


def quiet_files(folder: Path, now: datetime, taken: Collection[FileMark]) -> list[FileMark]:
    """The same by a single look: files that were written long enough ago, as their times say."""
    seen = {mark: _written_at(mark) for mark in _marks(folder) if mark not in taken}
    return _of_one_format(complete(seen, now, settle=SETTLE))


def as_it_was(mark: FileMark) -> bool:
    """Is the file still the one that was seen?"""
    return _mark(Path(mark.path)) == mark


def _marks(folder: Path) -> list[FileMark]:
    found = (_mark(entry) for entry in inputs_in(folder))
    return [mark for mark in found if mark is not None]


def _mark(file: Path | os.DirEntry[str]) -> FileMark | None:
    """None if it is gone since the folder was read."""
    try:
        stat = file.stat()
    except OSError:
        return None
    return FileMark(os.fspath(file), stat.st_size, stat.st_mtime_ns)


def _written_at(mark: FileMark) -> datetime:
    return datetime.fromtimestamp(mark.mtime_ns / 1e9, UTC)


def _of_one_format(marks: list[FileMark]) -> list[FileMark]:
    """A run reads one format: that of the first file. The others are the next run's."""
    wanted: Format | None = None
    found: list[FileMark] = []
    for mark in marks:
        kind = format_of(Path(mark.path))
        wanted = wanted or kind
        if kind == wanted and len(found) < MOST_FILES:
            found.append(mark)
    return found
