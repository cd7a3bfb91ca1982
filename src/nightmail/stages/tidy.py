"""Files of a batch at the provider that are not needed any more."""

from __future__ import annotations

from collections.abc import Iterable

from nightmail.core.batch import Batch
from nightmail.core.run import Run
from nightmail.errors import ProviderError, RequestRefused, Unsupported
from nightmail.stages.ports import Access, tell
from nightmail.telemetry import EventName


async def tidy(
    access: Access, run: Run, batch: Batch, file_ids: Iterable[str | None], *, patient: bool
) -> None:
    """Delete these files of a batch at the provider, unless they are to be kept. A provider that cannot is
    no reason to keep a run open: without patience what it refuses is left to its own expiry, or to
    `nightmail doctor --fix`."""
    deleted: list[str] = []
    for file_id in file_ids:
        if file_id is None or run.spec.keep_remote_files:
            continue
        try:
            if await access.provider.delete(file_id):
                deleted.append(file_id)
        except (Unsupported, RequestRefused):
            # Not every server can; its own expiry removes them.
            break
        except ProviderError:
            if patient:
                raise
            break
    if deleted:
        await tell(access, EventName.REMOTE_FILES_DELETED, batch, file_ids=deleted)
