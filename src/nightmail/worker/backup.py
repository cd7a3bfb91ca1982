"""Copy a home while it is worked on, and make a home of such a copy.

The database is copied first, at one moment; then the spool. A file is written before the transaction that
names it and is not altered afterwards, so whatever the copied database names is there by then; who deletes
files that were needed when the database was copied leaves them while a back-up is under way. Both ways
the copy is made under a hidden name beside its place and renamed when it is whole.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import msgspec

from nightmail import plugins
from nightmail.config import FILE_NAME, Settings
from nightmail.core.lifecycle import RunEvent
from nightmail.core.run import PauseReason, RunState
from nightmail.errors import ConfigError
from nightmail.spool import Spool
from nightmail.spool.files import failed, sync_folder
from nightmail.stages.parts import part_names
from nightmail.stages.ports import Clock
from nightmail.stores.base import Lease, Store
from nightmail.worker.lease import is_dead, make_token

NOTE = "backup.json"
# Beside the spool's folders while a back-up is made; the holder is written in it.
UNDER_WAY = ".backup-{token}.under-way"
# However large the home; a sign that is older was left behind, by a machine that cannot be asked.
LONGEST = timedelta(days=1)


class Backup(msgspec.Struct, frozen=True, kw_only=True):
    """A back-up: when its database was copied, what is in it, and which files the database names that the
    home itself did not have."""

    path: Path
    made_at: datetime
    files: int
    bytes: int
    runs: int
    missing: tuple[str, ...]


class Restored(msgspec.Struct, frozen=True, kw_only=True):
    """A home made of a back-up: which of its runs and schedules are paused for a person to look first."""

    home: Path
    made_at: datetime
    paused_runs: tuple[str, ...]
    paused_schedules: tuple[str, ...]


class _Note(msgspec.Struct, frozen=True, kw_only=True):
    """What is written beside a back-up; a folder without it is none."""

    made_at: datetime
    home: str


class _Copied(NamedTuple):
    files: int = 0
    bytes: int = 0


async def back_up(settings: Settings, store: Store, clock: Clock, target: Path) -> Backup:
    """Copy everything of the home into the new folder `target`. Raises `ConfigError` if something is there
    or it lies in the home, `DiskFull`, `StoreError`."""
    target = await asyncio.to_thread(lambda: target.expanduser().absolute())
    if target.is_relative_to(settings.home):
        raise ConfigError(f"{target} lies in the home itself; a back-up belongs elsewhere")
    part = await asyncio.to_thread(_part_of, target, clock.token())
    try:
        made_at = clock.now()
        with _under_way(settings.spool, clock):
            await store.copy(part)
            copied = await asyncio.to_thread(_copy_files, settings, part)
        copy: Store = await plugins.load("stores", "sqlite").open(part)
        try:
            runs = await copy.runs.list()
            missing = await _missing(copy, Spool(part / "spool"))
        finally:
            await copy.close()
        await asyncio.to_thread(_publish, part, target, _Note(made_at=made_at, home=str(settings.home)))
    finally:
        await asyncio.to_thread(shutil.rmtree, part, ignore_errors=True)
    return Backup(
        path=target, made_at=made_at, files=copied.files, bytes=copied.bytes, runs=len(runs), missing=missing
    )


async def restore(settings: Settings, clock: Clock, backup: Path) -> Restored:
    """Make the home, which must not be there, of a back-up. Its unfinished runs and its schedules are
    paused: what was sent after the back-up was made is not known to it."""
    backup, home = await asyncio.to_thread(lambda: backup.expanduser().absolute()), settings.home
    note = await asyncio.to_thread(_read_note, backup)
    part = await asyncio.to_thread(_part_of, home, clock.token())
    try:
        await asyncio.to_thread(_copy_tree, backup, part)
        store: Store = await plugins.load("stores", "sqlite").open(part)
        try:
            runs, schedules = await _hold(store, clock, note)
        finally:
            await store.close()
        await asyncio.to_thread(_publish, part, home, None)
    finally:
        await asyncio.to_thread(shutil.rmtree, part, ignore_errors=True)
    return Restored(home=home, made_at=note.made_at, paused_runs=runs, paused_schedules=schedules)


def is_under_way(spool: Path, now: datetime) -> bool:
    """Is a back-up of this spool being made?"""
    for path in spool.glob(UNDER_WAY.format(token="*")):  # noqa: S106 - no secret
        with contextlib.suppress(OSError):
            age = now - datetime.fromtimestamp(path.stat().st_mtime, UTC)
            if age < LONGEST and not is_dead(path.read_text(encoding="utf-8")):
                return True
    return False


@contextlib.contextmanager
def _under_way(spool: Path, clock: Clock) -> Iterator[None]:
    holder = make_token(clock)
    sign = spool / UNDER_WAY.format(token=clock.token())
    try:
        spool.mkdir(parents=True, exist_ok=True)
        sign.write_text(holder, encoding="utf-8")
    except OSError as error:
        raise failed("written", sign, error) from error
    try:
        yield
    finally:
        sign.unlink(missing_ok=True)


async def _hold(store: Store, clock: Clock, note: _Note) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Let nothing be sent before somebody has looked."""
    for tenure in await store.runs.leases():
        await store.runs.delete_lease(Lease(tenure.run_no, tenure.token))
    message = (
        f"restored from a back-up of {note.made_at:%Y-%m-%d %H:%M} UTC: what was sent since is not known "
        "here. Look with nightmail doctor, then nightmail resume"
    )
    runs, schedules = [], []
    for run in await store.runs.list():
        if run.state in (RunState.OPEN, RunState.DRAINING):
            await store.runs.record_event(
                run.run_no, RunEvent.PAUSED, now=clock.now(), reason=PauseReason.USER, message=message
            )
            runs.append(run.run_id)
    for schedule in await store.schedules.list():
        if not schedule.paused:
            await store.schedules.record_paused(schedule.name, True, now=clock.now())
            schedules.append(schedule.name)
    return tuple(runs), tuple(schedules)


async def _missing(store: Store, spool: Spool) -> tuple[str, ...]:
    """Files that the database names and that are not there; the same that `nightmail doctor` looks for."""
    lost: list[str] = []
    for run in await store.runs.list():
        paths = await store.requests.file_paths(run.run_no)
        lost += [name for name in paths.values() if not spool.exists(name)]
        lost += [
            f"{run.run_id}/outputs/{batch.batch_no}.arrow"
            for batch in await store.batches.list(run.run_no)
            if batch.succeeded and not part_names(spool, run.run_id, batch.batch_no)
        ]
    return tuple(lost)


def _part_of(target: Path, token: str) -> Path:
    """The hidden folder in which `target` is made."""
    try:
        if target.exists() and (not target.is_dir() or any(target.iterdir())):
            raise ConfigError(f"{target} is there already; name a new folder")
        part = target.with_name(f".{target.name}.{token}.part")
        part.mkdir(parents=True)
        return part
    except OSError as error:
        raise failed("written", target, error) from error


def _copy_files(settings: Settings, part: Path) -> _Copied:
    """The spool and the settings; the database is there already."""
    copied = _copy_tree(settings.spool, part / "spool")
    written = settings.home / FILE_NAME
    if written.exists():
        _copy(written, part / FILE_NAME)
    return copied


def _copy_tree(source: Path, target: Path) -> _Copied:
    """Every file that is whole. One that is removed meanwhile is not needed any more: nothing that a
    database names is removed but the input of a batch that is done with."""
    files = size = 0
    for folder, _, names in os.walk(source):
        into = target / Path(folder).relative_to(source)
        try:
            into.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise failed("written", into, error) from error
        for name in names:
            if name.startswith(".") or (into == target and name == NOTE):
                continue
            copied = _copy(Path(folder) / name, into / name)
            files, size = files + (copied is not None), size + (copied or 0)
        sync_folder(into)
    return _Copied(files, size)


def _copy(source: Path, target: Path) -> int | None:
    """Copy a file durably, with its time, which tells whether an input has changed; its size, or None if it
    is gone."""
    try:
        shutil.copy2(source, target)
        with target.open("rb") as file:
            os.fsync(file.fileno())
        return target.stat().st_size
    except FileNotFoundError:
        return None
    except OSError as error:
        raise failed("written", target, error) from error


def _publish(part: Path, target: Path, note: _Note | None) -> None:
    try:
        if note is not None:
            (part / NOTE).write_bytes(msgspec.json.encode(note))
        sync_folder(part)
        part.rename(target)
        sync_folder(target.parent)
    except OSError as error:
        raise failed("written", target, error) from error


def _read_note(backup: Path) -> _Note:
    try:
        return msgspec.json.decode((backup / NOTE).read_bytes(), type=_Note)
    except FileNotFoundError:
        raise ConfigError(f"{backup} is no back-up: there is no {NOTE} in it") from None
    except msgspec.DecodeError as error:
        raise ConfigError(f"{backup / NOTE} cannot be read: {error}") from error
    except OSError as error:
        raise failed("read", backup / NOTE, error) from error
