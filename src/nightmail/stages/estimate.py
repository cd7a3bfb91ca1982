"""What a run would be: records, tokens, batches, waves and money, without a call and without a store.

It builds every request as `enqueue` would and keeps only the numbers.
"""

from __future__ import annotations

from collections import Counter as Multiset
from collections.abc import Callable

import msgspec

from nightmail.core.copies import Firsts
from nightmail.core.failure import Reason
from nightmail.core.ids import RunId
from nightmail.core.planning import Items, batch_limits, split, waves
from nightmail.core.pricing import PriceTable, cost_pusd, price_of
from nightmail.core.request import Mode
from nightmail.core.run import KeyKind, RunSpec
from nightmail.core.travel import is_few
from nightmail.core.usage import Usage
from nightmail.errors import SourceError
from nightmail.providers.base import Provider
from nightmail.sources.base import Position, Source
from nightmail.stages.build import Workshop
from nightmail.stages.digest import digest_for
from nightmail.stages.keying import Keying, keying_for
from nightmail.stages.money import expected_answer
from nightmail.stages.plan import limits_for
from nightmail.tasks.prepared import PreparedTask
from nightmail.tokens.base import Counter

LOW, HIGH = 0.5, 3.0
WARNED = 5
# So many keys are compared; a larger input is compared when it is enqueued.
KEYS_KEPT = 2_000_000


class Costs(msgspec.Struct, frozen=True, kw_only=True):
    """Pico-USD at short, expected and long answers; None where the model's price is unknown."""

    low: int | None
    expected: int | None
    high: int | None


class ModelPlan(msgspec.Struct, frozen=True, kw_only=True):
    """The part of a run that goes to one model."""

    model: str
    requests: int
    tokens: int
    batches: int
    waves: int
    quota: int | None
    exact: bool
    mode: Mode


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """A run before it is one. `tokens_*` are per request; `copies` are records whose request is the same as
    an earlier one's, which is not sent again."""

    task_name: str
    mode: Mode
    records: int
    requests: int
    tokens: int
    tokens_min: int
    tokens_mean: float
    tokens_max: int
    batches: int
    waves: int
    models: tuple[ModelPlan, ...]
    cost: Costs
    sync_cost: Costs
    prices_of: str
    unbuilt: dict[Reason, int]
    warnings: tuple[str, ...]
    copies: int = 0


def estimate(
    spec: RunSpec,
    *,
    task: PreparedTask,
    source: Source,
    provider: Provider,
    counter: Callable[[str], Counter],
    prices: PriceTable,
    answer_tokens: float | None = None,
) -> Plan:
    """Read the whole source and count. `answer_tokens` is what answers of this task have taken so far."""
    workshop = Workshop(task=task, provider=provider, counter=counter, run_id=RunId("plan-0000"))
    items: dict[str, Items] = {}
    unbuilt: Multiset[Reason] = Multiset()
    warnings: list[str] = []
    keys: set[int | str] = set()
    keying: Keying | None = None
    records = copies = 0
    firsts = Firsts()
    wanted = digest_for(deduped=spec.dedupe, compared=False)
    for piece in source.pieces(Position()):
        rows = source.records(piece)
        if spec.limit is not None:
            rows = rows[: max(0, spec.limit - records)]
        if not rows:
            break
        if keying is None and (first := next((row for row in rows if isinstance(row, dict)), None)):
            try:
                keying = keying_for(first, spec.key)
            except ValueError as error:
                raise SourceError(f"{piece.path}:{piece.row}: {error}") from None
        naming = keying or Keying(KeyKind.ROW, "row")
        built = workshop.build(rows, first_seq=records + 1, keying=naming, digest=wanted)
        records += len(rows)
        made = built.rows
        same = dict(firsts.add(b"".join(built.digests), made.seqs)) if spec.dedupe else {}
        copies += len(same)
        columns = (made.seqs, made.keys, made.models, made.tokens, made.lengths, made.inputs)
        for seq, key, model, tokens, length, inputs in zip(*columns, strict=True):
            if seq not in same:
                items.setdefault(model, Items()).add(seq, tokens, length, inputs)
            if key in keys and len(warnings) < WARNED:
                warnings.append(f"the key {key!r} is there more than once: `run` will refuse it")
            if len(keys) < KEYS_KEPT:
                keys.add(key)
        for failed in built.failed:
            unbuilt[failed.reason] += 1
            if len(warnings) < WARNED:
                warnings.append(f"record {failed.seq}: {failed.message}")
    if not records:
        raise SourceError(f"{spec.source_name}: there are no records in it")
    modes = {model: _mode(spec, provider, task, model, records) for model in items}
    models = [
        _model_plan(spec, provider, task, counter, model, chosen, modes[model])
        for model, chosen in items.items()
    ]
    warnings += [
        f"the encoding of {each.model} is not known: its tokens are counted with a safety margin"
        for each in models
        if not each.exact
    ]
    expected = answer_tokens if answer_tokens is not None else expected_answer(task)
    counts = [tokens for chosen in items.values() for tokens in chosen.tokens]
    return Plan(
        task_name=task.name,
        mode=spec.mode,
        records=records,
        requests=len(counts),
        copies=copies,
        tokens=sum(counts),
        tokens_min=min(counts, default=0),
        tokens_mean=sum(counts) / len(counts) if counts else 0.0,
        tokens_max=max(counts, default=0),
        batches=sum(each.batches for each in models),
        waves=max((each.waves for each in models), default=0),
        models=tuple(models),
        cost=_costs(items, prices, modes, expected),
        sync_cost=_costs(items, prices, dict.fromkeys(items, Mode.SYNC), expected),
        prices_of=str(prices.date or "unknown"),
        unbuilt=dict(unbuilt),
        warnings=tuple(warnings),
    )


def _model_plan(
    spec: RunSpec,
    provider: Provider,
    task: PreparedTask,
    counter: Callable[[str], Counter],
    model: str,
    items: Items,
    mode: Mode,
) -> ModelPlan:
    limits = limits_for(provider, spec, model, task.endpoint, mode)
    slices = list(split(items, batch_limits(limits), new=True))
    return ModelPlan(
        model=model,
        requests=len(items),
        tokens=sum(items.tokens),
        batches=len(slices),
        waves=waves((each.tokens for each in slices), limits),
        quota=limits.max_enqueued_tokens,
        exact=counter(model).exact,
        mode=mode,
    )


def _mode(spec: RunSpec, provider: Provider, task: PreparedTask, model: str, records: int) -> Mode:
    if spec.mode is not Mode.AUTO:
        return spec.mode
    if not is_few(records):
        return Mode.BATCH
    return Mode.FLEX if provider.limits(model, task.endpoint).flex else Mode.SYNC


def _costs(items: dict[str, Items], prices: PriceTable, modes: dict[str, Mode], answer: float) -> Costs:
    return Costs(
        low=_cost(items, prices, modes, answer * LOW),
        expected=_cost(items, prices, modes, answer),
        high=_cost(items, prices, modes, answer * HIGH),
    )


def _cost(items: dict[str, Items], prices: PriceTable, modes: dict[str, Mode], answer: float) -> int | None:
    total = 0
    for model, chosen in items.items():
        price = price_of(model, prices)
        if price is None:
            return None
        # Per request, because long prompts have prices of their own.
        mode = modes[model]
        total += sum(cost_pusd(Usage(tokens, round(answer)), price, mode=mode) for tokens in chosen.tokens)
    return total
