"""The home's figures as Prometheus metrics. Read from the store at each scrape: nothing is counted twice,
and a restart loses nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from nightmail.client import Client
from nightmail.core.figures import TURNAROUND_BOUNDS, Figures, Money, Waiting
from nightmail.core.progress import usd
from nightmail.telemetry import Metric

# prometheus-client's families of metrics have no typed base in common.
Family = Any

router = APIRouter(tags=["metrics"])


@router.get("/metrics", response_class=Response)
async def metrics(request: Request) -> Response:
    """Every figure of the home, in Prometheus' text format."""
    from prometheus_client import CONTENT_TYPE_LATEST

    client: Client = request.app.state.client
    hooks = client.hooks
    settings = client.settings
    text = exposed(
        await hooks.figures(), quotas=settings.quotas, daily_budget=settings.daily_budget, now=hooks.now()
    )
    return Response(text, media_type=CONTENT_TYPE_LATEST)


def exposed(figures: Figures, *, quotas: Mapping[str, int], daily_budget: str | None, now: datetime) -> bytes:
    """The figures in Prometheus' text format; `quotas` (model: tokens) and `daily_budget` as in the
    settings."""
    from prometheus_client import CollectorRegistry, generate_latest

    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Once(list(families(figures, quotas=quotas, daily_budget=daily_budget, now=now))))
    text: bytes = generate_latest(registry)
    return text


class _Once:
    """A collector of what is there already."""

    def __init__(self, found: list[Family]) -> None:
        self._found = found

    def collect(self) -> Iterable[Family]:
        return self._found


def families(
    figures: Figures, *, quotas: Mapping[str, int], daily_budget: str | None, now: datetime
) -> Iterable[Family]:
    """Every metric, also those that have no value yet."""
    yield _labelled(Metric.RUNS, figures.runs)
    yield _labelled(Metric.RECORDS, figures.records)
    yield _labelled(Metric.FAILED_RECORDS, figures.reasons)
    yield _labelled(Metric.BATCHES, figures.batches)
    yield _single(Metric.UNSENT_REQUESTS, figures.unsent)
    yield _single(Metric.OLDEST_UNSENT_BATCH, _age(figures.waiting_since, now))
    yield from _of_queues(figures, quotas, now)
    yield _of_turnaround(figures)
    yield from _of_money(figures, daily_budget)
    yield _single(Metric.POLLS, figures.polls)
    yield _labelled(Metric.EVENTS, figures.events)
    yield from _of_intakes(figures, now)
    yield _labelled(Metric.DELIVERIES, figures.deliveries)
    yield _single(Metric.OLDEST_DELIVERY, _age(figures.oldest_delivery_at, now))


def _of_queues(figures: Figures, quotas: Mapping[str, int], now: datetime) -> Iterable[Family]:
    tokens, limits, blocked = (
        _family(each) for each in (Metric.ENQUEUED_TOKENS, Metric.QUEUE_LIMIT, Metric.QUEUE_BLOCKED)
    )
    for queue in figures.queues:
        names = [queue.account, queue.model]
        tokens.add_metric(names, queue.tokens)
        known = [limit for limit in (quotas.get(queue.model), queue.limit) if limit is not None]
        if known:
            limits.add_metric(names, min(known))
        shut = queue.blocked_until is not None and queue.blocked_until > now
        blocked.add_metric(names, int(shut))
    return tokens, limits, blocked


def _of_intakes(figures: Figures, now: datetime) -> Iterable[Family]:
    columns: dict[Metric, Callable[[Waiting], float]] = {
        Metric.INTAKE_WAITING: lambda waiting: waiting.records,
        Metric.INTAKE_BOUND: lambda waiting: waiting.most,
        Metric.INTAKE_OLDEST: lambda waiting: _age(waiting.since, now),
        Metric.INTAKE_MAX_WAIT: lambda waiting: waiting.seconds,
    }
    for name, read in columns.items():
        yield _labelled(name, {intake: read(waiting) for intake, waiting in figures.intakes.items()})


def _of_turnaround(figures: Figures) -> Family:
    family = _family(Metric.TURNAROUND)
    for model, each in figures.turnaround.items():
        buckets = [(f"{bound:.1f}", n) for bound, n in zip(TURNAROUND_BOUNDS, each.within, strict=True)]
        family.add_metric([model], buckets=[*buckets, ("+Inf", each.batches)], sum_value=each.seconds)
    return family


def _of_money(figures: Figures, daily_budget: str | None) -> Iterable[Family]:
    columns: dict[Metric, Callable[[Money], Any]] = {
        Metric.COST: lambda money: usd(money.cost_pusd),
        Metric.SYNC_COST: lambda money: usd(money.sync_cost_pusd),
        Metric.WASTED: lambda money: usd(money.wasted_pusd),
        Metric.UNPRICED_BATCHES: lambda money: money.unpriced,
        Metric.INPUT_TOKENS: lambda money: money.input_tokens,
        Metric.OUTPUT_TOKENS: lambda money: money.output_tokens,
    }
    for name, read in columns.items():
        family = _family(name)
        for model, money in figures.money.items():
            family.add_metric([model], float(read(money)))
        yield family
    yield _single(Metric.SPENT_TODAY, float(usd(figures.spent_today_pusd) or 0))
    yield _single(Metric.RESERVED_TODAY, float(usd(figures.reserved_today_pusd) or 0))
    yield _single(Metric.DAILY_BUDGET, None if daily_budget is None else float(daily_budget))


def _family(name: Metric) -> Family:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

    kinds: dict[str, Any] = {
        "gauge": GaugeMetricFamily, "counter": CounterMetricFamily, "histogram": HistogramMetricFamily,
    }  # fmt: skip
    return kinds[name.kind](name.value, name.help, labels=name.labels)


def _single(name: Metric, value: float | None) -> Family:
    family = _family(name)
    if value is not None:
        family.add_metric([], value)
    return family


def _labelled(name: Metric, values: Mapping[str, float]) -> Family:
    family = _family(name)
    for label, value in sorted(values.items()):
        family.add_metric([label], value)
    return family


def _age(since: datetime | None, now: datetime) -> float:
    return max(0.0, (now - since).total_seconds()) if since is not None else 0.0
