"""What `nightmail doctor` can find, and what is known about it that mending it needs."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

import msgspec

from nightmail.core.batch import Batch
from nightmail.core.run import Run
from nightmail.providers.base import RemoteBatch, RemoteFile
from nightmail.stores.base import Lease


class Kind(StrEnum):
    """What sort of thing was found. Scripts may rely on it: add kinds, never change one."""

    COUNTS = "counts"  # the kept counts are not those of the rows
    SPOOL_FILE = "spool_file"  # a file that the database names is missing
    OUTPUTS = "outputs"  # the accepted outputs of a batch are missing
    DOUBT = "doubt"  # nobody knows whether the provider has a batch
    UNKNOWN_BATCH = "unknown_batch"  # the provider has a batch of our input that no batch of ours claims
    UNSURE_BATCH = "unsure_batch"  # a running batch there has a name of ours, but is not provably ours
    UNBOOKED_EXTRA = "unbooked_extra"  # an extra of a finished run has not been booked yet
    REMOTE_FILES = "remote_files"  # files at the provider that nothing needs any more
    DEAD_LEASE = "dead_lease"  # a run is held by a process that is gone
    LOST_FOLDER = "lost_folder"  # the spool has a folder of a run that the database does not know


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """Something that is not as it should be, and what to do about it; `done` says what `--fix` has done,
    None if it is still as it was."""

    kind: Kind
    what: str
    where: str
    advice: str
    done: str | None = None


class UnknownBatches(msgspec.Struct, frozen=True, kw_only=True):
    """`remotes` were made of the input file of `batch`, which has none of them; the provider was asked for
    all that it has at `listed_at`."""

    batch: Batch
    listed_at: datetime
    remotes: tuple[RemoteBatch, ...]


class UnbookedExtra(msgspec.Struct, frozen=True, kw_only=True):
    """An extra of a run that nobody drives any more."""

    extra: Batch


class LeftFiles(msgspec.Struct, frozen=True, kw_only=True):
    """Files at the provider that a run has left there."""

    files: tuple[RemoteFile, ...]


class DeadLease(msgspec.Struct, frozen=True, kw_only=True):
    """A lease of a process that is gone."""

    lease: Lease


class LostFolder(msgspec.Struct, frozen=True, kw_only=True):
    """A folder of the spool in which nothing is that was paid for."""

    name: str


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """A finding, the run that it is about, and what mending needs to know; without that it is left to a
    person."""

    finding: Finding
    run: Run | None = None
    mendable: UnknownBatches | UnbookedExtra | LeftFiles | DeadLease | LostFolder | None = None
