"""`nightmail doctor`: hold the store against itself, the spool and the provider's account."""

from __future__ import annotations

from datetime import datetime

import msgspec

from nightmail import plugins
from nightmail.config import Settings
from nightmail.core.batch import BatchState, Phase
from nightmail.core.ids import BatchId
from nightmail.core.lifecycle import BatchEvent
from nightmail.core.recovery import BATCH_KEY, RUN_KEY
from nightmail.core.request import Mode
from nightmail.core.run import Run
from nightmail.errors import ConfigError, NightmailError, Unsupported
from nightmail.spool import Spool
from nightmail.stages.parts import part_name
from nightmail.stages.ports import Clock
from nightmail.stores.base import Store
from nightmail.worker.lease import claim, held
from nightmail.worker.service import Service


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """Something that is not as it should be, and what to do about it."""

    what: str
    where: str
    advice: str


class Audit(msgspec.Struct, frozen=True, kw_only=True):
    """What was looked at, and what was found."""

    runs: int
    batches: int
    provider: str
    findings: tuple[Finding, ...]


async def audit(settings: Settings, store: Store, service: Service) -> Audit:
    """Look at everything; change nothing."""
    runs = await store.runs.list()
    findings: list[Finding] = []
    batches = 0
    for run in runs:
        batches += len(await store.batches.list(run.run_no))
        findings += await _of_run(store, Spool(settings.spool), run)
    said, found = await _of_account(settings, store, runs)
    return Audit(runs=len(runs), batches=batches, provider=said, findings=(*findings, *found))


async def _of_run(store: Store, spool: Spool, run: Run) -> list[Finding]:
    findings = []
    if wrong := await store.requests.miscounted(run.run_no):
        findings.append(
            Finding(
                what=f"the counts say {wrong[0]}, the rows say {wrong[1]}",
                where=run.run_id,
                advice="please report this; the rows are right",
            )
        )
    findings += [
        Finding(
            what=f"the file {spool.path(name)} is missing",
            where=run.run_id,
            advice="put it back from a back-up: the database names it",
        )
        for name in (await store.requests.file_paths(run.run_no)).values()
        if not spool.exists(name)
    ]
    for batch in await store.batches.list(run.run_no):
        if batch.succeeded and not spool.exists(part_name(run.run_id, batch.batch_no)):
            findings.append(
                Finding(
                    what=f"the outputs of {batch.batch_id} are missing from the spool",
                    where=run.run_id,
                    advice="put the file back from a back-up; the raw answers are in results/",
                )
            )
        if batch.state is BatchState.DOUBTFUL:
            findings.append(
                Finding(
                    what=f"nobody knows yet whether {batch.batch_id} was accepted",
                    where=run.run_id,
                    advice="let a worker look (nightmail run, nightmail worker), or decide by hand: "
                    f"--resend {batch.batch_id} | --adopt {batch.batch_id}=PROVIDER_BATCH_ID",
                )
            )
    return findings


async def _of_account(settings: Settings, store: Store, runs: list[Run]) -> tuple[str, list[Finding]]:
    """Batches at the provider that carry our metadata and that no batch of this home claims."""
    try:
        provider = plugins.load("providers", settings.provider).open(
            base_url=settings.base_url, api_key=settings.api_key
        )
    except ConfigError as error:
        return f"not asked: {error}", []
    try:
        await provider.check()
        known = await store.batches.provider_ids(provider.account)
        ours = {run.run_id for run in runs}
        findings = []
        async for remote in provider.find():
            if remote.metadata.get(RUN_KEY) in ours and remote.id not in known:
                batch = remote.metadata.get(BATCH_KEY)
                findings.append(
                    Finding(
                        what=f"the provider has {remote.id} ({remote.status}) for {batch}, "
                        "which knows nothing of it",
                        where=provider.account,
                        advice="cancel it there if it still runs; its answers are paid",
                    )
                )
        return f"{provider.account}: reachable", findings
    except Unsupported as error:
        return f"{provider.account}: reachable, but cannot be searched ({error})", []
    except NightmailError as error:
        return f"{provider.account}: {error}", []
    finally:
        await provider.close()


async def resolve_doubt(
    store: Store, service: Service, clock: Clock, batch_id: BatchId, adopt: str | None
) -> None:
    """See `Client.resolve_doubt`."""
    batch = await store.batches.read(batch_id)
    if batch is None or batch.state is not BatchState.DOUBTFUL or batch.mode is not Mode.BATCH:
        raise ConfigError(f"{batch_id} is not a batch whose fate is unknown; see nightmail doctor")
    run = next(each for each in await store.runs.list() if each.run_no == batch.run_no)
    lease = await claim(store, clock, run.run_id)
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
            )
