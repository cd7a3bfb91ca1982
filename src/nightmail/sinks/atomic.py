"""A file that appears whole under its name or not at all.

    temporary file in the same folder  ->  fsync  ->  rename  ->  fsync of the folder

The temporary file is hidden and locked by whoever writes it. A program that was killed leaves one
behind without its lock, and the next to write the same target removes it.
"""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from nightmail.core import disk
from nightmail.errors import DiskFull, SinkError

try:
    import fcntl
except ImportError:  # Windows: no lock, so what a killed program left is never taken away
    fcntl = None  # type: ignore[assignment]

_SUFFIX = ".partial"


class AtomicFile:
    """Write to `file`, then `commit()` or `abort()`. Raises `SinkError` if there is no place to write."""

    def __init__(self, path: Path) -> None:
        refuse_path(path)
        # A link stays a link; what it points to is replaced.
        self._target = path.resolve()
        with blamed(path):
            _remove_leftovers(self._target)
            self._temporary, self.file = _create(self._target)
        self.is_open = True

    def commit(self) -> None:
        """Make the file appear; if that fails, it is as after `abort()` and a `SinkError` is raised."""
        if not self.is_open:
            return
        try:
            with blamed(self._target):
                self.file.flush()
                os.fsync(self.file.fileno())
                self._temporary.replace(self._target)
                # Closing gives up the lock, so only now: an unlocked temporary file is a leftover.
                self.file.close()
                self.is_open = False
                _sync_folder(self._target.parent)
        finally:
            self.abort()

    def abort(self) -> None:
        """Remove the temporary file; nothing if it was committed or aborted before."""
        if not self.is_open:
            return
        self.is_open = False
        self._temporary.unlink(missing_ok=True)
        # What is still buffered has nowhere to go on a full disk, and nobody wants it.
        with suppress(OSError):
            self.file.close()


def check_target(path: Path) -> None:
    """Raise `SinkError` if an `AtomicFile` could not be written at `path`, by writing one byte and
    removing it again."""
    trial = AtomicFile(path)
    try:
        with blamed(path):
            trial.file.write(b"\n")
            trial.file.flush()
            os.fsync(trial.file.fileno())
    finally:
        trial.abort()


def refuse_path(path: Path) -> None:
    """Raise `SinkError` for a path at which no file can stand, with what to do."""
    folder = path.resolve().parent
    if path.is_dir():
        raise SinkError(f"{path} is a folder; give the output a file name")
    if path.exists() and not path.is_file():
        raise SinkError(f"{path} is no regular file; the output is replaced as a whole, which needs one")
    if not folder.exists():
        raise SinkError(f"{path}: there is no folder {folder}; make it first: mkdir -p {folder}")
    if not folder.is_dir():
        raise SinkError(f"{path}: {folder} is no folder")


@contextmanager
def blamed(path: Path) -> Iterator[None]:
    """Turn what the operating system refuses into a `SinkError`, or `DiskFull`, that names the path."""
    try:
        yield
    except OSError as error:
        if disk.is_full(error):
            raise DiskFull(disk.full(path, error)) from error
        raise SinkError(disk.refused(path, "written", error)) from error


def _prefix(target: Path) -> str:
    name = target.name
    if len(os.fsencode(name)) > 200:  # names end at 255 bytes, and ours is longer than the target's
        name = hashlib.sha256(os.fsencode(name)).hexdigest()
    return f".{name}."


def _create(target: Path) -> tuple[Path, BinaryIO]:
    while True:
        # A name that never comes again. Whoever looks for leftovers opens a file, locks it and removes its
        # name: one that had been given away meanwhile would take another writer's file with it.
        path = target.parent / f"{_prefix(target)}{os.getpid()}-{secrets.token_hex(8)}{_SUFFIX}"
        # Not mkstemp: the output gets the permissions that any new file of this user has.
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
        # Another sink may have taken the file for a leftover before it was locked.
        if _lock(handle) and os.fstat(handle).st_nlink:
            return path, os.fdopen(handle, "wb")
        os.close(handle)


def _lock(handle: int) -> bool:
    if fcntl is None:
        return True
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        # A file system without locks: then nothing is ever taken for a leftover either.
        return error.errno not in (errno.EWOULDBLOCK, errno.EACCES)
    return True


def _remove_leftovers(target: Path) -> None:
    if fcntl is None:
        return
    prefix = _prefix(target)
    for entry in os.scandir(target.parent):
        if not (entry.name.startswith(prefix) and entry.name.endswith(_SUFFIX)):
            continue
        with suppress(OSError):
            handle = os.open(entry.path, os.O_RDONLY)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                Path(entry.path).unlink()
            finally:
                os.close(handle)


def _sync_folder(folder: Path) -> None:
    # Without this a power cut may bring back the old file. Windows cannot open a folder.
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
