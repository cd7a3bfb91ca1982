"""Which batches wait for room, for what, and when to ask again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from nightmail.core.batch import Batch, BatchState
from nightmail.core.pricing import format_usd
from nightmail.core.quota import Hold
from nightmail.core.run import PauseReason, Run
from nightmail.stages.pause import pause
from nightmail.stages.ports import Ports

# A batch that must wait asks again when one of ours ends, or after this: other workers' ends are not
# heard of here.
ASK_AGAIN = timedelta(seconds=5)
ASK_MUCH_LATER = timedelta(seconds=30)  # where only time helps: after a refusal, or for the hour's creates


class Holds:
    """Per model: why its next batch waits."""

    def __init__(self) -> None:
        self._held: dict[str, tuple[Hold, datetime, datetime]] = {}  # why, from when, until when

    def note(self, batch: Batch, hold: Hold, now: datetime) -> None:
        later = ASK_MUCH_LATER if hold in (Hold.BLOCKED, Hold.CREATES) else ASK_AGAIN
        self._held[batch.model] = (hold, now, now + later)

    def may_ask(self, batch: Batch, now: datetime) -> bool:
        _, since, until = self._held.get(batch.model, (None, now, now))
        # Before `since` it is only after the clock was set back.
        return not since <= now < until

    def release(self, batch: Batch) -> None:
        """Something of this model has ended: there may be room."""
        self._held.pop(batch.model, None)

    def dues(self) -> Iterable[datetime]:
        return (until for _, _, until in self._held.values())

    def out_of_money(self, batches: Sequence[Batch]) -> bool:
        """Does nothing move any more because every batch that waits is too dear?"""
        return bool(batches) and all(
            batch.state is BatchState.PLANNED and self._held.get(batch.model, (None,))[0] is Hold.BUDGET
            for batch in batches
        )

    async def pause_for_budget(self, ports: Ports, run: Run, batches: Sequence[Batch]) -> None:
        """Say what is spent, what waits and how to go on."""
        self._held.clear()
        spent = (await ports.store.batches.spending(run.run_no)).spent_pusd
        waiting = sum(batch.requests for batch in batches)
        budgets, ways = [], []
        if run.spec.budget_usd is not None:
            budgets.append(f"the run's budget of {run.spec.budget_usd} USD")
            ways.append(f"nightmail resume {run.run_id} --budget USD")
        if run.spec.daily_budget_usd is not None:
            budgets.append(f"the home's daily budget of {run.spec.daily_budget_usd} USD")
            ways.append(f"nightmail resume {run.run_id} tomorrow (UTC)")
        if run.spec.tenant is not None:
            # Whether it has one is asked only where the batch is admitted.
            budgets.append(f"the monthly budget of tenant {run.spec.tenant}, if it has one,")
            ways.append(
                f"a larger one for {run.spec.tenant} (or next month), then nightmail resume {run.run_id}"
            )
        said = f"{format_usd(spent)} USD are spent" if spent else "nothing has been spent yet"
        message = (
            f"{said} by this run; {' or '.join(budgets)} does not pay for the "
            f"next batch. {waiting:,} requests wait, nothing is lost. To go on: {', or '.join(ways)}"
        )
        await pause(ports, PauseReason.BUDGET, message)
