"""New lines for requests that are asked again with another body: a repair, a larger cap, another model."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec

from nightmail.core.batch import Batch
from nightmail.core.ids import custom_id
from nightmail.core.result import Rejection
from nightmail.core.retry import Again
from nightmail.stages.ports import Ports
from nightmail.stages.records import Records
from nightmail.stages.verdicts import Problem
from nightmail.stores.base import Address, Group, Member, NewLine, StoredShard

# Where a task names no cap, the model's default cut the answer; asking for twice this much is more.
DEFAULT_CAP = 4_096
# In the names of the files that hold such lines, and of no other's.
AGAIN = "/requests/again-"


class Amendment(msgspec.Struct, frozen=True, kw_only=True):
    """A request that goes again with another body."""

    problem: Problem
    member: Member
    again: Again | None


class _Amended(msgspec.Struct, frozen=True):
    seq: int
    line: bytes
    model: str
    tokens: int


def cap_can_grow(ports: Ports, problem: Problem, model: str) -> bool:
    """Is a larger output cap than the request had possible?"""
    most = ports.provider.limits(model, ports.task.endpoint).max_output_tokens
    used = problem.usage.output_tokens
    return most is None or used < most


def is_amended(path: str) -> bool:
    """Is what this file of the spool holds no request as it was built any more?"""
    return AGAIN in path


async def amended_lines(ports: Ports, batch: Batch, amendments: Sequence[Amendment]) -> dict[int, NewLine]:
    """The new line of each request, by its number, written to a file of this batch's own."""
    if not amendments:
        return {}
    paths = await ports.store.requests.file_paths(batch.run_no)
    shards = await ports.store.requests.list_shards(batch.run_no) if ports.task.needs_record else []
    amended = await asyncio.to_thread(_amend_all, ports, batch, amendments, paths, shards)
    groups: dict[str, Group] = {}
    for model in {each.model for each in amended}:
        groups[model] = await ports.store.requests.record_group(
            ports.lease, model=model, endpoint=batch.endpoint
        )
    name = f"{ports.run_id}{AGAIN}{batch.batch_no}.jsonl"
    size = await asyncio.to_thread(ports.spool.write, name, [each.line for each in amended])
    file_no = await ports.store.requests.record_file(ports.lease, path=name, bytes=size)
    lines, offset = {}, 0
    for each in amended:
        address = Address(file_no, offset, len(each.line))
        lines[each.seq] = NewLine(address, groups[each.model].group_no, each.tokens)
        offset += len(each.line)
    return lines


def _amend_all(
    ports: Ports,
    batch: Batch,
    amendments: Sequence[Amendment],
    paths: dict[int, str],
    shards: Sequence[StoredShard],
) -> list[_Amended]:
    records = Records(ports.spool, ports.source, shards) if shards else None
    return [_amend(ports, batch, each, paths, records) for each in amendments]


def _amend(
    ports: Ports, batch: Batch, amendment: Amendment, paths: dict[int, str], records: Records | None
) -> _Amended:
    problem, member = amendment.problem, amendment.member
    line = ports.spool.read(paths[member.file_no], member.offset, member.length)
    body = ports.provider.request_body(line)
    model = ports.task.task.fallback_model if amendment.again is Again.FALLBACK else None
    new = ports.task.repaired(
        body,
        answer=problem.text,
        reason=problem.rejection or Rejection.CHECK,
        complaint=problem.complaint or problem.message,
        record=records.read(member.seq) if records else None,
        model=model,
        max_output_tokens=_larger_cap(ports, body, batch.model)
        if amendment.again is Again.LARGER_CAP
        else None,
    )
    used = model or batch.model
    tokens = ports.counter(used).body(batch.endpoint, msgspec.json.decode(new))
    name = custom_id(ports.run_id, member.seq)
    return _Amended(member.seq, ports.provider.request_line(name, batch.endpoint, new), used, tokens)


def _larger_cap(ports: Ports, body: bytes, model: str) -> int:
    cap = 2 * (ports.task.capped(body) or DEFAULT_CAP)
    most = ports.provider.limits(model, ports.task.endpoint).max_output_tokens
    return min(cap, most) if most else cap
