"""What one batch at the provider used and cost: the sum over its answers, and what the provider billed
beyond them."""

from __future__ import annotations

from collections.abc import Sequence

from nightmail.core.batch import Batch
from nightmail.core.pricing import Price, billed_mode, cost_pusd, tariff
from nightmail.core.request import Mode
from nightmail.core.usage import NO_USAGE, Usage, Usages
from nightmail.stores.base import BatchSums


class Bill:
    """Adds up billed answers. Money in pico-USD, None once a price is unknown."""

    def __init__(self, batch: Batch, price: Price | None) -> None:
        self.batch = batch
        self.answers = 0
        self.cost_pusd: int | None = None if price is None else 0
        self.sync_cost_pusd = self.cost_pusd
        self.wasted_pusd = self.cost_pusd
        self._price = price
        self._mode = batch.mode
        self._cost = self._sync_cost = None
        if price is not None:
            self._cost, self._sync_cost = tariff(price, mode=batch.mode), tariff(price, mode=Mode.SYNC)
        self._seen = NO_USAGE
        # Calibration: our count of requests whose usage came back, and that usage.
        self._counted = 0
        self._compared = 0

    def add(self, usage: Usage, counted: int | None = None, *, tier: str | None = None) -> int | None:
        """One billed answer, by the tier that it names; its cost. `counted` is our count of its request,
        where we have one."""
        usages = Usages(
            [usage.input_tokens], [usage.output_tokens], [usage.cached_tokens], [usage.reasoning_tokens]
        )
        return self.add_all(usages, [counted or 0], [tier])[0]

    def add_all(
        self, usages: Usages, counted: Sequence[int], tiers: Sequence[str | None]
    ) -> list[int] | list[None]:
        """Many at once; a `counted` of 0 is none."""
        self.answers += len(counted)
        self._seen += usages.total()
        theirs = usages.input_tokens
        if all(counted) and all(theirs):
            self._counted += sum(counted)
            self._compared += sum(theirs)
        else:
            both = [pair for pair in zip(counted, theirs, strict=True) if all(pair)]
            self._counted += sum([our_count for our_count, _ in both])
            self._compared += sum([their_count for _, their_count in both])
        if self.cost_pusd is None or self.sync_cost_pusd is None or self._cost is None:
            return [None] * len(counted)
        assert self._sync_cost is not None
        sync_costs, costs = self._sync_cost(usages), self._cost(usages)
        if self._mode is Mode.FLEX:
            costs = [
                cost if billed_mode(self._mode, tier) is self._mode else sync_cost
                for cost, sync_cost, tier in zip(costs, sync_costs, tiers, strict=True)
            ]
        self.cost_pusd += sum(costs)
        self.sync_cost_pusd += sum(sync_costs)
        return costs

    def waste(self, cost: int | None) -> None:
        """An answer that was added has bought no accepted output."""
        if self.wasted_pusd is not None:
            self.wasted_pusd = None if cost is None else self.wasted_pusd + cost

    def sums(self, *, succeeded: int, silent: int) -> BatchSums:
        """Everything. Where the provider's own sum is higher than that of the answers, it billed answers
        that are in no file, of at most `silent` requests: paid, and wasted."""
        batch = self.batch
        seen = self._seen
        unseen = Usage(
            max(0, (batch.billed_input or 0) - seen.input_tokens),
            max(0, (batch.billed_output or 0) - seen.output_tokens),
            max(0, (batch.billed_cached or 0) - seen.cached_tokens),
        )
        lost = lost_sync = 0
        if self._price is not None and (unseen.input_tokens or unseen.output_tokens):
            requests = max(1, silent)
            lost = cost_pusd(unseen, self._price, mode=self._mode, requests=requests)
            lost_sync = cost_pusd(unseen, self._price, mode=Mode.SYNC, requests=requests)
        return BatchSums(
            succeeded=succeeded,
            answers=self.answers,
            input_tokens=seen.input_tokens + unseen.input_tokens,
            output_tokens=seen.output_tokens + unseen.output_tokens,
            cached_tokens=seen.cached_tokens + unseen.cached_tokens,
            reasoning_tokens=seen.reasoning_tokens,
            cost_pusd=_plus(self.cost_pusd, lost),
            sync_cost_pusd=_plus(self.sync_cost_pusd, lost_sync),
            wasted_pusd=_plus(self.wasted_pusd, lost),
            counted_tokens=self._counted,
            compared_tokens=self._compared,
        )


def _plus(known: int | None, more: int) -> int | None:
    return None if known is None else known + more
