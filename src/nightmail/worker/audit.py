"""`nightmail doctor`: hold the store against itself, the spool and the provider's account; with `fix`, mend
what can be mended without a person."""

from __future__ import annotations

import asyncio
from datetime import datetime

import msgspec

from nightmail import plugins
from nightmail.config import Settings, read_prices
from nightmail.core.batch import CLOSED_STATES, Batch, BatchState, Phase
from nightmail.core.ids import BatchId
from nightmail.core.lifecycle import BatchEvent
from nightmail.core.recovery import quarantined_until
from nightmail.core.request import Mode
from nightmail.core.run import Run
from nightmail.errors import ConfigError, NightmailError
from nightmail.providers.base import Provider
from nightmail.spool import Spool
from nightmail.stages.parts import part_name
from nightmail.stages.ports import Clock
from nightmail.stores.base import Lease, Store
from nightmail.worker.account import look_at_account
from nightmail.worker.begin import INTAKE
from nightmail.worker.findings import Case, DeadLease, Finding, Kind, LostFolder, UnbookedExtra
from nightmail.worker.lease import claim, held, is_dead
from nightmail.worker.mending import Mender

# Where what has been paid for is kept: a folder without it can be made anew.
PAID = ("results", "outputs")


class Audit(msgspec.Struct, frozen=True, kw_only=True):
    """What was looked at, and what was found. `provider` says in words what it could be asked, `asked`
    whether that was all that it can tell."""

    runs: int
    batches: int
    provider: str
    asked: bool
    findings: tuple[Finding, ...]

    @property
    def left(self) -> int:
        """How many findings are still as they were."""
        return sum(finding.done is None for finding in self.findings)


async def audit(settings: Settings, store: Store, clock: Clock, *, fix: bool = False) -> Audit:
    """Look at everything; without `fix`, change nothing."""
    try:
        provider: Provider = plugins.load("providers", settings.provider).open(
            base_url=settings.base_url, api_key=settings.api_key
        )
    except ConfigError as error:
        return await examine(settings, store, clock, None, f"not asked: {error}", fix=fix)
    try:
        await provider.check()
        return await examine(settings, store, clock, provider, fix=fix)
    except NightmailError as error:
        return await examine(settings, store, clock, None, f"not asked: {error}", fix=fix)
    finally:
        await provider.close()


async def examine(
    settings: Settings,
    store: Store,
    clock: Clock,
    provider: Provider | None,
    said: str = "",
    *,
    fix: bool,
) -> Audit:
    """The audit with a provider that is open and reachable; without one, `said` is why there is none."""
    spool = Spool(settings.spool)
    folders = await asyncio.to_thread(_folders, spool)
    runs = await store.runs.list()
    batches = {run.run_no: await store.batches.list(run.run_no) for run in runs}
    cases: list[Case] = []
    for run in runs:
        cases += await _of_run(store, spool, run, batches[run.run_no])
    cases += await _of_leases(store, runs)
    cases += await asyncio.to_thread(_of_folders, spool, folders, runs)
    prices = await asyncio.to_thread(read_prices, settings.prices)
    asked = False
    if provider is not None:
        said, asked, found = await look_at_account(store, provider, prices, clock.now())
        cases += found
    findings = [case.finding for case in cases]
    if fix:
        mender = Mender(store=store, spool=spool, provider=provider, prices=prices, clock=clock)
        findings = await mender.mend(cases)
    return Audit(
        runs=len(runs),
        batches=sum(len(each) for each in batches.values()),
        provider=said,
        asked=asked,
        findings=tuple(findings),
    )


async def _of_run(store: Store, spool: Spool, run: Run, batches: list[Batch]) -> list[Case]:
    findings = []
    if wrong := await store.requests.miscounted(run.run_no):
        findings.append(
            Finding(
                kind=Kind.COUNTS,
                what=f"the counts say {wrong[0]}, the rows say {wrong[1]}",
                where=run.run_id,
                advice="please report this; the rows are right",
            )
        )
    findings += [
        Finding(
            kind=Kind.SPOOL_FILE,
            what=f"the file {spool.path(name)} is missing",
            where=run.run_id,
            advice="put it back from a back-up: the database names it",
        )
        for name in (await store.requests.file_paths(run.run_no)).values()
        if not spool.exists(name)
    ]
    for batch in batches:
        if batch.succeeded and not spool.exists(part_name(run.run_id, batch.batch_no)):
            findings.append(
                Finding(
                    kind=Kind.OUTPUTS,
                    what=f"the outputs of {batch.batch_id} are missing from the spool",
                    where=run.run_id,
                    advice="put the file back from a back-up; the raw answers are in results/",
                )
            )
        if batch.state is BatchState.DOUBTFUL:
            findings.append(
                Finding(
                    kind=Kind.DOUBT,
                    what=f"nobody knows yet whether {batch.batch_id} was accepted",
                    where=run.run_id,
                    advice="let a worker look (nightmail run, nightmail worker), or decide by hand: "
                    f"--resend {batch.batch_id} | --adopt {batch.batch_id}=PROVIDER_BATCH_ID",
                )
            )
    cases = [Case(finding=finding, run=run) for finding in findings]
    return cases + [
        Case(
            finding=Finding(
                kind=Kind.UNBOOKED_EXTRA,
                what=f"{batch.provider_batch_id} was asked to end, and what it cost is not booked yet",
                where=run.run_id,
                advice="nightmail doctor --fix, once it has ended at the provider",
            ),
            run=run,
            mendable=UnbookedExtra(extra=batch),
        )
        for batch in batches
        if batch.extra_of is not None and batch.state not in CLOSED_STATES and run.finished_at is not None
    ]


async def _of_leases(store: Store, runs: list[Run]) -> list[Case]:
    by_number = {run.run_no: run for run in runs}
    return [
        Case(
            finding=Finding(
                kind=Kind.DEAD_LEASE,
                what=f"it is held by a process that is gone ({tenure.token.rpartition('/')[0]})",
                where=by_number[tenure.run_no].run_id,
                advice="the next worker takes it over; nightmail doctor --fix gives it back",
            ),
            run=by_number[tenure.run_no],
            mendable=DeadLease(lease=Lease(tenure.run_no, tenure.token)),
        )
        for tenure in await store.runs.leases()
        if tenure.run_no in by_number and is_dead(tenure.token)
    ]


def _folders(spool: Spool) -> list[str]:
    if not spool.root.is_dir():
        return []
    return sorted(each.name for each in spool.root.iterdir() if each.is_dir() and each.name != INTAKE)


def _of_folders(spool: Spool, folders: list[str], runs: list[Run]) -> list[Case]:
    known = {run.run_id for run in runs}
    cases = []
    for name in folders:
        if name in known:
            continue
        paid = any(any(spool.path(f"{name}/{part}").glob("*")) for part in PAID)
        cases.append(
            Case(
                finding=Finding(
                    kind=Kind.LOST_FOLDER,
                    what=f"{spool.path(name)} is of a run that the database does not know"
                    + (", and holds answers that were paid for" if paid else ""),
                    where="spool",
                    advice="look whether the database is the right one; then keep it or remove it by hand"
                    if paid
                    else "nightmail doctor --fix removes it: nothing in it was paid for",
                ),
                mendable=None if paid else LostFolder(name=name),
            )
        )
    return cases


async def resolve_doubt(store: Store, clock: Clock, batch_id: BatchId, adopt: str | None) -> None:
    """See `Client.resolve_doubt`."""
    batch = await store.batches.read(batch_id)
    if batch is None or batch.state is not BatchState.DOUBTFUL or batch.mode is not Mode.BATCH:
        raise ConfigError(f"{batch_id} is not a batch whose fate is unknown; see nightmail doctor")
    run = next(each for each in await store.runs.list() if each.run_no == batch.run_no)
    lease = await claim(store, clock, run.run_id, idle=True)
    if lease is None:
        raise ConfigError(f"{run.run_id} is being worked on; stop that worker first")
    async with held(store, clock, lease):
        now: datetime = clock.now()
        if adopt is None:
            await store.batches.record(lease, batch, BatchEvent.NOT_ACCEPTED, now=now, due_at=None)
        else:
            await store.batches.record(
                lease,
                batch,
                BatchEvent.SUBMITTED,
                now=now,
                provider_batch_id=adopt,
                phase=Phase.IN_PROGRESS,
                due_at=now,
                seek_at=quarantined_until(batch.submitted_at or now),
            )
