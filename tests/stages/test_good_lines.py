"""Judging good answers that follow each other at once comes to what judging line by line comes to."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from nightmail.core.batch import Batch, BatchState, Phase
from nightmail.core.ids import BatchId, RunId
from nightmail.core.pricing import Price, Rates
from nightmail.core.request import Endpoint, Mode
from nightmail.core.run import KeyKind
from nightmail.providers.openai.adapter import OpenAIProvider
from nightmail.spool import Spool
from nightmail.stages.good_lines import good_lines
from nightmail.stages.parts import part_schema, read_part, writing
from nightmail.stages.validate import Judge
from nightmail.stages.verdicts import ResultFile, Verdicts
from nightmail.stores.base import Asked, Before
from nightmail.tasks.base import Task
from nightmail.tasks.prepared import PreparedTask
from nightmail.testing.clock import ManualClock

RUN = RunId("sums-7f3a")
SEQS = list(range(11, 19))
RATES = Rates(input=150_000, output=600_000, cached=75_000)
PRICE = Price(batch=RATES, standard=RATES)
PROVIDER = OpenAIProvider("http://127.0.0.1:1/v1", "none")


class Sum(msgspec.Struct):
    total: int


class Sums(Task):
    """Adds up."""

    model = "gpt-4o-mini"
    output = Sum

    def build(self, record: Any) -> str:
        return str(record)


class Checked(Sums):
    """Adds up and looks again."""

    def check(self, output: Any, record: Any) -> None:
        """Anything will do."""


class LineByLine:
    """The provider without its faster way."""

    read_result = staticmethod(PROVIDER.read_result)

    def read_answers(self, lines: Sequence[bytes], endpoint: Endpoint) -> None:
        return None


def line(name: str, text: str, finish: str = "stop") -> bytes:
    usage = {"prompt_tokens": 10 + len(name), "completion_tokens": 5}
    body = {
        "model": "m",
        "choices": [{"message": {"content": text}, "finish_reason": finish}],
        "usage": usage,
    }
    row = {"custom_id": name, "response": {"status_code": 200, "body": body}, "error": None}
    return json.dumps(row).encode()


def lines_of(kind: str, seq: int) -> bytes:
    name = f"{RUN}_{seq}"
    match kind:
        case "good":
            return line(name, f'{{"total": {seq}}}')
        case "fenced":
            return line(name, f'```json\n{{"total": {seq}}}\n```')
        case "huge":
            return line(name, f'{{"total": {10**30}}}')
        case "bad":
            return line(name, '{"total": "many"}')
        case "cut":
            return line(name, '{"tot', "length")
        case "foreign":
            return line(f"other_{seq}", '{"total": 1}')
        case "zero":
            return line(f"{RUN}_0{seq}", '{"total": 1}')
        case "error":
            return b'{"custom_id":"%s","response":null,"error":{"code":"batch_expired"}}' % name.encode()
    return {"blank": b"", "return": line(name, '{"total": 2}') + b"\r", "torn": b'{"custom_id":"'}[kind]


KINDS = ["fenced", "huge", "bad", "cut", "foreign", "zero", "error", "blank", "return", "torn"]
FILES = st.lists(st.tuples(st.sampled_from(["good", "good", "good", *KINDS]), st.sampled_from([*SEQS, 99])))


def batch() -> Batch:
    return Batch(
        batch_no=1, run_no=1, batch_id=BatchId(f"{RUN}.b1"), state=BatchState.ENDED, mode=Mode.BATCH,
        account="a", model="gpt-4o-mini", endpoint=Endpoint.CHAT, requests=len(SEQS), tokens=80, bytes=1,
        inputs=len(SEQS), first_seq=SEQS[0],
        last_seq=SEQS[-1], created_at=ManualClock().now(), phase=Phase.COMPLETED,
    )  # fmt: skip


def judged(spool: Spool, provider: Any) -> tuple[Verdicts, list[dict[str, Any]]]:
    task = PreparedTask(Sums)
    with writing(spool, "part", part_schema("id", KeyKind.TEXT, task.arrow_schema())) as part:
        verdicts = Judge(
            task=task,
            provider=provider,
            spool=spool,
            run_id=RUN,
            batch=batch(),
            extras=[],
            asked=Asked(
                seqs=SEQS,
                keys=[f"key {seq}" for seq in SEQS],
                tokens=[seq % 3 for seq in SEQS],
                before={13: Before(attempts=2, input_tokens=7, output_tokens=9, pusd=11)},
            ),
            price=PRICE,
            records=None,
            part=part,
        ).judge([ResultFile(file_no=5, name="results", bytes=1, batch_no=1)])
    return verdicts, [row for table in read_part(spool, "part") for row in table.to_pylist()]


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(FILES)
@example([("good", 12), ("cut", 12), ("good", 12), ("good", 13)])
@example([("cut", 12), ("good", 11), ("good", 12), ("error", 13), ("good", 13)])
def test_a_file_is_judged_alike_at_once_and_line_by_line(tmp_path: Path, file: list[tuple[str, int]]) -> None:
    spool = Spool(tmp_path)
    spool.write("results", [lines_of(kind, seq) + b"\n" for kind, seq in file])

    assert judged(spool, PROVIDER) == judged(spool, LineByLine())


@pytest.mark.parametrize(("task", "found"), [(Sums, [(0, 1), (2, 4)]), (Checked, [])])
def test_good_answers_that_follow_each_other_are_taken_together(
    task: type[Task], found: list[tuple[int, int]]
) -> None:
    lines = [lines_of(kind, 12) for kind in ("good", "bad", "good", "good", "cut")]

    told = good_lines(lines, provider=PROVIDER, endpoint=Endpoint.CHAT, task=PreparedTask(task))

    assert [(good.start, good.stop) for good in told] == found
