"""Metrics are the store's own figures, and what the dashboard and the alerts ask for is there."""

import json
import re
from pathlib import Path

import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families

from nightmail.core.intake import IntakeSpec
from nightmail.telemetry import Metric
from nightmail.testing.desk import Desk
from nightmail.testing.provider import ScriptedProvider, completion, row
from nightmail.worker.intakes import Item
from tests.web.desk_app import opened

GRAFANA = Path(__file__).parents[2] / "deploy" / "grafana"
NAMED = re.compile(r"\bnightmail_[a-z_]+\b")


def every_other(custom_id, body, times):
    number = int(custom_id.rpartition("_")[2])
    if number % 2:
        return row(custom_id, body=completion("fine"))
    return row(custom_id, status=400, body={"error": {"message": "no", "code": "invalid"}})


async def scraped(http):
    answer = await http.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain")
    families = list(text_string_to_metric_families(answer.text))
    samples = {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in families
        for sample in family.samples
    }
    return answer.text, families, samples


async def test_a_run_s_figures_are_told(tmp_path):
    desk = Desk(tmp_path, ScriptedProvider(answer=every_other))
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "nightmail.toml").write_text(
        'daily_budget = "20"\n[quotas]\n"gpt-4o-mini" = 2_000_000\n'
    )
    await desk.drive()
    status = await desk.status()
    async with opened(tmp_path) as (client, http):
        text, _, samples = await scraped(http)
    assert samples["nightmail_records", "succeeded"] == status.succeeded == 3
    assert samples["nightmail_records", "failed"] == status.failed == 3
    assert samples["nightmail_failed_records", "invalid"] == 3
    assert samples["nightmail_runs", "finished"] == 1
    assert samples["nightmail_batches", "finalised"] == status.batches_done
    assert samples["nightmail_cost_usd_total", "gpt-4o-mini"] == pytest.approx(status.cost_pusd / 1e12)
    assert samples["nightmail_sync_cost_usd_total", "gpt-4o-mini"] == pytest.approx(
        status.sync_cost_pusd / 1e12
    )
    assert samples["nightmail_input_tokens_total", "gpt-4o-mini"] == status.input_tokens
    assert samples["nightmail_queue_limit_tokens", desk.provider.account, "gpt-4o-mini"] == 2_000_000
    assert samples["nightmail_enqueued_tokens", desk.provider.account, "gpt-4o-mini"] == 0
    assert samples["nightmail_batch_turnaround_seconds_count", "gpt-4o-mini"] == status.batches
    assert samples["nightmail_batch_turnaround_seconds_bucket", "+Inf", "gpt-4o-mini"] == status.batches
    assert samples["nightmail_batch_turnaround_seconds_bucket", "60.0", "gpt-4o-mini"] == status.batches
    assert samples["nightmail_events_total", "batch_submitted"] == status.batches
    assert samples["nightmail_daily_budget_usd",] == 20
    assert samples["nightmail_polls_total",] >= status.batches
    assert samples["nightmail_unsent_requests",] == 0
    assert client.settings.api_key not in text
    assert "say something about" not in text, "no prompt"


async def test_every_metric_is_told_also_in_an_empty_home(tmp_path):
    async with opened(tmp_path) as (_, http):
        text, families, samples = await scraped(http)
    assert {family.name for family in families} == {metric.value for metric in Metric}
    assert all(f"# TYPE {metric.series[0].removesuffix('_bucket')}" in text for metric in Metric)
    assert samples["nightmail_unsent_requests",] == 0


async def test_what_waits_in_an_intake_is_told_with_its_age_and_bounds(tmp_path):
    async with opened(tmp_path) as (client, http):
        spec = IntakeSpec(task="t:T", max_waiting=50, max_wait_seconds=7.5)
        intake = await client.intakes.create("tickets", spec)
        await client.intakes.hand_in(intake, [Item(f"{n}", msgspec.Raw(b"{}")) for n in range(3)])
        _, _, samples = await scraped(http)
    assert samples["nightmail_intake_waiting_records", "tickets"] == 3
    assert samples["nightmail_intake_max_waiting_records", "tickets"] == 50
    assert samples["nightmail_intake_max_wait_seconds", "tickets"] == 7.5
    assert 0 <= samples["nightmail_intake_oldest_seconds", "tickets"] < 3600


def expressions(found):
    """Every value of the key `expr`, at any depth."""
    if isinstance(found, dict):
        for key, value in found.items():
            if key == "expr":
                yield value
            yield from expressions(value)
    elif isinstance(found, list):
        for each in found:
            yield from expressions(each)


@pytest.mark.parametrize("name", ["dashboard.json", "alerts.yml"])
def test_what_the_dashboard_and_the_alerts_ask_for_exists(name):
    import yaml

    read = json.loads if name.endswith("json") else yaml.safe_load
    asked = list(expressions(read((GRAFANA / name).read_text())))
    assert len(asked) > 8
    series = {each: metric for metric in Metric for each in metric.series}
    for expression in asked:
        for metric in NAMED.findall(expression):
            assert metric in series, expression
        for metric, selector in re.findall(r"\b(nightmail_[a-z_]+)\{([^}]*)\}", expression):
            labels = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", selector))
            assert labels <= set(series[metric].labels), expression


def test_the_dashboard_shows_every_metric_or_an_alert_watches_it():
    text = "".join((GRAFANA / name).read_text() for name in ("dashboard.json", "alerts.yml"))
    shown = set(NAMED.findall(text))
    unseen = {metric.value for metric in Metric if not shown & set(metric.series)}
    assert unseen == {"nightmail_polls", "nightmail_queue_blocked", "nightmail_unpriced_batches"}


def test_every_alert_says_what_it_means_and_what_to_do():
    import yaml

    (group,) = yaml.safe_load((GRAFANA / "alerts.yml").read_text())["groups"]
    names = [rule["alert"] for rule in group["rules"]]
    assert len(set(names)) == len(names)
    for rule in group["rules"]:
        assert rule["annotations"]["summary"]
        assert rule["annotations"]["description"]
        assert rule["labels"]["severity"] in ("critical", "warning", "info")
