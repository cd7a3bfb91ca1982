"""What every provider must do, tried on a live server.

    await exercise_provider(lambda: MyProvider.open(base_url=url, api_key=None),
                            model="m", folder=tmp_path, pause=pause)

It makes real calls: four small files, three batches of a few requests and two synchronous requests. A
claim that does not hold is an `AssertionError` that states it.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Collection
from pathlib import Path

from nightmail.core.batch import ENDED_PHASES, Phase
from nightmail.core.request import Endpoint
from nightmail.core.result import Answers, Finish, Outcome, Result
from nightmail.core.usage import Usage
from nightmail.errors import NotFound, ProviderError, RequestRefused, Unsupported
from nightmail.providers.base import Provider, RemoteBatch

REQUESTS = 5
METADATA = {"nightmail_run": "conformance", "nightmail_batch": "conformance.b1", "nightmail_attempt": "1"}


async def exercise_provider(
    make: Callable[[], Provider],
    *,
    model: str,
    folder: Path,
    pause: Callable[[], Awaitable[None]],
    lacks: Collection[str] = (),
    refused: str | None = None,
    max_polls: int = 2_000,
) -> None:
    """Raises `AssertionError` at the first claim that does not hold.

    `model` answers chat completions there; `folder` is made if need be; `pause` is awaited between two
    polls; `lacks` names what the server does not offer: "find", "files", "delete", "metadata".
    `refused` is a prompt that the server answers with a 4xx, if there is one.
    """
    await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
    provider = make()
    try:
        _lines_and_limits(provider, model)
        await provider.check()
        finished = await _a_batch_gives_every_answer(
            provider, model, folder, pause, lacks, refused, max_polls
        )
        await _an_ended_batch_is_left_alone(provider, finished)
        await _a_running_batch_can_be_cancelled(provider, model, folder, pause, max_polls)
        await _unknown_ids_are_told(provider)
        await _files_can_be_deleted(provider, finished, lacks)
        await _a_synchronous_answer_reads_like_a_batch_line(provider, model, refused)
    finally:
        await provider.close()


def _lines_and_limits(provider: Provider, model: str) -> None:
    for name in (model, "a model that nobody has"):
        limits = provider.limits(name, Endpoint.CHAT)
        assert limits.max_batch_requests >= 1, "limits: a batch holds at least one request"
        assert limits.max_batch_bytes >= 1, "limits: a batch holds at least one byte"
    line = provider.request_line("run_1", Endpoint.CHAT, b'{\n "model": "m"\r\n}')
    assert line.endswith(b"\n"), "request_line: ends with a newline"
    assert line.count(b"\n") == 1, "request_line: one line, whatever the body looks like"
    assert b"run_1" in line, "request_line: names the request"
    assert json.loads(provider.request_body(line)) == {"model": "m"}, "request_body: what request_line took"
    assert provider.account, "account: says whose limits these are"


async def _a_batch_gives_every_answer(
    provider: Provider,
    model: str,
    folder: Path,
    pause: Callable[[], Awaitable[None]],
    lacks: Collection[str],
    refused: str | None,
    max_polls: int,
) -> RemoteBatch:
    prompts = [f"say {number}" for number in range(REQUESTS)] + ([refused] if refused else [])
    file_id = await _uploaded(provider, model, folder / "first.jsonl", prompts)
    created = await provider.create(input_file_id=file_id, endpoint=Endpoint.CHAT, metadata=METADATA)
    assert created.id, "create: gives the batch's id"
    assert created.input_file_id in (None, file_id), "create: the batch is of the file that was given"
    await _found(provider, created, lacks)
    ended = await _ended(provider, created.id, pause, max_polls)
    assert ended.phase is Phase.COMPLETED, f"a batch of good requests completes, not {ended.status!r}"

    results: list[Result] = []
    for file_id_of in (ended.output_file_id, ended.error_file_id):
        if file_id_of is not None:
            target = folder / "result.jsonl"
            size = await provider.fetch(file_id_of, target)
            assert size == target.stat().st_size, "fetch: returns the bytes that it wrote"
            lines = [line for line in target.read_bytes().split(b"\n") if line]
            read = [provider.read_result(line, Endpoint.CHAT) for line in lines]
            _are_read_at_once_alike(provider.read_answers(lines, Endpoint.CHAT), read)
            results += read
    assert len(results) == len(prompts), "every request has one line, in one of the two files"
    named = [result.custom_id for result in results if result.custom_id is not None]
    assert len(named) == len(set(named)), "no custom_id comes twice"
    assert set(named) <= {f"run_{number}" for number in range(len(prompts))}, "no custom_id is invented"
    good = {result.custom_id: result for result in results if result.outcome is Outcome.SUCCEEDED}
    assert set(good) == {f"run_{number}" for number in range(REQUESTS)}, "each good request succeeded"
    for result in good.values():
        assert result.response is not None, "a succeeded result has its response"
        assert result.response.text, "a chat answer has text"
        assert isinstance(result.response.body, dict), "a response keeps the provider's body"
    for result in results:
        if result.outcome is not Outcome.SUCCEEDED:
            assert result.response is None, "a failed result has no response"
            assert result.message or result.code, "a failed result says why"
    return ended


async def _found(provider: Provider, created: RemoteBatch, lacks: Collection[str]) -> None:
    if "find" in lacks:
        await _is_unsupported(provider.find().__anext__(), "find")
        return
    matches = [batch async for batch in provider.find() if batch.id == created.id]
    assert len(matches) == 1, "find: a batch is in the list once"
    if "metadata" not in lacks:
        assert dict(matches[0].metadata) == METADATA, "find: the metadata come back"


async def _ended(
    provider: Provider, batch_id: str, pause: Callable[[], Awaitable[None]], max_polls: int
) -> RemoteBatch:
    for _ in range(max_polls):
        batch = await provider.poll(batch_id)
        assert batch.id == batch_id, "poll: tells of the batch that was asked for"
        if batch.phase in ENDED_PHASES:
            return batch
        await pause()
    raise AssertionError(f"batch {batch_id!r} has not ended after {max_polls} polls")


async def _an_ended_batch_is_left_alone(provider: Provider, finished: RemoteBatch) -> None:
    await provider.cancel(finished.id)
    again = await provider.poll(finished.id)
    assert again.phase is finished.phase, "cancel: an ended batch stays what it was"


async def _a_running_batch_can_be_cancelled(
    provider: Provider, model: str, folder: Path, pause: Callable[[], Awaitable[None]], max_polls: int
) -> None:
    file_id = await _uploaded(provider, model, folder / "second.jsonl", ["say nothing"])
    created = await provider.create(input_file_id=file_id, endpoint=Endpoint.CHAT, metadata=METADATA)
    await provider.cancel(created.id)
    ended = await _ended(provider, created.id, pause, max_polls)
    # It may have been faster than we were.
    assert ended.phase in (Phase.CANCELLED, Phase.COMPLETED), f"cancel: ended as {ended.status!r}"


async def _unknown_ids_are_told(provider: Provider) -> None:
    for attempt, what in (
        (provider.poll("batch_unknown"), "poll"),
        (provider.create(input_file_id="file-unknown", endpoint=Endpoint.CHAT, metadata={}), "create"),
    ):
        try:
            batch = await attempt
        except NotFound:
            continue
        except Unsupported as error:
            raise AssertionError(f"{what}: an unknown id is not a missing call") from error
        except ProviderError:
            continue
        # Some servers accept the batch and fail it afterwards.
        assert what == "create", f"poll: an unknown id gave {batch!r}"


async def _files_can_be_deleted(provider: Provider, finished: RemoteBatch, lacks: Collection[str]) -> None:
    file_id = finished.output_file_id
    assert file_id is not None, "a batch of good requests has an output file"
    if "files" in lacks:
        await _is_unsupported(provider.files().__anext__(), "files")
    else:
        listed = {file.id: file async for file in provider.files()}
        assert file_id in listed, "files: lists output files"
        given = listed.get(finished.input_file_id or "")
        assert given is not None, "files: lists input files"
        assert given.filename in (None, "first.jsonl"), "files: an input file keeps the name it was given"
    if "delete" in lacks:
        await _is_unsupported(provider.delete(file_id), "delete")
        return
    assert await provider.delete(file_id) is True, "delete: True for a file that was there"
    assert await provider.delete(file_id) is False, "delete: False for a file that is gone"


def _are_read_at_once_alike(answers: Answers | None, results: list[Result]) -> None:
    if answers is None:
        return
    assert len(answers.contents) == len(results), "read_answers: an item for every line"
    for at, (text, result) in enumerate(zip(answers.contents, results, strict=True)):
        if text is None:
            continue
        usage = Usage(*(counts[at] for counts in answers.usages))
        told = (answers.custom_ids[at], text, answers.models[at], usage, answers.tiers[at])
        assert result.response is not None, "read_answers: contents are of answers"
        response = result.response
        read = (result.custom_id, response.text, response.model, response.usage, response.tier)
        assert told == read, "read_answers: says what read_result says"
        assert response.finish is Finish.COMPLETE, "read_answers: answers are complete"


async def _a_synchronous_answer_reads_like_a_batch_line(
    provider: Provider, model: str, refused: str | None
) -> None:
    reply = await provider.call(Endpoint.CHAT, _body(model, "say hello"))
    assert reply.status == 200, f"call: status {reply.status}"
    line = provider.result_line("run_7", reply)
    assert line.endswith(b"\n"), "result_line: ends with a newline"
    assert line.count(b"\n") == 1, "result_line: one line"
    result = provider.read_result(line[:-1], Endpoint.CHAT)
    assert result.custom_id == "run_7", "result_line: keeps the custom_id"
    assert result.outcome is Outcome.SUCCEEDED, "result_line: a 200 is a succeeded result"
    assert result.response is not None, "result_line: holds the answer"
    assert result.response.text, "result_line: holds the answer's text"
    if refused is not None:
        reply = await provider.call(Endpoint.CHAT, _body(model, refused))
        result = provider.read_result(provider.result_line("run_8", reply), Endpoint.CHAT)
        assert result.outcome is Outcome.ERRORED, "result_line: a 4xx is an errored result"
        assert result.status == reply.status, "result_line: keeps the status"
        assert result.message, "result_line: keeps the server's words"


async def _uploaded(provider: Provider, model: str, path: Path, prompts: list[str]) -> str:
    lines = [
        provider.request_line(f"run_{number}", Endpoint.CHAT, _body(model, prompt))
        for number, prompt in enumerate(prompts)
    ]
    size = await asyncio.to_thread(path.write_bytes, b"".join(lines))
    with path.open("rb") as content:
        remote = await provider.upload(content, filename=path.name)
    assert remote.id, "upload: gives the file's id"
    assert remote.bytes in (None, size), "upload: every byte arrived"
    return remote.id


async def _is_unsupported(attempt: Awaitable[object], what: str) -> None:
    try:
        await attempt
    except Unsupported:
        return
    except RequestRefused as error:
        raise AssertionError(f"{what}: should be Unsupported, is {error!r}") from error
    raise AssertionError(f"{what}: the server was said to lack it")


def _body(model: str, prompt: str) -> bytes:
    body = {"model": model, "messages": [{"role": "user", "content": prompt}], "max_tokens": 50}
    return json.dumps(body).encode()
