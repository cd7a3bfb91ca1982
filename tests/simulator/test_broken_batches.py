"""Faults that are decided for a whole batch, as the official client meets them."""

from __future__ import annotations

import json
from typing import Any

import openai
import pytest

from nightmail.errors import ConfigError
from nightmail.simulator.faults import plan_from

pytestmark = pytest.mark.end_to_end


def booked(customer: Any, batch: Any) -> dict[str, Any]:
    """The entry of a batch in the books."""
    books = customer.simulator.get("/_simulator/books")
    return next(one for one in books["batches"] if one["id"] == batch.id)


def struck(customer: Any, kind: str) -> int:
    return int(customer.simulator.get("/_simulator/books")["struck"].get(kind, 0))


def listed(customer: Any) -> list[str]:
    return [batch.id for batch in customer.api.batches.list(limit=100)]


def test_a_new_batch_is_not_in_the_first_lists(broken: Any, shapes: Any) -> None:
    customer = broken(faults={"list_lags": {"batch": None, "times": 2, "first": 1}})
    late, seen = customer.create(shapes.line(1)).id, customer.create(shapes.line(2)).id

    pages = [customer.api.batches.list(limit=1).data for _ in range(2)]

    assert [[batch.id for batch in page] for page in pages] == [[seen], [seen]]
    assert listed(customer)[0] == seen
    assert late not in listed(customer)[:1]
    assert late in listed(customer)


def test_a_new_batch_is_not_in_lists_for_a_while(broken: Any, shapes: Any) -> None:
    customer = broken(faults={"list_lags": {"seconds": 600}})
    batch = customer.run(shapes.line(1))

    assert batch.id not in listed(customer)

    customer.simulator.post("/_simulator/clock", {"advance": 601})
    assert listed(customer)[0] == batch.id


@pytest.mark.parametrize("accepted", [False, True])
def test_a_batch_vanishes_executed_or_not(broken: Any, shapes: Any, accepted: bool) -> None:
    customer = broken(faults=[{"kind": "batch_vanishes", "accepted": accepted}])
    before = customer.simulator.get("/_simulator/books")["totals"]["requests"]
    batch = customer.create(shapes.lines(5))

    with pytest.raises(openai.NotFoundError):
        customer.api.batches.retrieve(batch.id)
    with pytest.raises(openai.NotFoundError):
        customer.api.batches.cancel(batch.id)

    assert batch.id not in listed(customer)
    customer.simulator.post("/_simulator/faults", {})
    customer.run(shapes.line(2))  # what was created before it has ended
    billed = customer.simulator.get("/_simulator/books")["totals"]["requests"] - before
    assert billed == (6 if accepted else 1)
    if accepted:
        assert booked(customer, batch)["lost"]["requests"] == 5


def test_a_batch_vanishes_after_a_while(broken: Any, shapes: Any) -> None:
    customer = broken(faults={"batch_vanishes": {"seconds": 600}})
    batch = customer.create(shapes.line(1))
    assert customer.until(batch.id, lambda one: one.status == "in_progress").request_counts.completed == 0

    customer.simulator.post("/_simulator/clock", {"advance": 601})

    with pytest.raises(openai.NotFoundError):
        customer.api.batches.retrieve(batch.id)


@pytest.mark.parametrize("status", [404, 410])
def test_result_files_are_gone(broken: Any, shapes: Any, status: int) -> None:
    customer = broken(faults=[{"kind": "file_gone", "status": status}])
    batch = customer.run(shapes.line(1))

    for _ in range(3):
        with pytest.raises(openai.APIStatusError) as caught:
            customer.api.files.content(batch.output_file_id)
        assert caught.value.status_code == status
    assert booked(customer, batch)["lost"] == {
        "requests": 1,
        "input_tokens": batch.usage.input_tokens,
        "output_tokens": batch.usage.output_tokens,
    }


def test_result_files_can_be_read_only_later(broken: Any, shapes: Any) -> None:
    customer = broken(faults={"files_late": {"times": 1}})
    batch = customer.run(shapes.line(1))
    with pytest.raises(openai.NotFoundError):
        customer.api.files.content(batch.output_file_id)
    assert len(customer.rows(batch.output_file_id)) == 1

    customer = broken(faults={"files_late": {"seconds": 600}})
    batch = customer.run(shapes.line(1))
    for _ in range(3):
        with pytest.raises(openai.NotFoundError):
            customer.api.files.retrieve(batch.output_file_id)
    customer.simulator.post("/_simulator/clock", {"advance": 601})
    assert len(customer.rows(batch.output_file_id)) == 1
    assert booked(customer, batch)["lost"]["requests"] == 0


def test_the_provider_cancels_on_its_own(broken: Any, shapes: Any) -> None:
    customer = broken(faults={"cancelled_unasked": {"share": 0.25}})

    batch = customer.run(shapes.lines(8))

    assert (batch.status, batch.request_counts.completed) == ("cancelled", 2)
    assert len(customer.rows(batch.output_file_id)) == 2
    assert {row["error"]["code"] for row in customer.rows(batch.error_file_id)} == {"batch_cancelled"}


def test_a_cancelled_batch_has_partial_output_or_none(broken: Any, shapes: Any) -> None:
    for thrown_away in (False, True):
        customer = broken(faults={"stuck": {"share": 0.5}, "rows_thrown_away": thrown_away})
        batch = customer.create(shapes.lines(10))
        customer.until(batch.id, lambda one: one.request_counts.completed == 5)

        customer.api.batches.cancel(batch.id)

        batch = customer.ended(batch)
        assert batch.status == "cancelled"
        assert len(customer.rows(batch.output_file_id)) == (0 if thrown_away else 5)
        assert len(customer.rows(batch.error_file_id)) == 5
        entry = booked(customer, batch)
        assert (entry["requests"], entry["lost"]["requests"]) == (5, 5 if thrown_away else 0)


def test_the_last_line_of_a_file_is_half_there(broken: Any, shapes: Any) -> None:
    customer = broken(faults={"half_last_line": True})
    batch = customer.run(shapes.lines(6))

    content = customer.api.files.content(batch.output_file_id).content

    *whole, half = content.split(b"\n")
    rows = [json.loads(one) for one in whole]
    assert len(rows) == 5
    with pytest.raises(json.JSONDecodeError):
        json.loads(half)
    assert customer.api.files.retrieve(batch.output_file_id).bytes == len(content)
    lost = booked(customer, batch)["lost"]
    read = sum(row["response"]["body"]["usage"]["prompt_tokens"] for row in rows)
    assert lost["requests"] == 1
    assert lost["input_tokens"] == batch.usage.input_tokens - read


@pytest.mark.parametrize("named", [False, True])
def test_a_poisoned_line_fails_the_whole_batch(broken: Any, shapes: Any, named: bool) -> None:
    customer = broken(faults=[{"kind": "poison", "marker": 'schädlich "x"', "named": named}])
    before = struck(customer, "poison")
    content = shapes.line(1) + shapes.line(2, text='Das ist schädlich "x" hier.') + shapes.line(3)

    failed, clean = customer.run(content), customer.run(shapes.line(4))

    assert (failed.status, clean.status) == ("failed", "completed")
    (error,) = failed.errors.data
    assert (error.code, error.line) == ("invalid_request", 2 if named else None)
    assert struck(customer, "poison") == before + 1


def test_a_poison_without_a_marker_is_a_wrong_plan() -> None:
    with pytest.raises(ConfigError, match="marker"):
        plan_from({"faults": {"poison": True}})


def test_another_tenant_fills_the_queue(broken: Any, shapes: Any) -> None:
    customer = broken(faults={"other_tenant": {"first": 1, "seconds": 600, "model": "gpt-4o-mini"}})

    for _ in range(2):
        batch = customer.run(shapes.line(1))
        assert batch.status == "failed"
        assert batch.errors.data[0].code == "token_limit_exceeded"
        assert "Limit: 2,000,000 enqueued tokens" in batch.errors.data[0].message
    assert customer.run(shapes.line(1, model="gpt-4o")).status == "completed"

    customer.simulator.post("/_simulator/clock", {"advance": 601})
    assert customer.run(shapes.line(1)).status == "completed"


def test_another_tenant_leaves_some_room(own: Any, shapes: Any) -> None:
    customer = own(quotas={"gpt-4o-mini": 1_000}, faults={"other_tenant": {"tokens": 900}})

    small, large = customer.run(shapes.line(1)), customer.run(shapes.lines(20))

    assert (small.status, large.status) == ("completed", "failed")
    assert "Limit: 1,000 enqueued tokens" in large.errors.data[0].message
    assert struck(customer, "other_tenant") == 1


@pytest.mark.parametrize(("status", "kind"), [(400, openai.BadRequestError), (429, openai.RateLimitError)])
def test_a_full_queue_can_be_told_by_the_call_itself(
    broken: Any, shapes: Any, status: int, kind: type[openai.APIStatusError]
) -> None:
    customer = broken(faults=[{"kind": "other_tenant", "first": 1, "status": status}])

    with pytest.raises(kind, match="Enqueued token limit reached for gpt-4o-mini") as caught:
        customer.create(shapes.line(1))

    assert caught.value.code == "token_limit_exceeded"
    assert customer.run(shapes.line(1)).status == "completed"


@pytest.mark.parametrize(
    ("code", "counts"), [("zero", {"total": 0, "completed": 0, "failed": 0}), ("null", None)]
)
def test_counts_are_zero_or_absent(broken: Any, shapes: Any, code: str, counts: Any) -> None:
    customer = broken(faults={"lying_counts": {"code": code}})

    shown = customer.run(shapes.line(1)).request_counts

    assert (shown and shown.to_dict()) == counts


def test_a_batch_fails_for_money_in_the_providers_words(broken: Any, shapes: Any) -> None:
    customer = broken(faults={"batch_fails": {"code": "billing_hard_limit_reached"}})

    (error,) = customer.run(shapes.line(1)).errors.data

    assert (error.code, error.message) == (
        "billing_hard_limit_reached",
        "Billing hard limit has been reached.",
    )


def test_a_batch_expires_twice_in_a_row(broken: Any, shapes: Any) -> None:
    customer = broken(faults={"expire": {"first": 2, "share": 0}})

    assert [customer.run(shapes.line(1)).status for _ in range(3)] == ["expired", "expired", "completed"]
