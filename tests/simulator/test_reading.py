"""Reading of lines and bodies: nothing that a file may hold makes the simulator stumble."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nightmail.core.request import Endpoint
from nightmail.simulator.answers import Given, answer
from nightmail.simulator.asks import Reader
from nightmail.simulator.catalogue import model_named, queue_of
from nightmail.simulator.replies import body_of
from nightmail.simulator.timing import timeline
from nightmail.simulator.validation import LineReader, inspect, pieces_of
from nightmail.tokens.counter import counter_for

_json = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-5, 5),
        st.floats(allow_nan=False, allow_infinity=False),
        st.text(max_size=6),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=6), inner, max_size=3)
    ),
    max_leaves=6,
)
_names = st.sampled_from(
    [
        "model",
        "messages",
        "input",
        "prompt",
        "text",
        "response_format",
        "max_tokens",
        "n",
        "tools",
        "dimensions",
    ]
)
_bodies = st.dictionaries(_names, _json, max_size=6)


@settings(max_examples=settings.default.max_examples * 3 // 2)
@given(line=st.binary(max_size=40))
def test_any_bytes_are_a_line_or_are_told_to_be_none(line: bytes) -> None:
    _, ask, wrong = LineReader(Endpoint.CHAT).read(line)

    assert (ask is None) != (wrong is None)


@settings(max_examples=settings.default.max_examples * 2)
@given(endpoint=st.sampled_from(list(Endpoint)), body=_bodies)
def test_any_body_is_answered_or_refused(endpoint: Endpoint, body: dict[str, Any]) -> None:
    ask = Reader(endpoint).whole({"model": "gpt-4o-mini", **body})

    if ask.refusal is None:
        reply = body_of(endpoint, ask, answer(ask, 0), b"x", 1, 0)
        assert isinstance(json.loads(reply), dict)
    else:
        assert ask.refusal.status == 400


@given(
    user=st.text(max_size=60),
    system=st.none() | st.text(max_size=20),
    cap=st.none() | st.integers(1, 30),
    seed=st.integers(0, 5),
)
def test_both_ways_of_reading_a_body_agree(user: str, system: str | None, cap: int | None, seed: int) -> None:
    messages = [{"role": "user", "content": user}]
    if system is not None:
        messages.insert(0, {"role": "system", "content": system})
    body: dict[str, Any] = {"model": "gpt-4o", "messages": messages}
    if cap is not None:
        body["max_completion_tokens"] = cap
    line = json.dumps(
        {"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": body}
    ).encode()

    _, plain, _ = LineReader(Endpoint.CHAT).read(line)
    whole = Reader(Endpoint.CHAT).whole(body)

    assert plain is not None
    assert plain.tokens == whole.tokens == counter_for("gpt-4o").body(Endpoint.CHAT, body)
    assert answer(plain, seed) == answer(whole, seed)
    made = answer(plain, seed)
    assert cap is None or made.tokens <= cap


@settings(max_examples=settings.default.max_examples * 3 // 5)
@given(lines=st.lists(st.text(alphabet="ab\u2028\x0b ", max_size=12), max_size=20), size=st.integers(1, 60))
def test_pieces_are_the_file_cut_at_newlines_alone(
    tmp_path_factory: Any, lines: list[str], size: int
) -> None:
    path: Path = tmp_path_factory.mktemp("pieces") / "input.jsonl"
    written = [json.dumps({"x": one}, ensure_ascii=False).encode() for one in lines]
    path.write_bytes(b"".join(one + b"\n" for one in written) + b"\n\n")

    pieces = pieces_of(path, Endpoint.CHAT, size)

    assert [line for piece in pieces for line in piece.lines()] == written


def test_a_piece_counts_tokens_and_inputs_per_line(tmp_path: Path) -> None:
    path = tmp_path / "input.jsonl"
    bodies = [{"model": "text-embedding-3-small", "input": given} for given in ("one", ["two", "three"])]
    path.write_text(
        "\n".join(
            json.dumps({"custom_id": f"e{number}", "method": "POST", "url": "/v1/embeddings", "body": body})
            for number, body in enumerate(bodies)
        )
    )

    (piece,) = pieces_of(path, Endpoint.EMBEDDINGS, 1 << 20)
    found = inspect(piece)

    assert (found.custom_ids, found.inputs, found.faults) == (["e0", "e1"], 3, [])
    assert found.token_total == 3
    assert found.models == [("text-embedding-3-small", 1)]


@pytest.mark.parametrize(
    ("name", "snapshot", "queue"),
    [
        ("gpt-4o-mini", "gpt-4o-mini-2024-07-18", "gpt-4o-mini"),
        ("gpt-4o-mini-2024-07-18", "gpt-4o-mini-2024-07-18", "gpt-4o-mini"),
        ("gpt-4o-2024-11-20", "gpt-4o-2024-11-20", "gpt-4o"),
        (
            "ft:gpt-4o-mini-2024-07-18:me::x",
            "ft:gpt-4o-mini-2024-07-18:me::x",
            "ft:gpt-4o-mini-2024-07-18:me::x",
        ),
        ("vllm/llama", "vllm/llama", "vllm/llama"),
    ],
)
def test_models_are_echoed_by_their_dated_name(name: str, snapshot: str, queue: str) -> None:
    assert (model_named(name).snapshot, queue_of(name)) == (snapshot, queue)


def test_fine_tuned_and_dated_models_have_their_parents_windows() -> None:
    assert model_named("ft:gpt-4o-mini-2024-07-18:me::x").window == 128_000
    assert model_named("gpt-4o-2024-11-20").window == 128_000
    assert model_named("something-new").window is None


def test_given_answers_go_by_attempt() -> None:
    given_answers = Given({"a": ["x", {"y": 1}], "b": "z"})

    assert [given_answers.to("an a", attempt) for attempt in (1, 2, 3)] == ["x", '{"y":1}', '{"y":1}']
    assert given_answers.to("b", 1) == "z"
    assert given_answers.to("c", 1) is None


def test_a_night_is_the_same_for_the_same_seed_and_shorter_with_speed() -> None:
    slow, fast = timeline("realistic", 1, 3, 9), timeline("realistic", 100, 3, 9)

    assert timeline("realistic", 1, 3, 9) == slow
    assert slow.queue == pytest.approx(100 * fast.queue)
    assert slow.processing(1_000) > 30
    assert slow.done(slow.processing(1_000) + 1, 1_000) == 1_000
    assert slow.done(slow.queue / 2, 1_000) == 0
    assert timeline("instant", 1, 3, 9).processing(10**6) == 0
