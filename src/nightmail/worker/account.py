"""What of ours is at the provider and should not be: batches that nobody claims, files that nothing needs.

Ours is what this home has uploaded. A batch is recognised by the id of its input file, a file by its id or
by the mark in its name. The name of a run proves nothing: another home that runs the same task over the same
paths has the same one, and what is its is left alone.

The provider is listed before the database is read: what a worker adds meanwhile is then in the database,
and not taken for somebody else's.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

from nightmail.core.batch import CLOSED_STATES, ENDED_PHASES, Batch, BatchState
from nightmail.core.pricing import PriceTable, cost_pusd, format_usd, price_of
from nightmail.core.recovery import BATCH_KEY, RUN_KEY, is_ours, mark_in, mark_of
from nightmail.core.run import Run
from nightmail.errors import ProviderError, Unsupported
from nightmail.providers.base import Provider, RemoteBatch, RemoteFile
from nightmail.stages.recover import candidate
from nightmail.stores.base import Store
from nightmail.worker.findings import Case, Finding, Kind, LeftFiles, UnknownBatches
from nightmail.worker.lease import is_dead

# A worker finds out itself what became of these.
IN_DOUBT = (BatchState.SUBMITTING, BatchState.DOUBTFUL)


class Look(NamedTuple):
    """What could be asked there, in words; was it all that this provider can tell? And what was found."""

    said: str
    whole: bool
    cases: list[Case]


async def look_at_account(store: Store, provider: Provider, prices: PriceTable, now: datetime) -> Look:
    """What is at the provider beside what the store knows, as of `now` or a little later."""
    said, whole, remotes, files = [f"{provider.account}: reachable"], True, [], []
    try:
        remotes = [remote async for remote in provider.find()]
    except Unsupported as error:
        said.append(f"its batches cannot be searched ({error})")
    except ProviderError as error:
        return Look(f"{provider.account}: {error}", False, [])
    try:
        files = [file async for file in provider.files()]
    except Unsupported as error:
        said.append(f"its files cannot be listed ({error})")
    except ProviderError as error:
        said.append(f"its files could not be listed: {error}")
        whole = False
    runs = {run.run_no: run for run in await store.runs.list()}
    driven = {lease.run_no for lease in await store.runs.leases() if not is_dead(lease.token)}
    every = [batch for run_no in runs for batch in await store.batches.list(run_no)]
    batches = [batch for batch in every if batch.account == provider.account]
    known = {batch.provider_batch_id for batch in every}
    strange = [remote for remote in remotes if remote.id not in known]
    cases = _unknown(strange, batches, runs, prices, now) + _unsure(strange, batches, runs, provider.account)
    if files:
        used = {remote.input_file_id for remote in remotes if remote.phase not in ENDED_PHASES}
        cases += _files([file for file in files if file.id not in used], batches, runs, driven, now)
    return Look("; ".join(said), whole, cases)


def _unknown(
    strange: Iterable[RemoteBatch],
    batches: Iterable[Batch],
    runs: dict[int, Run],
    prices: PriceTable,
    now: datetime,
) -> list[Case]:
    """Batches at the provider that were made of our input files, by the batch that has the file."""
    uploads = {batch.input_file_id: batch for batch in batches if batch.input_file_id is not None}
    found: dict[int, list[RemoteBatch]] = {}
    for remote in strange:
        batch = uploads.get(remote.input_file_id or "")
        if batch is None or batch.state in IN_DOUBT:
            continue
        if is_ours(candidate(remote), batch.batch_id, batch.input_file_id):
            found.setdefault(batch.batch_no, []).append(remote)
    owners = {batch.batch_no: batch for batch in uploads.values()}
    return [
        Case(
            finding=Finding(
                kind=Kind.UNKNOWN_BATCH,
                what="the provider has "
                + " and ".join(_shown(remote, owners[number], prices) for remote in remotes)
                + f" for {owners[number].batch_id}, which knows nothing of it",
                where=runs[owners[number].run_no].run_id,
                advice="nightmail doctor --fix ends it, books what it cost and uses what it answered",
            ),
            run=runs[owners[number].run_no],
            mendable=UnknownBatches(batch=owners[number], listed_at=now, remotes=tuple(remotes)),
        )
        for number, remotes in found.items()
    ]


def _shown(remote: RemoteBatch, batch: Batch, prices: PriceTable) -> str:
    said = [remote.status]
    price = price_of(batch.model, prices)
    if remote.usage is not None and price is not None:
        cost = cost_pusd(remote.usage, price, mode=batch.mode, requests=max(1, remote.completed or 1))
        said.append(f"{format_usd(cost)} USD billed")
    return f"{remote.id} ({', '.join(said)})"


def _unsure(
    strange: Iterable[RemoteBatch], batches: Iterable[Batch], runs: dict[int, Run], account: str
) -> list[Case]:
    """Running batches with a name of ours that cannot be told to be ours. What has ended is left out: it
    stays in the provider's list for good, and nobody can do anything about it."""
    names: dict[str, Run] = {run.run_id: run for run in runs.values()}
    uploads = {batch.input_file_id for batch in batches if batch.input_file_id is not None}
    return [
        Case(
            finding=Finding(
                kind=Kind.UNSURE_BATCH,
                what=f"the provider has {remote.id} ({remote.status}) under the name of "
                f"{remote.metadata.get(BATCH_KEY)}, but of an input file that this home did not upload",
                where=account,
                advice="it belongs to another home on this account, or to an earlier one in this place; "
                "if it is nobody's any more, cancel it at the provider",
            ),
            run=names[run_id],
        )
        for remote in strange
        if (run_id := remote.metadata.get(RUN_KEY, "")) in names
        and remote.phase not in ENDED_PHASES
        and remote.input_file_id not in uploads
    ]


def _files(
    files: Iterable[RemoteFile],
    batches: Sequence[Batch],
    runs: dict[int, Run],
    driven: set[int],
    now: datetime,
) -> list[Case]:
    """Files that a closed batch has left, and uploads that no batch has recorded, by run. Not those of a
    run that wants to keep them, and not a fresh upload of one that is being driven."""
    marks = {mark_of(run.run_id, run.created_at): run.run_no for run in runs.values()}
    owned = {
        file_id: batch
        for batch in batches
        for file_id in (batch.input_file_id, batch.output_file_id, batch.error_file_id)
        if file_id is not None
    }
    left: dict[int, list[RemoteFile]] = {}
    for file in files:
        batch = owned.get(file.id)
        if batch is not None:
            run_no = batch.run_no if batch.state in CLOSED_STATES else None
        else:
            run_no = marks.get(mark_in(file.filename or "") or "")
            run_no = None if run_no in driven else run_no
        if run_no is not None and not runs[run_no].spec.keep_remote_files:
            left.setdefault(run_no, []).append(file)
    return [
        Case(
            finding=Finding(
                kind=Kind.REMOTE_FILES,
                what=_listed(found, now),
                where=runs[run_no].run_id,
                advice="nightmail doctor --fix deletes them; else the provider does when they expire",
            ),
            run=runs[run_no],
            mendable=LeftFiles(files=tuple(found)),
        )
        for run_no, found in left.items()
    ]


def _listed(files: Sequence[RemoteFile], now: datetime) -> str:
    size = sum(file.bytes or 0 for file in files)
    ages = [now - file.created_at for file in files if file.created_at is not None]
    said = f"{len(files)} files of it are" if len(files) > 1 else f"the file {files[0].id} of it is"
    age = f", {'the oldest ' if len(files) > 1 else ''}{_age(max(ages).total_seconds())} old" if ages else ""
    return f"{said} still at the provider, and nothing needs them ({size:,} bytes{age})"


def _age(seconds: float) -> str:
    for unit, length in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{int(seconds // length)} {unit}"
    return f"{max(0, int(seconds))} seconds"
