"""What a batch will probably cost, and what a budget lets it be."""

from __future__ import annotations

import msgspec

from nightmail.core.batch import Batch
from nightmail.core.budget import affordable_tokens, answer_guess, reservation
from nightmail.core.limits import Limits
from nightmail.core.planning import Items, calibrated
from nightmail.core.pricing import parse_usd, price_of
from nightmail.core.request import Endpoint, Mode
from nightmail.core.run import Run, RunSpec
from nightmail.core.travel import may_cost_more
from nightmail.errors import ConfigError
from nightmail.stages.ports import Ports
from nightmail.stores.base import Admission
from nightmail.tasks.prepared import PreparedTask

# Tokens of an answer that nobody has seen yet; a run's own answers replace them.
TOKENS_OF_TEXT = 200
TOKENS_OF_FIELD = 15
# Before any answer came, a budget reckons with answers this many times as long.
CAREFUL = 3.0


def expected_answer(task: PreparedTask) -> float:
    """A guess at the tokens of one answer, from the shape of the output."""
    if task.endpoint in (Endpoint.EMBEDDINGS, Endpoint.MODERATIONS):
        return 0.0
    schema = task.schema or task.answer_schema
    guess: float = TOKENS_OF_FIELD * len(schema.get("properties", {})) if schema else TOKENS_OF_TEXT
    cap = task.task.max_output_tokens
    return min(guess, cap) if cap else guess


async def admission(ports: Ports, run: Run, batch: Batch, limits: Limits) -> Admission:
    """What must hold for this batch to go: the limits, and the money it will probably take."""
    spending = await ports.store.batches.spending(run.run_no)
    price = price_of(batch.model, ports.prices)
    if price is None and (run.spec.budget_usd or run.spec.daily_budget_usd):
        raise ConfigError(
            f"the price of {batch.model} is not known, so no budget can hold. Give it in a price file "
            "(NIGHTMAIL_PRICES), or run without a budget."
        )
    answer = answer_guess(
        answers=spending.answers, output_tokens=spending.output_tokens, guess=_careful(ports.task)
    )
    return Admission(
        limits=limits,
        tokens=calibrated(batch.tokens, counted=run.counted_tokens, billed=run.billed_tokens),
        priority=run.spec.priority,
        reserve_pusd=None
        if price is None
        else reservation(
            price,
            tokens=batch.tokens,
            requests=batch.requests,
            answer_tokens=answer,
            mode=_dearest(run, batch.mode),
        ),
        learned=spending.answers > 0,
        budget_pusd=budget_of(run.spec),
        daily_pusd=parse_usd(run.spec.daily_budget_usd) if run.spec.daily_budget_usd else None,
    )


def affordable(ports: Ports, run: Run, model: str, limits: Limits, items: Items, mode: Mode) -> Limits:
    """With a budget, batches are small against it, so that the last of it can be used."""
    ceilings = [parse_usd(usd) for usd in (run.spec.budget_usd, run.spec.daily_budget_usd) if usd]
    price = price_of(model, ports.prices)
    if not ceilings or price is None or not items:
        return limits
    mean = sum(items.tokens) / len(items)
    share = _careful(ports.task) / max(1.0, mean)
    most = affordable_tokens(price, min(ceilings), answer_share=share, mode=_dearest(run, mode))
    if limits.max_batch_tokens is not None:
        most = min(most, limits.max_batch_tokens)
    return msgspec.structs.replace(limits, max_batch_tokens=most)


def _dearest(run: Run, mode: Mode) -> Mode:
    """What a request may come to cost by: one planned for flex may end as a call at full price."""
    return Mode.SYNC if mode is Mode.FLEX and may_cost_more(run) else mode


def budget_of(spec: RunSpec) -> int | None:
    """The run's budget in pico-USD."""
    return parse_usd(spec.budget_usd) if spec.budget_usd is not None else None


def _careful(task: PreparedTask) -> float:
    """Before any answer came: the task's own cap, or a long answer."""
    return task.task.max_output_tokens or expected_answer(task) * CAREFUL
