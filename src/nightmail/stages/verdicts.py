"""What a batch is judged by, its result files, and what comes of it: plain values, which another process may
give."""

from __future__ import annotations

from pathlib import PurePath

import msgspec

from nightmail.core.answer_index import AnswerIndex
from nightmail.core.batch import Batch
from nightmail.core.result import Finish, Outcome, Rejection
from nightmail.core.usage import NO_USAGE, Usage
from nightmail.stores.base import Address, BatchSums

RESULT_KINDS = ("output", "errors")


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """A request of the batch that has no accepted output, and why."""

    seq: int
    outcome: Outcome
    message: str
    rejection: Rejection | None = None
    status: int | None = None
    code: str | None = None
    finish: Finish | None = None
    answer: Address | None = None
    text: str | None = None  # what the model said, for a repair
    complaint: str | None = None  # what the model is told about it; may quote the answer
    usage: Usage = NO_USAGE
    cost_pusd: int | None = 0


class Verdicts(msgspec.Struct, kw_only=True):
    """What the files of one batch and its extras hold. `successes` and `problems` together name each
    member once, `sums` has what each of these batches used and cost, by its number."""

    successes: AnswerIndex = AnswerIndex()
    problems: list[Problem] = []
    unknown: list[str] = []  # names that this batch never sent
    duplicates: int = 0
    unreadable: int = 0
    callback_errors: list[str] = []
    sums: dict[int, BatchSums] = {}


class ResultFile(msgspec.Struct, frozen=True, kw_only=True):
    """A result file in the spool, and the number of its batch."""

    file_no: int
    name: str
    bytes: int
    batch_no: int


def results_name(run_id: str, batch: Batch, kind: str) -> str:
    """Where a batch's `output` or `errors` file is kept."""
    return str(PurePath(run_id, "results", f"{batch.batch_no}.{kind}.jsonl"))
