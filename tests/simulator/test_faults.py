"""The plan of faults: how it is read, what it decides, and that each fault does what it says."""

from __future__ import annotations

import json
import time
from collections import Counter
from pathlib import Path
from typing import Any

import openai
import pytest

from nightmail.errors import ConfigError
from nightmail.simulator.faults import KINDS, Plan, RequestFaults, Struck, chance, plan_from, read_plan


def request_faults(**entry: Any) -> RequestFaults:
    return RequestFaults(plan_from({"faults": [entry]}), 7, model="m", endpoint="/v1/responses", batch=1)


def hits(faults: RequestFaults, attempt: int = 1, count: int = 1_000) -> set[int]:
    return {number for number in range(count) if faults.on(f"r-{number}", attempt, number + 1)}


def test_a_probability_strikes_that_share_and_the_same_ids_every_time() -> None:
    faults = request_faults(kind="refusal", probability=0.3)

    struck = hits(faults)

    assert 240 < len(struck) < 360
    assert struck == hits(faults)


def test_a_retry_succeeds_unless_the_plan_says_otherwise() -> None:
    once = request_faults(kind="refusal", probability=0.3)
    twice = request_faults(kind="refusal", probability=0.3, repeat=2)
    always = request_faults(kind="refusal", probability=0.3, repeat="always")
    afresh = request_faults(kind="refusal", probability=0.3, repeat="afresh")

    assert not hits(once, 2)
    assert hits(twice, 2) == hits(twice)
    assert not hits(twice, 3)
    assert hits(always, 9) == hits(always)
    assert hits(afresh, 2) != hits(afresh)
    assert 240 < len(hits(afresh, 2)) < 360


def test_first_and_every_count_lines_of_a_batch() -> None:
    assert hits(request_faults(kind="refusal", first=3)) == {0, 1, 2}
    assert hits(request_faults(kind="refusal", every=400)) == {399, 799}


def test_selectors_restrict_a_fault() -> None:
    assert not request_faults(kind="refusal", model="other")
    assert not request_faults(kind="refusal", batch=2)
    assert request_faults(kind="refusal", batch=1, endpoint="/v1/responses")


def test_call_faults_go_on_counting_after_a_restart() -> None:
    plan = plan_from({"faults": [{"kind": "create_lost", "first": 2}]})
    before = Struck(plan, 0)
    assert before.find("create_lost", now=0.0) is not None

    after = Struck(plan, 0, before.counts)

    assert [after.find("create_lost", now=0.0) is not None for _ in range(3)] == [True, False, False]


def test_chance_is_even() -> None:
    thrown = [chance(1, number) for number in range(2_000)]

    assert 0.45 < sum(thrown) / 2_000 < 0.55
    assert 0 <= min(thrown) < max(thrown) < 1


def test_a_plan_is_read_from_toml_and_json_alike(tmp_path: Path) -> None:
    toml, js = tmp_path / "plan.toml", tmp_path / "plan.json"
    toml.write_text(
        'seed = 3\n[[faults]]\nkind = "expire"\nshare = 0.25\nbatch = 1\n'
        '[answers]\n"chess" = {section = "games"}\n'
    )
    js.write_text(
        json.dumps(
            {
                "seed": 3,
                "faults": {"expire": {"share": 0.25, "batch": 1}},
                "answers": {"chess": {"section": "games"}},
            }
        )
    )

    assert read_plan(toml) == read_plan(js)
    assert plan_from({"faults": {"refusal": 0.1, "stuck": True, "slow": False}}).faults[0].probability == 0.1
    assert plan_from({}) == Plan()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "plan.json"),
        ('{"faults": [{"kind": "sunspots"}]}', "unknown kind 'sunspots'"),
        ('{"faults": [{"kind": "slow", "speed": 1}]}', "speed"),
        ('{"faults": [{"kind": "slow", "first": 1, "every": 2}]}', "one of probability, first and every"),
        ('{"faults": {"slow": 3}}', "not between 0 and 1"),
        ('{"faults": [{"kind": "refusal", "repeat": "often"}]}', "'always' or 'afresh'"),
        ('{"oops": 1}', "unknown key 'oops'"),
        ("[]", "a table"),
    ],
)
def test_a_wrong_plan_says_what_is_wrong(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "plan.json"
    path.write_text(text)

    with pytest.raises(ConfigError, match=message):
        read_plan(path)


def test_every_fault_is_documented() -> None:
    page = Path(__file__).parents[2] / "docs" / "reference" / "simulator.md"
    text = page.read_text("utf-8")

    assert [kind for kind in sorted(KINDS) if f"`{kind}`" not in text] == []


end_to_end = pytest.mark.end_to_end


@end_to_end
def test_create_lost_leaves_a_batch_that_nobody_was_told_of(broken: Any, shapes: Any) -> None:
    customer = broken(faults=[{"kind": "create_lost", "first": 1}])

    with pytest.raises(openai.APIConnectionError):
        customer.create(shapes.line(1), metadata={"mark": "lost"})

    found = next(iter(customer.api.batches.list(limit=1)))
    assert found.metadata == {"mark": "lost"}
    assert customer.ended(found).status == "completed"
    assert customer.create(shapes.line(2)).id != found.id


@end_to_end
def test_a_create_call_that_is_repeated_on_its_way_makes_two_batches_of_one_file(
    broken: Any, shapes: Any
) -> None:
    customer = broken(faults=[{"kind": "create_lost", "first": 1, "times": 2}])

    with pytest.raises(openai.APIConnectionError):
        customer.create(shapes.line(1), metadata={"mark": "twins"})

    twins = [batch for batch in customer.api.batches.list() if batch.metadata == {"mark": "twins"}]
    assert len(twins) == 2
    assert len({batch.input_file_id for batch in twins}) == 1
    assert {customer.ended(batch).status for batch in twins} == {"completed"}


@end_to_end
def test_the_clients_own_retries_pay_for_a_lost_create_again(broken: Any, shapes: Any) -> None:
    customer = broken(faults=[{"kind": "create_lost", "first": 2}])
    before = {batch.id for batch in customer.api.batches.list()}
    retrying = customer.api.with_options(max_retries=2)

    retrying.batches.create(
        input_file_id=customer.upload(shapes.line(1)),
        endpoint="/v1/chat/completions",
        completion_window="24h",
        extra_headers={},
    )

    assert len({batch.id for batch in customer.api.batches.list()} - before) == 3


@end_to_end
@pytest.mark.parametrize("accepted", [False, True])
def test_create_5xx_with_and_without_a_batch(broken: Any, shapes: Any, accepted: bool) -> None:
    customer = broken(faults=[{"kind": "create_5xx", "status": 503, "first": 1, "accepted": accepted}])
    count = len(list(customer.api.batches.list()))

    with pytest.raises(openai.InternalServerError) as caught:
        customer.create(shapes.line(1))

    assert caught.value.status_code == 503
    assert len(list(customer.api.batches.list())) == count + accepted


@end_to_end
def test_rate_limited_names_its_route_and_how_long_to_wait(broken: Any, shapes: Any) -> None:
    customer = broken(faults=[{"kind": "rate_limited", "route": "poll", "first": 1, "seconds": 2.5}])
    batch = customer.create(shapes.line(1))

    with pytest.raises(openai.RateLimitError) as caught:
        customer.api.batches.retrieve(batch.id)

    assert caught.value.response.headers["retry-after"] == "3"
    assert caught.value.response.headers["retry-after-ms"] == "2500"
    assert customer.ended(batch).status == "completed"


@end_to_end
def test_rate_limited_can_mean_that_the_credit_is_used_up(broken: Any) -> None:
    customer = broken(faults=[{"kind": "rate_limited", "code": "insufficient_quota"}])

    with pytest.raises(openai.RateLimitError) as caught:
        customer.upload(b"{}\n")

    assert (caught.value.code, caught.value.type) == ("insufficient_quota", "insufficient_quota")


@end_to_end
def test_upload_5xx(broken: Any) -> None:
    customer = broken(faults=[{"kind": "upload_5xx", "first": 1}])

    with pytest.raises(openai.InternalServerError):
        customer.upload(b"x" * 3_000_000)

    assert customer.upload(b"x")


@end_to_end
def test_a_file_is_not_visible_at_first(broken: Any, shapes: Any) -> None:
    customer = broken(faults=[{"kind": "file_not_visible", "first": 1}])

    with pytest.raises(openai.BadRequestError, match="Cannot find file"):
        customer.create(shapes.line(1))

    assert customer.run(shapes.line(1)).status == "completed"
    customer = broken(faults=[{"kind": "file_not_visible", "seconds": 3_600}])
    with pytest.raises(openai.BadRequestError, match="Cannot find file"):
        customer.create(shapes.line(1))


@end_to_end
def test_slow_delays_the_answer(broken: Any) -> None:
    customer = broken(faults=[{"kind": "slow", "route": "models", "seconds": 0.3}])
    start = time.monotonic()

    customer.api.models.list()

    assert time.monotonic() - start >= 0.3


@end_to_end
@pytest.mark.parametrize(("code", "complete"), [(None, False), ("short", True)])
def test_a_truncated_download(broken: Any, shapes: Any, code: str | None, complete: bool) -> None:
    entry = {"kind": "truncated_download", "first": 1, "share": 0.5}
    customer = broken(faults=[entry if code is None else {**entry, "code": code}])
    batch = customer.run(shapes.lines(40))
    size = customer.api.files.retrieve(batch.output_file_id).bytes

    if complete:
        assert len(customer.api.files.content(batch.output_file_id).content) == size // 2
    else:
        with pytest.raises((openai.APIConnectionError, Exception), match=r"(?i)connection|peer|read"):
            customer.api.files.content(batch.output_file_id)

    assert len(customer.api.files.content(batch.output_file_id).content) == size


@end_to_end
def test_batch_fails_as_told(broken: Any, shapes: Any) -> None:
    customer = broken(
        faults=[
            {"kind": "batch_fails", "code": "billing_hard_limit_reached", "message": "No money.", "line": 2}
        ]
    )

    batch = customer.run(shapes.lines(3))

    (error,) = batch.errors.data
    assert (batch.status, error.code, error.message, error.line) == (
        "failed",
        "billing_hard_limit_reached",
        "No money.",
        2,
    )


@end_to_end
def test_expire_leaves_the_rest_in_the_error_file(broken: Any, shapes: Any) -> None:
    customer = broken(faults=[{"kind": "expire", "share": 0.3}])

    batch = customer.run(shapes.lines(100))

    assert (batch.status, batch.expired_at is not None) == ("expired", True)
    assert batch.request_counts.to_dict() == {"total": 100, "completed": 30, "failed": 0}
    assert len(customer.rows(batch.output_file_id)) == 30
    left = customer.rows(batch.error_file_id)
    assert len(left) == 70
    assert all(row["response"] is None and row["error"]["code"] == "batch_expired" for row in left)


@end_to_end
def test_counts_lie(broken: Any, shapes: Any) -> None:
    customer = broken(faults={"lying_counts": True, "line_error": {"first": 4}})

    batch = customer.run(shapes.lines(10, prefix="c"))

    assert batch.request_counts.to_dict() == {"total": 10, "completed": 10, "failed": 0}
    assert len(customer.rows(batch.error_file_id)) == 4


@end_to_end
def test_ids_are_empty_strings_or_late(broken: Any, shapes: Any) -> None:
    customer = broken(faults={"empty_string_ids": True})
    assert customer.run(shapes.line(1)).error_file_id == ""

    customer = broken(faults={"ids_late": {"times": 3}})
    batch = customer.create(shapes.line(1))
    seen = customer.until(batch.id, lambda one: one.status == "completed")
    assert seen.output_file_id is None
    assert customer.api.batches.retrieve(batch.id).output_file_id is None
    assert customer.api.batches.retrieve(batch.id).output_file_id is None
    assert customer.api.batches.retrieve(batch.id).output_file_id


@end_to_end
def test_lines_are_missing_doubled_and_unknown(broken: Any, shapes: Any) -> None:
    customer = broken(
        faults={
            "missing_lines": {"first": 3},
            "duplicate_lines": {"every": 10},
            "unknown_lines": {"every": 20},
        }
    )

    batch = customer.run(shapes.lines(20, prefix="m"))

    counts = Counter(row["custom_id"] for row in customer.rows(batch.output_file_id))
    assert batch.request_counts.completed == 20
    assert not {"r-m0", "r-m1", "r-m2"} & counts.keys()
    assert counts["r-m9"] == counts["r-m19"] == 2
    assert counts["unknown-r-m19"] == 1
    assert sum(counts.values()) == 17 + 2 + 1


SCHEMA = {
    "type": "json_schema",
    "json_schema": {
        "name": "answer",
        "strict": True,
        "schema": {
            "type": "object",
            "properties": {"kind": {"enum": ["file", "net"]}, "why": {"type": "string"}},
            "required": ["kind", "why"],
            "additionalProperties": False,
        },
    },
}


@end_to_end
def test_answers_are_spoiled_once_and_come_right_when_asked_again(broken: Any, shapes: Any) -> None:
    customer = broken(faults={"malformed_output": {"first": 1}, "schema_break": {"every": 2}})
    content = shapes.line("s1", response_format=SCHEMA) + shapes.line("s2", response_format=SCHEMA)

    first = customer.results(customer.run(content))
    second = customer.results(customer.run(content))

    with pytest.raises(json.JSONDecodeError):
        json.loads(shapes.content_of(first["r-s1"]))
    assert json.loads(shapes.content_of(first["r-s2"]))["kind"] == 12345
    for row in second.values():
        assert json.loads(shapes.content_of(row))["kind"] == "file"


@end_to_end
def test_truncated_and_refused_answers_look_as_the_providers_do(broken: Any, shapes: Any) -> None:
    customer = broken(faults={"truncated_output": {"first": 1}, "refusal": {"every": 2}})

    rows = customer.results(customer.run(shapes.line("t1") + shapes.line("t2")))

    cut = rows["r-t1"]["response"]["body"]["choices"][0]
    assert cut["finish_reason"] == "length"
    refused = rows["r-t2"]["response"]["body"]["choices"][0]["message"]
    assert refused["content"] is None
    assert refused["refusal"]


@end_to_end
@pytest.mark.parametrize(
    ("entry", "status", "code"),
    [
        ({}, 500, "server_error"),
        ({"status": 429}, 429, "rate_limit_exceeded"),
        ({"status": 400, "code": "bad"}, 400, "bad"),
        ({"status": 0}, 0, None),
        ({"code": "request_timeout"}, None, "request_timeout"),
    ],
)
def test_lines_fail_with_any_status(
    broken: Any, shapes: Any, entry: dict[str, Any], status: int | None, code: str | None
) -> None:
    customer = broken(faults=[{"kind": "line_error", "repeat": "always", **entry}])

    batch = customer.run(shapes.line(1))

    (row,) = customer.rows(batch.error_file_id)
    if status is None:
        assert row["response"] is None
        assert row["error"]["code"] == code
    else:
        assert row["response"]["status_code"] == status
        assert row["response"]["body"].get("error", {}).get("code") == code
    assert batch.usage.input_tokens == 0


@end_to_end
def test_answers_are_given_by_a_piece_of_the_text(broken: Any, shapes: Any) -> None:
    customer = broken(answers={"chess": {"section": "games"}, "poem": ["bad", "better", "best"]})
    content = shapes.line("c", text="a chess engine") + shapes.line("p", text="a poem")

    rounds = [customer.results(customer.run(content)) for _ in range(4)]

    assert json.loads(shapes.content_of(rounds[0]["r-c"])) == {"section": "games"}
    assert [shapes.content_of(one["r-p"]) for one in rounds] == ["bad", "better", "best", "best"]


@end_to_end
def test_faults_strike_synchronous_calls_too(broken: Any) -> None:
    customer = broken(faults={"line_error": {"status": 429}, "refusal": {"model": "gpt-4.1"}})
    asked: Any = {"model": "gpt-4o", "messages": [{"role": "user", "content": "once only"}]}

    with pytest.raises(openai.RateLimitError):
        customer.api.chat.completions.create(**asked)

    assert customer.api.chat.completions.create(**asked).choices[0].message.content == "once only"


@end_to_end
def test_the_control_api_refuses_a_wrong_plan(customer: Any) -> None:
    with pytest.raises(Exception, match="unknown kind"):
        customer.simulator.post("/_simulator/faults", {"faults": {"sunspots": True}})
    with pytest.raises(Exception, match="advance"):
        customer.simulator.post("/_simulator/clock", {"advance": -1})
