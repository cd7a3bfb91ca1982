"""The official client drives the simulator: the life of files and batches."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import openai
import pytest

pytestmark = pytest.mark.end_to_end

# Ten times slower than the provider: nothing passes between two looks unless the clock is moved.
SLOW = ("--timing", "realistic", "--speed", "0.1")


def over(batch: Any) -> bool:
    return batch.status in ("completed", "failed", "expired", "cancelled")


def test_a_batch_goes_from_upload_to_deleted_files(customer: Any, shapes: Any) -> None:
    content = shapes.lines(300)
    uploaded = customer.api.files.create(file=("night.jsonl", content), purpose="batch")
    assert (uploaded.bytes, uploaded.filename, uploaded.purpose) == (len(content), "night.jsonl", "batch")
    assert uploaded.expires_at == uploaded.created_at + 30 * 86_400

    created = customer.api.batches.create(
        input_file_id=uploaded.id,
        endpoint="/v1/chat/completions",
        completion_window="24h",
        metadata={"run": "n-1"},
    )
    assert (created.status, created.request_counts.total) == ("validating", 0)
    assert created.expires_at == created.created_at + 86_400

    batch = customer.ended(created)
    assert (batch.status, batch.metadata, batch.model) == (
        "completed",
        {"run": "n-1"},
        "gpt-4o-mini-2024-07-18",
    )
    assert batch.request_counts.to_dict() == {"total": 300, "completed": 300, "failed": 0}
    assert batch.error_file_id is None
    assert batch.errors is None
    rows = customer.rows(batch.output_file_id)
    assert {row["custom_id"] for row in rows} == {f"r-{number}" for number in range(300)}
    assert [row["custom_id"] for row in rows] != [f"r-{number}" for number in range(300)]
    assert len({row["id"] for row in rows}) == 300
    usages = [row["response"]["body"]["usage"] for row in rows]
    assert batch.usage.input_tokens == sum(usage["prompt_tokens"] for usage in usages)
    assert batch.usage.output_tokens == sum(usage["completion_tokens"] for usage in usages)

    output = customer.api.files.retrieve(batch.output_file_id)
    assert output.purpose == "batch_output"
    assert output.bytes == len(customer.api.files.content(output.id).content)
    for file_id in (uploaded.id, output.id):
        assert customer.api.files.delete(file_id).deleted
        with pytest.raises(openai.NotFoundError):
            customer.api.files.content(file_id)


def test_batches_are_listed_newest_first_page_by_page(customer: Any, shapes: Any) -> None:
    created = [customer.create(shapes.line(number)).id for number in range(5)]

    first = customer.api.batches.list(limit=2)

    assert [batch.id for batch in first.data] == created[:2:-1]
    assert first.has_more
    pages = customer.api.batches.list(limit=2)
    assert [batch.id for batch, _ in zip(pages, created, strict=False)] == created[::-1]
    oldest = [batch.id for batch in customer.api.batches.list(limit=100)][-1]
    assert not customer.api.batches.list(after=oldest).has_more
    with pytest.raises(openai.BadRequestError, match="limit"):
        customer.api.batches.list(limit=101)


def test_files_are_listed_by_purpose_in_either_order(customer: Any, shapes: Any) -> None:
    batch = customer.run(shapes.line(1))
    second = customer.upload(b"{}\n")

    ascending = customer.api.files.list(purpose="batch", order="asc", limit=1, after=batch.input_file_id)
    assert [file.id for file in ascending] == [second]
    assert [file.id for file in customer.api.files.list(purpose="batch").data[:2]] == [
        second,
        batch.input_file_id,
    ]
    outputs = customer.api.files.list(purpose="batch_output").data
    assert outputs[0].id == batch.output_file_id
    assert {file.purpose for file in outputs} == {"batch_output"}


def test_a_batch_of_failed_lines_completes_without_an_output_file(customer: Any, shapes: Any) -> None:
    batch = customer.run(shapes.lines(3, temperature=9))

    assert (batch.status, batch.output_file_id) == ("completed", None)
    assert batch.request_counts.to_dict() == {"total": 3, "completed": 0, "failed": 3}
    for row in customer.rows(batch.error_file_id):
        assert row["error"] is None
        assert row["response"]["status_code"] == 400
        assert row["response"]["body"]["error"]["code"] == "decimal_above_max_value"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"max_tokens": "many"}, "invalid_type"),
        ({"max_completion_tokens": 999_999}, "invalid_value"),
        ({"colour": 1}, "unknown_parameter"),
        ({"response_format": {"type": "object"}}, "invalid_value"),
        (
            {"model": "gpt-4", "messages": [{"role": "user", "content": "word " * 9_000}]},
            "context_length_exceeded",
        ),
        ({"model": "o3", "max_tokens": 5}, "unsupported_parameter"),
        ({"messages": []}, "empty_array"),
        ({"messages": [{"role": "user"}]}, "invalid_type"),
        ({"n": 0}, "integer_below_min_value"),
    ],
)
def test_a_bad_parameter_fails_its_line_and_the_synchronous_call_alike(
    customer: Any, shapes: Any, body: dict[str, Any], code: str
) -> None:
    asked = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hello"}], **body}
    with pytest.raises(openai.BadRequestError) as caught:
        customer.api.post("/chat/completions", body=asked, cast_to=object)
    assert caught.value.code == code

    batch = customer.run(shapes.line(1, **asked))

    (row,) = customer.rows(batch.error_file_id)
    assert row["response"]["body"]["error"]["code"] == code


def test_a_cancelled_batch_keeps_what_was_done(own: Any, shapes: Any) -> None:
    customer = own(*SLOW)
    batch = customer.create(shapes.lines(800))
    customer.moved_until(batch.id, lambda one: one.request_counts.completed > 0)

    assert customer.api.batches.cancel(batch.id).status == "cancelling"

    batch = customer.moved_until(batch.id, over)
    assert batch.status == "cancelled"
    done, left = customer.rows(batch.output_file_id), customer.rows(batch.error_file_id)
    assert 0 < len(done) == batch.request_counts.completed < 800
    assert len(done) + len(left) == 800
    assert {row["error"]["code"] for row in left} == {"batch_cancelled"}
    books = customer.simulator.get("/_simulator/books")
    assert books["totals"]["requests"] == len(done)
    with pytest.raises(openai.ConflictError):
        customer.api.batches.cancel(batch.id)


def test_a_batch_expires_when_its_window_ends(broken: Any, shapes: Any) -> None:
    customer = broken(faults={"stuck": True})
    batch = customer.create(shapes.lines(4))
    batch = customer.until(batch.id, lambda one: one.status == "in_progress")
    assert batch.request_counts.to_dict() == {"total": 4, "completed": 0, "failed": 0}

    customer.simulator.post("/_simulator/clock", {"advance": 86_401})

    batch = customer.ended(batch)
    assert (batch.status, batch.output_file_id) == ("expired", None)
    assert {row["error"]["code"] for row in customer.rows(batch.error_file_id)} == {"batch_expired"}


def test_files_expire(customer: Any) -> None:
    file_id = customer.upload(b"{}\n")

    customer.simulator.post("/_simulator/clock", {"advance": 30 * 86_400 + 1})

    with pytest.raises(openai.NotFoundError):
        customer.api.files.retrieve(file_id)


def test_the_queue_holds_its_tokens_until_a_batch_ends(own: Any, shapes: Any) -> None:
    customer = own(*SLOW, quotas={"gpt-4o-mini": 1_500})
    first = customer.create(shapes.lines(80))
    customer.moved_until(first.id, lambda one: one.status == "in_progress")
    second = customer.moved_until(customer.create(shapes.lines(80)).id, over)

    assert second.status == "failed"
    (error,) = second.errors.data
    assert (error.code, error.line, error.param) == ("token_limit_exceeded", None, None)
    assert "Enqueued token limit reached for gpt-4o-mini in organization" in error.message
    assert "Limit: 1,500 enqueued tokens" in error.message
    assert customer.moved_until(first.id, over).status == "completed"
    third = customer.create(shapes.lines(80))
    assert customer.moved_until(third.id, over).status == "completed"
    books = customer.simulator.get("/_simulator/books")
    assert 0 < books["peak_enqueued"]["gpt-4o-mini"] <= 1_500
    assert books["enqueued"] == {}


def test_batches_survive_kill_9(own: Any, shapes: Any) -> None:
    customer = own(*SLOW)
    done = customer.moved_until(customer.create(shapes.lines(2)).id, over)
    open_batch = customer.create(shapes.lines(50))
    customer.moved_until(open_batch.id, lambda one: one.status == "in_progress")

    customer.simulator.kill()
    customer.simulator.restart()

    batch = customer.moved_until(open_batch.id, over)
    assert batch.status == "completed"
    assert len(customer.results(batch)) == 50
    assert len(customer.results(done)) == 2
    books = customer.simulator.get("/_simulator/books")
    assert books["totals"]["requests"] == 52
    assert [one["executions"] for one in books["batches"]] == [1, 2]
    assert customer.simulator.get("/_simulator/books/requests?above=2") == {}


def test_a_large_upload_streams_with_little_memory(customer: Any, tmp_path: Path) -> None:
    path = tmp_path / "large.jsonl"
    with path.open("wb") as file:
        file.truncate(199_000_000)
    before = _peak_kib(customer.simulator.pid)

    with path.open("rb") as file:
        uploaded = customer.api.files.create(file=file, purpose="batch")

    assert uploaded.bytes == 199_000_000
    assert _peak_kib(customer.simulator.pid) - before < 30_000
    customer.api.files.delete(uploaded.id)


def _peak_kib(pid: int) -> int:
    status = Path(f"/proc/{pid}/status")
    if not status.exists():
        pytest.skip("peak memory of another process is read from /proc")
    return next(int(one.split()[1]) for one in status.read_text().splitlines() if one.startswith("VmHWM"))


def test_the_state_is_one_folder(customer: Any, shapes: Any) -> None:
    batch = customer.run(shapes.line(1))
    state = customer.simulator.state

    stored = state / "files" / batch.input_file_id

    assert json.loads(stored.read_bytes())["custom_id"] == "r-1"
    assert list((state / "work").glob(f"{batch.id}*")) == []


def test_a_key_is_asked_for_if_one_is_set(own: Any) -> None:
    customer = own("--api-key", "secret")

    with pytest.raises(openai.AuthenticationError) as caught:
        customer.api.models.list()

    assert caught.value.code == "invalid_api_key"
    assert customer.api.with_options(api_key="secret").models.list().data


def test_creates_are_limited_per_hour(own: Any, shapes: Any) -> None:
    customer = own("--max-creates-per-hour", "2")
    customer.create(shapes.line(1))
    customer.create(shapes.line(2))

    with pytest.raises(openai.RateLimitError) as caught:
        customer.create(shapes.line(3))
    assert caught.value.response.headers["retry-after"]

    customer.simulator.post("/_simulator/clock", {"advance": 3_601})
    customer.create(shapes.line(3))


def test_a_batch_cancelled_while_it_finalizes_keeps_everything(own: Any, shapes: Any) -> None:
    customer = own(*SLOW)
    batch = customer.create(shapes.lines(3))
    customer.moved_until(batch.id, lambda one: one.status == "finalizing")

    customer.api.batches.cancel(batch.id)

    batch = customer.moved_until(batch.id, over)
    assert batch.status == "cancelled"
    assert len(customer.rows(batch.output_file_id)) == 3


def test_a_batch_cancelled_before_it_began_has_no_files(own: Any, shapes: Any) -> None:
    customer = own("--timing", "realistic")
    batch = customer.create(shapes.lines(3))

    customer.api.batches.cancel(batch.id)

    batch = customer.ended(batch)
    assert (batch.status, batch.output_file_id, batch.error_file_id) == ("cancelled", None, None)
    assert customer.simulator.get("/_simulator/books")["totals"]["requests"] == 0


def test_bytes_that_no_record_knows_are_swept_at_the_start(own: Any, tmp_path: Path) -> None:
    customer = own()
    file_id = customer.upload(b"{}\n")
    customer.simulator.kill()
    (tmp_path / "state" / "files" / "file-orphan").write_bytes(b"left by a kill")

    customer.simulator.restart()
    assert customer.simulator.get("/_simulator/state")["files"] == 1

    assert [path.name for path in (tmp_path / "state" / "files").iterdir()] == [file_id]
