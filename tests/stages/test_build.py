"""Request lines: made by a template's frame or whole, they are the same."""

from typing import Any

import msgspec
import pytest

from nightmail.core.failure import Reason
from nightmail.core.ids import RunId, custom_id
from nightmail.core.run import KeyKind
from nightmail.providers.openai.adapter import OpenAIProvider
from nightmail.stages.build import Workshop
from nightmail.stages.keying import Keying
from nightmail.tasks.base import Task
from nightmail.tasks.prepared import PreparedTask
from nightmail.tokens.counter import counter_for

RUN = RunId("plain-0000")
TEXTS = [
    "short",
    'quotes " and \\ and \n',
    "\u2028 line \u0085 ends",
    "plain-0000_1000000000000000000",
    "日本語 🎉",
]


class Plain(Task):
    model = "gpt-4o-mini"
    system = "Say so."

    def build(self, record: Any) -> Any:
        return record["text"]


class AsMessages(Plain):
    def build(self, record: Any) -> Any:
        return [{"role": "system", "content": "Say so."}, {"role": "user", "content": record["text"]}]


class Embedded(Task):
    model = "text-embedding-3-small"
    endpoint = "embeddings"

    def build(self, record: Any) -> Any:
        return record["text"]


def workshop(task: type[Task]) -> Workshop:
    provider = OpenAIProvider.open(base_url="http://127.0.0.1:1/v1", api_key="none")
    return Workshop(task=PreparedTask(task), provider=provider, counter=counter_for, run_id=RUN)


def built(task: type[Task], texts: list[str]):
    rows = [{"text": text} for text in texts]
    return workshop(task).build(rows, first_seq=7, keying=Keying(KeyKind.ROW, "row"))


@pytest.mark.parametrize("task", [Plain, Embedded])
def test_a_line_made_by_a_frame_is_the_line_of_the_whole_body(task: type[Task]) -> None:
    provider = OpenAIProvider.open(base_url="http://127.0.0.1:1/v1", api_key="none")
    prepared = PreparedTask(task)

    lines = built(task, TEXTS).lines

    bodies = [prepared.request({"text": text}).body for text in TEXTS]
    assert lines == [
        provider.request_line(custom_id(RUN, seq), prepared.endpoint, body)
        for seq, body in enumerate(bodies, 7)
    ]


def test_a_text_counts_in_a_frame_what_it_counts_in_whole_messages() -> None:
    framed, whole = built(Plain, TEXTS), built(AsMessages, TEXTS)

    def messages(lines: list[bytes]) -> list[Any]:
        return [msgspec.json.decode(line)["body"]["messages"] for line in lines]

    assert messages(framed.lines) == messages(whole.lines)
    assert framed.rows.tokens == whole.rows.tokens


def test_what_does_not_fit_into_its_frame_is_told_with_its_size() -> None:
    made = built(Plain, ["word " * 200_000, "short"])

    assert made.rows.seqs == [8]
    (failed,) = made.failed
    assert (failed.seq, failed.reason) == (7, Reason.OVERSIZE)
    assert "gpt-4o-mini takes 128,000, the answer included" in failed.message
