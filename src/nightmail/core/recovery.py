"""What to do with a create call whose answer is lost.

A batch is ours if it was made of our input file: one upload belongs to one batch. Names are not enough,
since two homes that run the same task over the same paths give their batches the same ones; metadata can
only say no, or speak for a server that does not tell the file. Of several, the one that has got furthest
stays and the others are extra: they are asked to end, and what they answered counts (`stages/extras.py`).
"Not there" is believed only after the call can no longer be on its way and the provider's list has had
time to show it. "There is no other" neither: a batch that was adopted sooner is looked for once more then
(`stages/seek.py`).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Container, Iterable, Mapping
from datetime import datetime, timedelta
from typing import NamedTuple

# The longest that a create call of ours may be on its way: the adapter ends each at 30 s, and makes a
# second one where a server refuses metadata.
LONGEST_CALL = timedelta(seconds=60)
LISTING_LAG = timedelta(seconds=10)
QUARANTINE = LONGEST_CALL + LISTING_LAG

RUN_KEY = "nightmail_run"
BATCH_KEY = "nightmail_batch"
ATTEMPT_KEY = "nightmail_attempt"

_UPLOAD_NAME = re.compile(r"[a-z0-9-]+\.b[1-9][0-9]*\.(?P<mark>[0-9a-f]{8})\.jsonl")


def metadata(run_id: str, batch_id: str, attempt: int) -> dict[str, str]:
    """What our batches carry at the provider."""
    return {RUN_KEY: run_id, BATCH_KEY: batch_id, ATTEMPT_KEY: str(attempt)}


def mark_of(run_id: str, created_at: datetime) -> str:
    """Tells a run from one of the same name in another home: it began at another moment."""
    return hashlib.sha256(f"{run_id} {created_at.isoformat()}".encode()).hexdigest()[:8]


def upload_name(batch_id: str, mark: str) -> str:
    """What our input files are called at the provider."""
    return f"{batch_id}.{mark}.jsonl"


def mark_in(filename: str) -> str | None:
    """The mark in the name of an input file; None if the name is not one of ours."""
    found = _UPLOAD_NAME.fullmatch(filename)
    return found["mark"] if found else None


class Candidate(NamedTuple):
    """A batch at the provider that may be ours."""

    provider_batch_id: str
    input_file_id: str | None
    metadata: Mapping[str, str]
    created_at: datetime | None
    done: int = 0  # requests that it has got through, as far as the provider tells


class Found(NamedTuple):
    """`adopt` is the provider's id of our batch, or None; `extras` are ours too and must come to an end.
    With nothing to adopt, `wait_until` is when to look again; None means that it is not there."""

    adopt: str | None
    extras: tuple[str, ...]
    wait_until: datetime | None


def is_ours(candidate: Candidate, batch_id: str, input_file_id: str | None) -> bool:
    """Another name or another file says no; then the file says yes, or the name where no file is told."""
    named = candidate.metadata.get(BATCH_KEY)
    if named is not None and named != batch_id:
        return False
    if candidate.input_file_id is None or input_file_id is None:
        return named is not None
    return candidate.input_file_id == input_file_id


def unclaimed(
    candidates: Iterable[Candidate], *, batch_id: str, input_file_id: str | None, known: Container[str]
) -> list[Candidate]:
    """What is ours of what the provider has, and is not among the ids that our books `know`."""
    return [
        candidate
        for candidate in candidates
        if candidate.provider_batch_id not in known and is_ours(candidate, batch_id, input_file_id)
    ]


def quarantined_until(submitted_at: datetime) -> datetime:
    """From then on the provider's list shows whatever a create call of that time has led to."""
    return submitted_at + QUARANTINE


def seek_again_at(submitted_at: datetime, *, listed_at: datetime) -> datetime | None:
    """When to look once more for a batch that was adopted from a list made at `listed_at`; None if that list
    has shown all there is."""
    settled_at = quarantined_until(submitted_at)
    return settled_at if listed_at < settled_at else None


def is_time_to_seek(seek_at: datetime | None, now: datetime) -> bool:
    """Also if it is further ahead than it is ever put: then the clock has been set back since."""
    return seek_at is not None and not now < seek_at <= now + QUARANTINE


def find(
    candidates: Iterable[Candidate],
    *,
    batch_id: str,
    input_file_id: str | None,
    known: frozenset[str],
    submitted_at: datetime,
    now: datetime,
) -> Found:
    """Settle a doubtful batch by what the provider lists. `known` are provider ids that belong to
    other batches of ours (an earlier life of this one, say) and are not to be adopted again."""
    ours = unclaimed(candidates, batch_id=batch_id, input_file_id=input_file_id, known=known)
    if ours:
        # The one that has got furthest costs least from here on; among equals the first.
        ours.sort(key=lambda each: (-each.done, each.created_at or now, each.provider_batch_id))
        return Found(ours[0].provider_batch_id, tuple(each.provider_batch_id for each in ours[1:]), None)
    settled_at = quarantined_until(submitted_at)
    return Found(None, (), settled_at if now < settled_at else None)
