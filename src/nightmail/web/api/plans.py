"""Plans: what a run would be and cost. Nothing is sent, and no run is kept."""

from __future__ import annotations

from fastapi import APIRouter, Request
from pydantic import BaseModel

from nightmail.core.failure import Reason
from nightmail.core.request import Mode
from nightmail.stages.estimate import Costs, Plan
from nightmail.web.api.asking import NewPlan
from nightmail.web.api.reading import options_of, source_of, task_of
from nightmail.web.api.views import usd_shown
from nightmail.web.asked import Asked
from nightmail.web.keys import Submitter
from nightmail.web.problems import documented

router = APIRouter(prefix="/plans", tags=["runs"])


class CostsShown(BaseModel):
    """USD at short, expected and long answers; null where the model's price is unknown."""

    low: str | None
    expected: str | None
    high: str | None


class ModelPlanShown(BaseModel):
    """The part of a run that goes to one model. `exact`: its tokens are counted, not estimated."""

    model: str
    mode: Mode
    requests: int
    tokens: int
    batches: int
    waves: int
    quota: int | None
    exact: bool


class PlanShown(BaseModel):
    """A run before it is one. `tokens_min`, `tokens_mean` and `tokens_max` are per request; `copies` are
    records whose request is another's, which alone is sent; `unbuilt` counts those of which no request could
    be made, by reason."""

    task_name: str
    mode: Mode
    records: int
    copies: int
    requests: int
    tokens: int
    tokens_min: int
    tokens_mean: float
    tokens_max: int
    batches: int
    waves: int
    models: list[ModelPlanShown]
    cost_usd: CostsShown
    sync_cost_usd: CostsShown
    prices_of: str
    unbuilt: dict[Reason, int]
    warnings: list[str]


@router.post("", responses=documented(401, 403, 404, 408, 413, 422, 429, 507))
async def make_plan(asked: NewPlan, request: Request, client: Asked, asker: Submitter) -> PlanShown:
    """Count the records, tokens, batches, waves and money of a run. The whole source is read for it."""
    settings = request.app.state.settings
    source = await source_of(asked.source, client, asker, settings)
    task = await task_of(asked.task, client, settings)
    return plan_shown(await client.plan(task, source, **options_of(asked, client)))


def plan_shown(plan: Plan) -> PlanShown:
    own = {name: getattr(plan, name) for name in PlanShown.model_fields if hasattr(plan, name)}
    models = [
        ModelPlanShown(**{name: getattr(each, name) for name in ModelPlanShown.model_fields})
        for each in plan.models
    ]
    return PlanShown(
        **(own | {"models": models, "warnings": list(plan.warnings)}),
        cost_usd=_costs(plan.cost),
        sync_cost_usd=_costs(plan.sync_cost),
    )


def _costs(costs: Costs) -> CostsShown:
    return CostsShown(
        low=usd_shown(costs.low), expected=usd_shown(costs.expected), high=usd_shown(costs.high)
    )
