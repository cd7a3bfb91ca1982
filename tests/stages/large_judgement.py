"""Judges a result file of so many megabytes in a process of its own, and tells what it needed and found.

The answers have U+2028 in them, raw, and the last line has no end. Run by `test_large_things.py`.
"""

import json
import sys
from pathlib import Path

import pyarrow.compute as pc

from nightmail.core.batch import Batch, BatchState, Phase
from nightmail.core.ids import BatchId, RunId, custom_id
from nightmail.core.request import Endpoint, Mode
from nightmail.core.run import KeyKind
from nightmail.providers.openai.adapter import OpenAIProvider
from nightmail.sources.jsonl import JsonlSource
from nightmail.spool import Spool
from nightmail.stages.parts import part_name, read_part
from nightmail.stages.shards import JudgeOrder, judge_batch
from nightmail.stages.verdicts import ResultFile
from nightmail.stores.base import Asked
from nightmail.tasks.base import Task
from nightmail.tasks.prepared import PreparedTask
from nightmail.testing.clock import ManualClock
from nightmail.worker.service import shards_for

RUN = RunId("large-0000")
ANSWER = "one line\u2028another\u0085 and more of it. " * 600
LINE = json.dumps(
    {
        "custom_id": "@",
        "response": {
            "status_code": 200,
            "body": {"model": "m", "choices": [{"message": {"content": ANSWER}, "finish_reason": "stop"}]},
        },
    },
    ensure_ascii=False,
)


class Telling(Task):
    model = "gpt-4o-mini"

    def build(self, record):
        return str(record)


def main(folder: Path, megabytes: int) -> None:
    before, _, after = LINE.encode().partition(b"@")
    count = megabytes * 1_000_000 // len(LINE.encode()) + 1
    spool = Spool(folder)
    with spool.replacing("results.jsonl") as file:
        for seq in range(1, count + 1):
            file.write(before + custom_id(RUN, seq).encode() + after + (b"\n" if seq < count else b""))
        size = file.tell()
    provider = OpenAIProvider.open(base_url="http://127.0.0.1:1/v1", api_key="none")
    here = shards_for(RUN, PreparedTask(Telling), provider, JsonlSource([spool.path("results.jsonl")]), spool)
    seqs = list(range(1, count + 1))
    asked = Asked(seqs=seqs, keys=[f"r{seq}" for seq in seqs], tokens=[9] * count)
    batch = Batch(
        batch_no=1, run_no=1, batch_id=BatchId("b"), state=BatchState.ENDED, mode=Mode.BATCH, account="a",
        model="gpt-4o-mini", endpoint=Endpoint.CHAT, requests=count, tokens=0, bytes=0, inputs=count,
        first_seq=1, last_seq=count, created_at=ManualClock().now(), phase=Phase.COMPLETED,
    )  # fmt: skip
    file_of = ResultFile(file_no=1, name="results.jsonl", bytes=size, batch_no=1)
    found = judge_batch(
        here.tools,
        JudgeOrder(
            batch=batch, extras=[], asked=asked, files=[file_of], key_name="id", key_kind=KeyKind.TEXT,
            price=None, shards=[],
        ),
    )  # fmt: skip
    peak = int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) * 1024
    rows = right = 0
    for part in read_part(spool, part_name(RUN, 1)):
        rows += part.num_rows
        right += sum(pc.equal(part["output"], ANSWER).to_pylist())
    told = {"bytes": size, "count": count, "rows": rows, "right": right, "peak": peak}
    judged = {"succeeded": len(found.successes), "problems": len(found.problems)}
    print(json.dumps(told | judged))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
