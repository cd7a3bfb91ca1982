"""What the provider says about input that it does not take: at upload, at creation, and after it."""

from __future__ import annotations

import json
from typing import Any

import openai
import pytest

pytestmark = pytest.mark.end_to_end

GOOD = {
    "custom_id": "a",
    "method": "POST",
    "url": "/v1/chat/completions",
    "body": {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hello"}]},
}


def file_of(*changes: dict[str, Any] | bytes) -> bytes:
    """A file of good lines, each changed; bytes stand as they are."""
    lines = []
    for number, change in enumerate(changes):
        if isinstance(change, bytes):
            lines.append(change)
            continue
        value = {**GOOD, "custom_id": f"r-{number}", **change}
        lines.append(json.dumps({key: part for key, part in value.items() if part is not None}).encode())
    return b"\n".join(lines) + b"\n"


def body(**changes: Any) -> dict[str, Any]:
    return {"body": {**GOOD["body"], **changes}}  # type: ignore[dict-item]


@pytest.mark.parametrize(
    ("content", "code", "line"),
    [
        (file_of({}, b"{not json"), "invalid_json_line", 2),
        (file_of({}, b"[1, 2]"), "invalid_json_line", 2),
        (file_of({}, b"", {}), "invalid_json_line", 2),
        (b"\xef\xbb\xbf" + file_of({}), "invalid_json_line", 1),
        (file_of({}, b'{"custom_id": "\xff"}'), "invalid_json_line", 2),
        (file_of({"custom_id": "x"}, {}, {"custom_id": "x"}), "duplicate_custom_id", 3),
        (b"", "empty_file", None),
        (b"\n", "empty_file", None),
        (file_of({}, {"url": "/v1/embeddings"}), "url_mismatch", 2),
        (file_of({}, body(model="gpt-4o")), "model_mismatch", 2),
        (file_of({}, {"method": "GET"}), "invalid_method", 2),
        (file_of({}, {"custom_id": None}), "missing_required_parameter", 2),
        (file_of({}, {"custom_id": 7}), "invalid_custom_id", 2),
        (file_of({}, {"body": None}), "missing_required_parameter", 2),
        (file_of({}, {"body": {"messages": []}}), "missing_required_parameter", 2),
        (file_of({}, {"body": "text"}), "invalid_request", 2),
        (file_of({}, body(stream=True)), "invalid_request", 2),
    ],
)
def test_a_bad_file_fails_its_batch_after_it_was_accepted(
    customer: Any, content: bytes, code: str, line: int | None
) -> None:
    batch = customer.run(content)

    assert batch.status == "failed"
    assert batch.failed_at is not None
    assert batch.errors.object == "list"
    assert [(error.code, error.line) for error in batch.errors.data] == [(code, line)]
    assert batch.errors.data[0].message
    assert batch.output_file_id is None
    assert batch.usage is None


def test_every_bad_line_is_named_up_to_a_hundred(customer: Any) -> None:
    batch = customer.run(file_of(*[b"{"] * 150))

    assert [error.line for error in batch.errors.data] == list(range(1, 101))


def test_a_dated_name_and_its_alias_are_one_model(customer: Any) -> None:
    batch = customer.run(file_of({}, body(model="gpt-4o-mini-2024-07-18")))

    assert batch.status == "completed"


def test_too_many_requests_fail_the_batch(customer: Any, shapes: Any) -> None:
    batch = customer.run(shapes.lines(50_001))

    assert [error.code for error in batch.errors.data] == ["too_many_tasks"]
    assert "50,000" in batch.errors.data[0].message


def test_too_many_embedding_inputs_fail_the_batch(customer: Any) -> None:
    lines = [
        {"custom_id": f"e-{number}", "method": "POST", "url": "/v1/embeddings",
         "body": {"model": "text-embedding-3-small", "input": ["a"] * 2_000, "dimensions": 2}}
        for number in range(26)
    ]  # fmt: skip
    content = b"".join(json.dumps(one).encode() + b"\n" for one in lines)

    batch = customer.run(content, "/v1/embeddings")

    assert "52,000 embedding inputs" in batch.errors.data[0].message


def test_a_too_large_file_is_refused_at_upload(own: Any) -> None:
    customer = own("--max-batch-bytes", "1000")

    with pytest.raises(openai.APIStatusError) as caught:
        customer.upload(b"x" * 1001)

    assert caught.value.status_code == 413
    assert "too large" in caught.value.message
    assert customer.upload(b"x" * 1000)


def test_an_unknown_model_fails_the_batch_and_the_call(own: Any, shapes: Any) -> None:
    customer = own("--unknown-model", "gpt-9")

    batch = customer.run(shapes.line(1, model="gpt-9"))

    assert [error.code for error in batch.errors.data] == ["model_not_found"]
    with pytest.raises(openai.NotFoundError) as caught:
        customer.api.chat.completions.create(model="gpt-9", messages=[{"role": "user", "content": "x"}])
    assert caught.value.code == "model_not_found"
    with pytest.raises(openai.NotFoundError):
        customer.api.models.retrieve("gpt-9")


@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"endpoint": "/v1/images/generations"}, "endpoint"),
        ({"completion_window": "7d"}, "completion_window"),
        ({"input_file_id": "file-none"}, "input_file_id"),
        ({"input_file_id": None}, "input_file_id"),
        ({"metadata": {f"k{number}": "v" for number in range(17)}}, "metadata"),
        ({"metadata": {"k" * 65: "v"}}, "metadata." + "k" * 64),
        ({"metadata": {"k": "v" * 513}}, "metadata.k"),
        ({"metadata": {"k": 1}}, "metadata.k"),
        ({"output_expires_after": {"anchor": "created_at", "seconds": 60}}, "output_expires_after.seconds"),
        ({"priority": 1}, "priority"),
    ],
)
def test_a_bad_creation_is_refused_at_once(customer: Any, changes: dict[str, Any], param: str) -> None:
    asked = {
        "input_file_id": customer.upload(file_of({})),
        "endpoint": "/v1/chat/completions",
        "completion_window": "24h",
        **changes,
    }

    with pytest.raises(openai.BadRequestError) as caught:
        customer.api.post("/batches", body=asked, cast_to=object)

    assert caught.value.param == param
    assert caught.value.response.headers["x-request-id"].startswith("req_")


def test_output_files_expire_as_asked(customer: Any) -> None:
    batch = customer.run(file_of({}), output_expires_after={"anchor": "created_at", "seconds": 3_600})

    output = customer.api.files.retrieve(batch.output_file_id)

    assert output.expires_at == output.created_at + 3_600


def test_uploads_are_checked(customer: Any) -> None:
    with pytest.raises(openai.BadRequestError, match=r"\.jsonl"):
        customer.upload(b"{}", name="input.csv")
    with pytest.raises(openai.BadRequestError) as caught:
        customer.api.files.create(file=("a.jsonl", b"{}"), purpose="nothing")
    assert caught.value.param == "purpose"
    with pytest.raises(openai.BadRequestError):
        customer.api.post("/files", body={}, cast_to=object)
    kept = customer.api.files.create(
        file=("näme.jsonl", b"{}"), purpose="batch", expires_after={"anchor": "created_at", "seconds": 3_600}
    )
    assert (kept.filename, kept.expires_at) == ("näme.jsonl", kept.created_at + 3_600)


def test_bytes_are_taken_under_the_name_that_the_client_gives_them(customer: Any) -> None:
    kept = customer.api.files.create(file=b"{}\n", purpose="batch")

    assert (kept.filename, kept.bytes) == ("upload", 3)


def test_unknown_paths_answer_as_the_provider_does(customer: Any) -> None:
    with pytest.raises(openai.NotFoundError, match="Invalid URL"):
        customer.api.get("/nothing", cast_to=object)
    with pytest.raises(openai.NotFoundError):
        customer.api.batches.retrieve("batch_none")
