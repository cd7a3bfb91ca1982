"""Files of a home, by name: written whole or not at all, read by address, copied by range.

A name is a relative path such as `sections-7f3a/requests/000001.jsonl`; an address in the database is
(file, offset, length).
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
from collections.abc import Callable, Iterable, Iterator
from io import FileIO
from pathlib import Path
from typing import IO

from nightmail.core import disk
from nightmail.errors import DiskFull, LeaseLost, NightmailError, StoreError
from nightmail.spool.ranges import Joined, merged, read_fully
from nightmail.spool.splitting import split_lines

CHUNK = 1 << 20
# Other file systems, old kernels, sandboxes: then the bytes go through this process.
COPY_UNSUPPORTED = {errno.EXDEV, errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP, errno.EPERM}
_HIDDEN = ".part"
# Less than so much is in one piece of memory with its neighbours, or not worth the call.
WORTH_LETTING_GO = 1 << 20


class Spool:
    """The spool of one home. Blocking: call it from a thread."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, name: str) -> Path:
        return self.root / name

    def write(self, name: str, lines: Iterable[bytes]) -> int:
        """Make the file `name` of `lines`, which are put together in memory first, durably; its size. A crash
        leaves the old one or none."""
        content = b"".join(lines)
        with self.replacing(name) as file:
            return file.write(content)

    @contextlib.contextmanager
    def replacing(self, name: str, *, size: int | None = None) -> Iterator[IO[bytes]]:
        """A file that appears under `name`, durably, when the block ends without an exception. `size` in
        bytes, if it is known before, is told where there is no room for it."""
        with self.receiving(name, size=size) as temporary, temporary.open("wb", buffering=CHUNK) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())

    @contextlib.contextmanager
    def receiving(self, name: str, *, size: int | None = None) -> Iterator[Path]:
        """The path of a hidden file, for somebody else to write and sync; it appears under `name` when the
        block ends without an exception. Raises `LeaseLost` if another worker has taken the run over and
        swept it away."""
        path = self.path(name)
        # Nobody else's: neither that of a worker who was only asleep, nor, where several machines share
        # the folder, that of one who has the same process number.
        temporary = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}{_HIDDEN}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            yield temporary
            try:
                temporary.replace(path)
            except FileNotFoundError as error:
                # Only `sweep` removes it, and only whoever has the run's lease sweeps.
                raise LeaseLost(f"{path} is being made by another worker; nothing was written") from error
            sync_folder(path.parent)
        except OSError as error:
            # Gone before the room is measured: what was written of it is not in the way any more.
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise failed("written", path, error, size=size) from error
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)

    def gather(self, ranges: Iterable[tuple[str, int, int]], name: str) -> int:
        """Make the file `name` of byte ranges `(name, offset, length)` of others, durably: these may go
        then. Its size. Ranges that touch are copied as one, by the kernel where it can."""
        wanted = list(merged(ranges))
        size = sum(length for _, _, length in wanted)
        opened: dict[str, IO[bytes]] = {}
        try:
            with self.replacing(name, size=size) as target:
                for source_name, offset, length in wanted:
                    if source_name not in opened:
                        opened[source_name] = self._open(source_name)
                    copy_range(opened[source_name], target, offset, length)
        finally:
            for file in opened.values():
                file.close()
        return size

    def joined(self, ranges: Iterable[tuple[str, int, int]]) -> Joined:
        """Byte ranges `(name, offset, length)` to be read one after the other, as they are now."""
        return Joined([(self.path(name), offset, length) for name, offset, length in merged(ranges)])

    def let_go(self, ranges: Iterable[tuple[str, int, int]]) -> None:
        """Nobody reads these bytes soon: the system may hold something else in the memory that it keeps them
        in. They are read from the disk again if somebody does."""
        if not hasattr(os, "posix_fadvise"):
            return
        for name, offset, length in merged(ranges):
            if length >= WORTH_LETTING_GO:
                # It is advice, and the file may be gone: nothing depends on it.
                with contextlib.suppress(OSError, StoreError), self._open(name) as file:
                    os.posix_fadvise(file.fileno(), offset, length, os.POSIX_FADV_DONTNEED)

    def read(self, name: str, offset: int, length: int) -> bytes:
        """The bytes at an address."""
        with self._open(name) as file:
            return self._read(file, name, offset, length)

    def _read(self, file: IO[bytes], name: str, offset: int, length: int) -> bytes:
        try:
            file.seek(offset)
            found = read_fully(file, length)
        except OSError as error:
            raise failed("read", self.path(name), error) from error
        if len(found) != length:
            raise StoreError(
                f"{self.path(name)} is shorter than the database says: {length} bytes at {offset} wanted"
            )
        return found

    @contextlib.contextmanager
    def reading(self) -> Iterator[Callable[[str, int, int], bytes]]:
        """`read` for many addresses: each file is opened once, which is most of what a read costs, and not
        buffered, which would be half of the rest."""
        opened: dict[str, IO[bytes]] = {}

        def read(name: str, offset: int, length: int) -> bytes:
            if (file := opened.get(name)) is None:
                file = opened[name] = self._open(name, buffering=0)
            return self._read(file, name, offset, length)

        try:
            yield read
        finally:
            for file in opened.values():
                file.close()

    def read_whole(self, name: str) -> bytes:
        path = self.path(name)
        try:
            return path.read_bytes()
        except OSError as error:
            raise failed("read", path, error) from error

    def _open(self, name: str, *, buffering: int = -1) -> IO[bytes]:
        try:
            return self.path(name).open("rb", buffering=buffering)
        except OSError as error:
            raise failed("read", self.path(name), error) from error

    def lines(self, name: str) -> Iterator[tuple[int, bytes]]:
        """`(offset, line)` of each line, without its `\\n` or `\\r\\n`; blank lines are left out."""
        for offsets, lines in self.blocks(name):
            yield from zip(offsets, lines, strict=True)

    def blocks(self, name: str) -> Iterator[tuple[list[int], list[bytes]]]:
        """`lines`, about a megabyte of them at a time: their offsets, and they themselves."""
        path = self.path(name)
        try:
            with path.open("rb") as file:
                yield from split_lines(file)
        except OSError as error:
            raise failed("read", path, error) from error

    def appendable(self, name: str) -> FileIO:
        """The file `name`, open for more lines; half a line that a crash left at its end is cut off."""
        path = self.path(name)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            # Unbuffered: what was paid is in the file as soon as it is written.
            file = path.open("ab+", buffering=0)
            size = file.tell()
            tail = 0
            while tail < size:
                step = min(CHUNK, size - tail)
                file.seek(size - tail - step)
                cut = file.read(step).rfind(b"\n")
                if cut >= 0:
                    file.truncate(size - tail - step + cut + 1)
                    break
                tail += step
            else:
                file.truncate(0)
            file.seek(0, os.SEEK_END)
            return file
        except OSError as error:
            raise failed("written", path, error) from error

    def append(self, file: FileIO, line: bytes) -> None:
        """Add a line to what `appendable` gave, in one write. Raises `DiskFull` if not all of it fits."""
        try:
            if file.write(line) != len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            raise failed("written", Path(str(file.name)), error) from error

    def exists(self, name: str) -> bool:
        return self.path(name).exists()

    def sweep(self, run_id: str) -> None:
        """Remove the hidden files that killed processes have left of a run. Only under its lease."""
        for path in self.path(run_id).glob(f"*/.*{_HIDDEN}"):
            with contextlib.suppress(OSError):
                path.unlink()

    def size(self, name: str) -> int:
        """How many bytes a file has."""
        return self.path(name).stat().st_size

    def forget(self, run_id: str) -> None:
        """Remove everything of a run."""
        shutil.rmtree(self.path(run_id), ignore_errors=True)

    def delete(self, name: str) -> None:
        """Remove a file; it may be gone already."""
        self.path(name).unlink(missing_ok=True)


def copy_range(source: IO[bytes], target: IO[bytes], offset: int, length: int) -> None:
    """Append a range of one file to another."""
    target.flush()
    if hasattr(os, "copy_file_range"):
        try:
            while length:
                copied = os.copy_file_range(source.fileno(), target.fileno(), length, offset_src=offset)
                if copied == 0:
                    raise StoreError(f"{source.name} is shorter than the database says")
                offset, length = offset + copied, length - copied
            # The descriptor moved; the buffered writer asks it where it is before it writes again.
            target.seek(0, os.SEEK_END)
        except OSError as error:
            if error.errno not in COPY_UNSUPPORTED:
                raise
        else:
            return
    source.seek(offset)
    while length:
        chunk = source.read(min(CHUNK, length))
        if not chunk:
            raise StoreError(f"{source.name} is shorter than the database says")
        target.write(chunk)
        length -= len(chunk)


def sync_folder(folder: Path) -> None:
    """Make a rename in a folder durable, where the system lets us open folders."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def failed(what: str, path: Path, error: OSError, *, size: int | None = None) -> NightmailError:
    """What to raise for a file that could not be `what` ("read" or "written")."""
    if what == "written" and disk.is_full(error):
        if size is None:
            return DiskFull(disk.full(path, error))
        return DiskFull(disk.full(path, error, needed=size, free=shutil.disk_usage(path.parent).free))
    return StoreError(disk.refused(path, what, error))
