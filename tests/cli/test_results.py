"""The words and the data of plan, status and sample."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec

from nightmail.cli.plan import plan_data, plan_lines
from nightmail.cli.record import whole_lines
from nightmail.cli.sample import record_lines
from nightmail.cli.status import HEADINGS, batch_lines, event_lines, row_of
from nightmail.core.failure import Reason
from nightmail.core.ids import BatchId, RunId
from nightmail.core.request import Mode
from nightmail.core.run import PauseReason, RunState
from nightmail.stages.estimate import Costs, ModelPlan, Plan
from nightmail.stores.base import Event
from tests.cli.made import CENT, finished, status

UNKNOWN = Costs(low=None, expected=None, high=None)


def plan(**changes: Any) -> Plan:
    return msgspec.structs.replace(
        Plan(
            task_name="Sections",
            mode=Mode.BATCH,
            records=63_664,
            requests=63_660,
            tokens=9_900_000,
            tokens_min=31,
            tokens_mean=155.6,
            tokens_max=4_120,
            batches=5,
            waves=3,
            models=(
                ModelPlan(
                    model="gpt-4o-mini",
                    requests=63_660,
                    tokens=9_900_000,
                    batches=5,
                    waves=3,
                    quota=2_000_000,
                    exact=True,
                    mode=changes.get("mode", Mode.BATCH),
                ),
            ),
            cost=Costs(low=40 * CENT, expected=80 * CENT, high=200 * CENT),
            sync_cost=Costs(low=80 * CENT, expected=160 * CENT, high=400 * CENT),
            prices_of="2026-11-04",
            unbuilt={Reason.OVERSIZE: 4},
            warnings=("record 7: too long",),
        ),
        **changes,
    )


def test_a_plan_tells_records_tokens_batches_waves_money_and_warnings() -> None:
    assert plan_lines(plan()) == [
        "Sections: 63,664 records, 63,660 requests",
        "tokens    9.90 M (each 31 to 4,120, mean 156)",
        "batches   5 for gpt-4o-mini, 3 waves under a quota of 2,000,000 tokens",
        "cost      $0.80 (short answers $0.40, long ones $2.00) by batch (gpt-4o-mini prices of 2026-11-04)",
        "          $1.60 (short answers $0.80, long ones $4.00) synchronous: saves $0.80",
        "no request could be made of 4 records: oversize 4",
        "warning: record 7: too long",
    ]


def test_a_plan_in_which_nothing_can_be_asked_tells_why_and_no_cost() -> None:
    nothing = msgspec.structs.replace(plan(), records=2, requests=0, models=(), unbuilt={Reason.BUILD: 2})
    assert plan_lines(nothing) == [
        "Sections: 2 records, 0 requests",
        "no request could be made of 2 records: build 2",
        "warning: record 7: too long",
        "nothing would be sent",
    ]


def test_a_plan_of_an_unknown_price_says_unknown_and_how_to_make_it_known() -> None:
    lines = plan_lines(plan(cost=UNKNOWN, sync_cost=UNKNOWN))
    assert any(line.startswith("cost      unknown") and "NIGHTMAIL_PRICES" in line for line in lines)
    data = plan_data(plan(cost=UNKNOWN, sync_cost=UNKNOWN))
    assert data["savings_usd"] == "unknown"
    assert data["cost_usd"] == {"low": "unknown", "expected": "unknown", "high": "unknown"}


def test_a_plan_of_synchronous_calls_has_no_batches_and_saves_nothing() -> None:
    text = "\n".join(plan_lines(plan(mode=Mode.SYNC)))
    assert "calls     63,660 to gpt-4o-mini by sync" in text
    assert "saves" not in text
    assert "wave" not in text


def test_a_plan_s_data_can_be_written_as_json() -> None:
    data = msgspec.json.decode(msgspec.json.encode(plan_data(plan())))
    assert data["tokens"] == {"total": 9_900_000, "min": 31, "mean": 155.6, "max": 4_120}
    assert data["cost_usd"]["expected"] == "0.8"
    assert data["savings_usd"] == "0.8"
    assert data["waves"] == 3
    assert data["models"][0]["quota"] == 2_000_000


def test_the_table_has_a_cell_for_each_heading() -> None:
    assert row_of(status()) == (
        "topics-7f3a",
        "draining",
        "6,230 / 8,412",
        "8 of 12",
        "$0.080",
        "$0.080",
        "9-23 s",
    )
    paused = row_of(status(state=RunState.PAUSED, pause_reason=PauseReason.BILLING))
    assert paused[1] == "paused (billing)"
    assert row_of(finished())[-1] == ""
    assert len(HEADINGS) == len(paused)


def test_the_details_name_each_batch_and_each_event() -> None:
    (line,) = batch_lines(status())
    assert "topics-7f3a.b9" in line
    assert "in_progress" in line
    assert "since 2026-11-20 22:00 UTC" in line
    at = datetime(2026, 11, 20, 22, 0, 5, tzinfo=UTC)
    event = Event(at, RunId("topics-7f3a"), BatchId("topics-7f3a.b9"), "provider_trouble", {"times": 1})
    (shown,) = event_lines([event])
    assert shown == "2026-11-20 22:00:05  provider_trouble  b9  times 1"
    assert batch_lines(finished()) == []


def test_a_sampled_record_shows_what_was_sent_and_what_came_back() -> None:
    body = {
        "model": "gpt-4o-mini",
        "messages": [
            {"role": "system", "content": "You file packages."},
            {"role": "user", "content": "a chess engine\nfor terminals"},
            {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://x/y.png"}}]},
        ],
        "max_completion_tokens": 200,
    }
    lines = record_lines(
        {"key": "p1", "record": 1, "request": {"body": body}, "output": {"section": "games"}}
    )
    assert lines == [
        "--- p1",
        "    model: gpt-4o-mini",
        "    system: You file packages.",
        "    user: a chess engine",
        "        for terminals",
        '    user: [{"type":"image_url","image_url":{"url":"https://x/y.png"}}]',
        "    max_completion_tokens: 200",
        ' -> {"section":"games"}',
    ]


def test_a_sampled_rejection_shows_the_reason_and_the_raw_answer() -> None:
    rejected = {
        "key": None,
        "record": 7,
        "request": None,
        "output": None,
        "reason": "check",
        "message": "give a reason",
        "answer": {"why": ""},
    }
    assert record_lines(rejected) == [
        "--- record 7",
        "    (no request could be made)",
        " -> check: give a reason",
        '    {"why":""}',
    ]


def test_a_record_tells_its_request_its_attempts_and_what_came_of_it() -> None:
    attempt = {"number": 1, "batch_id": "topics-7f3a.b2", "model": "gpt-4o-mini", "outcome": "succeeded",
               "reason": "check", "message": "give a reason", "input_tokens": 9,
               "output_tokens": 3}  # fmt: skip
    told = {
        "run_id": "topics-7f3a", "record": 4, "key": "r3", "state": "succeeded", "reason": None,
        "copy_of": None,
        "request": {"body": {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "which?"}]}},
        "attempts": [attempt, attempt | {"number": 2, "outcome": None, "reason": None, "message": None}],
        "output": {"topic": "net"}, "answer": {"status_code": 200},
    }  # fmt: skip
    assert whole_lines(told) == [
        "topics-7f3a, record 4 (r3): succeeded",
        "    model: gpt-4o-mini",
        "    user: which?",
        "attempt 1  b2  gpt-4o-mini  succeeded (check: give a reason)  9 tokens in, 3 out",
        "attempt 2  b2  gpt-4o-mini  under way                         9 tokens in, 3 out",
        ' -> {"topic":"net"}',
    ]
    failed = told | {"state": "failed", "reason": "check", "output": None, "attempts": [], "copy_of": 2}
    assert whole_lines(failed)[0] == (
        "topics-7f3a, record 4 (r3): failed (check), as record 2, which asks the same"
    )
    assert whole_lines(failed)[-1] == 'last answer  {"status_code":200}'
