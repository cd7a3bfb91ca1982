"""`nightmail plan`: what a run would be and cost. No call is made."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from nightmail.cli import options as o
from nightmail.cli.exits import Exit
from nightmail.cli.run_options import PLAN, taking
from nightmail.cli.terminal import Terminal
from nightmail.core import wording as figures
from nightmail.core.request import Mode

if TYPE_CHECKING:
    from nightmail.stages.estimate import Costs, Plan


@taking(PLAN)
def plan(
    task: o.TaskArgument,
    input: o.Input,
    provider: o.Provider = None,
    base_url: o.BaseUrl = None,
    home: o.Home = None,
    server: o.Server = None,
    json: o.Json = False,
    **asked: Any,
) -> int:
    """Count records, tokens, batches, waves and money of a run. No call is made, no key is needed."""
    from nightmail.cli.homes import opened

    terminal = Terminal(json=json, home=home, server=server)

    async def go() -> Plan:
        async with opened(terminal, provider=provider, base_url=base_url, may_make=True) as client:
            return await client.plan(task, input, **asked)

    found = asyncio.run(go())
    terminal.say(*plan_lines(found))
    terminal.give(plan_data(found))
    return Exit.DONE


def plan_lines(plan: Plan) -> list[str]:
    """The plan in words."""
    lines = [
        f"{plan.task_name}: {figures.plural(plan.records, 'record')}, "
        f"{figures.plural(plan.requests, 'request')}"
    ]
    if not plan.requests:
        return [*lines, *unbuilt_lines(plan), "nothing would be sent"]
    lines.append(
        f"tokens    {figures.tokens(plan.tokens)} (each {figures.count(plan.tokens_min)} to "
        f"{figures.count(plan.tokens_max)}, mean {plan.tokens_mean:.0f})"
    )
    if plan.copies:
        same = figures.plural(plan.copies, "record")
        lines.append(f"copies    {same} with the same request as another: sent once, delivered to each")
    for each in plan.models:
        if each.mode is not Mode.BATCH:
            lines.append(f"calls     {figures.count(each.requests)} to {each.model} by {each.mode}")
            continue
        under = (
            f", {figures.plural(each.waves, 'wave')} under a quota of {figures.count(each.quota)} tokens"
            if each.quota
            else ""
        )
        lines.append(f"batches   {figures.count(each.batches)} for {each.model}{under}")
    return [*lines, *cost_lines(plan), *unbuilt_lines(plan)]


def unbuilt_lines(plan: Plan) -> list[str]:
    """Of how many records no request could be made and why, and the warnings."""
    lines = [f"warning: {warning}" for warning in plan.warnings]
    if not plan.unbuilt:
        return lines
    number = figures.plural(sum(plan.unbuilt.values()), "record")
    return [f"no request could be made of {number}: {figures.reasons(plan.unbuilt)}", *lines]


def cost_lines(plan: Plan) -> list[str]:
    """Money by how long the answers may be, beside what synchronous calls would cost."""
    if plan.cost.expected is None:
        return [
            "cost      unknown: no price is known for every model of it; "
            "NIGHTMAIL_PRICES names a price file of your own"
        ]
    lines = [
        f"cost      {_range(plan.cost)} by {_modes(plan)} "
        f"({', '.join(_models(plan))} prices of {plan.prices_of})"
    ]
    if any(each.mode is not Mode.SYNC for each in plan.models):
        saved = (plan.sync_cost.expected or 0) - plan.cost.expected
        lines.append(f"          {_range(plan.sync_cost)} synchronous: saves {figures.money(saved)}")
    return lines


def plan_data(plan: Plan) -> dict[str, Any]:
    """The plan as the one JSON object of `--json`."""
    known = plan.sync_cost.expected is not None and plan.cost.expected is not None
    return {
        "task": plan.task_name,
        "mode": plan.mode,
        "records": plan.records,
        "requests": plan.requests,
        "copies": plan.copies,
        "tokens": {
            "total": plan.tokens,
            "min": plan.tokens_min,
            "mean": round(plan.tokens_mean, 2),
            "max": plan.tokens_max,
        },
        "batches": plan.batches,
        "waves": plan.waves,
        "models": [
            {
                "model": each.model,
                "mode": each.mode,
                "requests": each.requests,
                "tokens": each.tokens,
                "batches": each.batches,
                "waves": each.waves,
                "quota": each.quota,
                "exact": each.exact,
            }
            for each in plan.models
        ],
        "cost_usd": _costs(plan.cost),
        "sync_cost_usd": _costs(plan.sync_cost),
        "savings_usd": _usd((plan.sync_cost.expected or 0) - (plan.cost.expected or 0) if known else None),
        "prices_of": plan.prices_of,
        "unbuilt": {reason.value: number for reason, number in plan.unbuilt.items()},
        "warnings": list(plan.warnings),
    }


def _models(plan: Plan) -> list[str]:
    return [each.model for each in plan.models]


def _modes(plan: Plan) -> str:
    return " and ".join(sorted({each.mode for each in plan.models}))


def _range(costs: Costs) -> str:
    low, expected, high = (figures.money(each) for each in (costs.low, costs.expected, costs.high))
    return expected if low == high else f"{expected} (short answers {low}, long ones {high})"


def _costs(costs: Costs) -> dict[str, str]:
    return {"low": _usd(costs.low), "expected": _usd(costs.expected), "high": _usd(costs.high)}


def _usd(pusd: int | None) -> str:
    from nightmail.core.pricing import format_usd

    return format_usd(pusd)
