"""Faults that strike single calls, as the official client meets them."""

from __future__ import annotations

from typing import Any

import openai
import pytest

from nightmail.simulator.faults import Struck, plan_from

pytestmark = pytest.mark.end_to_end

ASKED: Any = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Say something."}]}
ROUTES = {
    "upload": lambda api, ids: api.files.create(file=("a.jsonl", b"{}\n"), purpose="batch"),
    "files": lambda api, ids: api.files.list(),
    "file": lambda api, ids: api.files.retrieve(ids.file),
    "download": lambda api, ids: api.files.content(ids.file),
    "delete": lambda api, ids: api.files.delete(ids.file),
    "create": lambda api, ids: api.batches.create(
        input_file_id=ids.file, endpoint="/v1/chat/completions", completion_window="24h"
    ),
    "list": lambda api, ids: api.batches.list(),
    "poll": lambda api, ids: api.batches.retrieve(ids.batch),
    "cancel": lambda api, ids: api.batches.cancel(ids.batch),
    "models": lambda api, ids: api.models.list(),
    "sync": lambda api, ids: api.chat.completions.create(**ASKED),
}


class Ids:
    """What calls are about: a file of one good line, and a batch that stands still."""

    def __init__(self, customer: Any, shapes: Any) -> None:
        self.file = customer.upload(shapes.line(1))
        self.batch = ""


@pytest.fixture
def ids(customer: Any, shapes: Any) -> Ids:
    return Ids(customer, shapes)


@pytest.mark.parametrize("route", sorted(ROUTES))
def test_any_route_can_break_and_drop(broken: Any, ids: Ids, shapes: Any, route: str) -> None:
    entries = [
        {"kind": "server_error", "route": route, "first": 1, "status": 502, "message": "Bad gateway."},
        {"kind": "dropped", "route": route, "every": 2},
    ]
    customer = broken(faults=[{"kind": "stuck"}, *entries])
    if route in ("poll", "cancel"):
        ids.batch = customer.create(shapes.line(1)).id

    with pytest.raises(openai.InternalServerError, match="Bad gateway") as caught:
        ROUTES[route](customer.api, ids)
    with pytest.raises(openai.APIConnectionError):
        ROUTES[route](customer.api, ids)

    assert caught.value.status_code == 502
    assert ROUTES[route](customer.api, ids)


def test_a_call_can_have_its_effect_before_the_connection_drops(broken: Any, shapes: Any) -> None:
    customer = broken(
        faults=[
            {"kind": "dropped", "route": "delete", "first": 1, "accepted": True},
            {"kind": "server_error", "route": "sync", "first": 1, "accepted": True},
        ]
    )
    file_id = customer.upload(shapes.line(1))
    before = customer.simulator.get("/_simulator/books")["calls"].get("gpt-4o", {"calls": 0})["calls"]

    with pytest.raises(openai.APIConnectionError):
        customer.api.files.delete(file_id)
    with pytest.raises(openai.InternalServerError):
        customer.api.chat.completions.create(**ASKED)

    with pytest.raises(openai.NotFoundError):
        customer.api.files.retrieve(file_id)
    assert customer.simulator.get("/_simulator/books")["calls"]["gpt-4o"]["calls"] == before + 1


def test_a_late_answer_comes_after_the_client_has_left(broken: Any, shapes: Any) -> None:
    customer = broken(faults=[{"kind": "late", "route": "create", "first": 1, "seconds": 5}])
    file_id = customer.upload(shapes.line(1))
    hurried = customer.api.with_options(timeout=0.3)

    with pytest.raises(openai.APITimeoutError):
        ROUTES["create"](hurried, type("", (), {"file": file_id}))

    assert customer.api.batches.list(limit=1).data[0].input_file_id == file_id


@pytest.mark.parametrize(
    ("code", "status", "kind", "waits"),
    [
        ("rate_limit_exceeded", 429, "requests", True),
        ("slow_down", 503, "requests", True),
        ("insufficient_quota", 429, "insufficient_quota", False),
        ("credit_balance_exhausted", 429, "insufficient_quota", False),
        ("organization_spend_limit_exceeded", 429, "insufficient_quota", False),
        ("project_spend_limit_exceeded", 429, "insufficient_quota", False),
        ("billing_hard_limit_reached", 429, "insufficient_quota", False),
    ],
)
def test_each_family_of_429_says_whether_waiting_helps(
    broken: Any, code: str, status: int, kind: str, waits: bool
) -> None:
    customer = broken(faults=[{"kind": "rate_limited", "code": code}])

    with pytest.raises(openai.APIStatusError) as caught:
        customer.api.models.list()

    error = caught.value
    assert (error.status_code, error.code, error.type) == (status, code, kind)
    assert ("retry-after" in error.response.headers) == waits


def test_a_bad_key_is_bad_everywhere_for_a_while(broken: Any) -> None:
    customer = broken(faults=[{"kind": "bad_key", "first": 1, "seconds": 3_600}])

    for call in (customer.api.models.list, customer.api.batches.list):
        with pytest.raises(openai.AuthenticationError) as caught:
            call()
    assert caught.value.code == "invalid_api_key"

    customer.simulator.post("/_simulator/clock", {"advance": 3_601})
    assert customer.api.models.list().data


def test_a_spell_goes_on_after_a_restart_and_comes_once() -> None:
    plan = plan_from({"faults": [{"kind": "bad_key", "every": 2, "seconds": 10}]})
    first = Struck(plan, 0)

    def struck(by: Struck, now: float) -> bool:
        return by.find("bad_key", now=now) is not None

    assert [struck(first, now) for now in (0, 1, 2)] == [False, True, True]
    second = Struck(plan, 0, first.counts)
    assert [struck(second, now) for now in (10.9, 11, 12, 13)] == [True, False, False, False]


def test_cancelling_can_be_refused(broken: Any, shapes: Any) -> None:
    customer = broken(faults={"stuck": True, "cancel_refused": {"first": 1}})
    batch = customer.create(shapes.line(1))

    with pytest.raises(openai.ConflictError):
        customer.api.batches.cancel(batch.id)

    customer.api.batches.cancel(batch.id)
    assert customer.ended(batch).status == "cancelled"


@pytest.mark.parametrize(("code", "kept"), [(None, 0.25), ("count", 1.0)])
def test_an_upload_arrives_short_and_says_so(broken: Any, shapes: Any, code: str | None, kept: float) -> None:
    entry = {"kind": "upload_short", "first": 1, "share": 0.25}
    customer = broken(faults=[entry if code is None else {**entry, "code": code}])
    content = shapes.lines(8)

    first, second = (customer.api.files.create(file=("a.jsonl", content), purpose="batch") for _ in range(2))

    assert (first.bytes, second.bytes) == (len(content) // 4, len(content))
    assert len(customer.api.files.content(first.id).content) == int(len(content) * kept)


def test_flex_is_told_billed_apart_and_sometimes_unavailable(broken: Any) -> None:
    customer = broken(faults={"flex_unavailable": {"first": 1}})
    before = customer.simulator.get("/_simulator/books")["bill"].get("gpt-5-mini", {})
    asked = {**ASKED, "model": "gpt-5-mini", "service_tier": "flex"}
    customer.api.chat.completions.create(**{**asked, "service_tier": "auto"})

    with pytest.raises(openai.RateLimitError) as caught:
        customer.api.chat.completions.create(**asked)
    assert caught.value.code == "resource_unavailable"
    chat = customer.api.chat.completions.create(**asked)
    responses = customer.api.responses.create(model="gpt-5-mini", input="Hello.", service_tier="flex")

    assert chat.service_tier == responses.service_tier == "flex"
    bill = customer.simulator.get("/_simulator/books")["bill"]["gpt-5-mini"]
    assert before == {}
    assert bill["sync"]["requests"] == 1
    assert bill["flex"] == {
        "requests": 2,
        "input_tokens": chat.usage.prompt_tokens + responses.usage.input_tokens,
        "cached_tokens": 0,
        "output_tokens": chat.usage.completion_tokens + responses.usage.output_tokens,
    }
    with pytest.raises(openai.BadRequestError) as wrong:
        customer.api.chat.completions.create(**{**asked, "service_tier": "soon"})
    assert wrong.value.param == "service_tier"
