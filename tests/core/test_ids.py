"""Names: made from their inputs, short enough for every provider, and read back only by who wrote them."""

from __future__ import annotations

import re

from hypothesis import example, given
from hypothesis import strategies as st

from nightmail.core.ids import MAX_RUN_ID, RunId, batch_id, custom_id, run_id, seq_of, seqs_of

LEGAL = re.compile(r"[A-Za-z0-9_-]{1,64}")
names = st.text(max_size=200)
generations = st.integers(1, 9_999)
seqs = st.integers(1, 10**12)


@given(names, st.text(), generations, seqs)
@example("A" * 200, "x", 9_999, 10**12)
@example("", "", 1, 1)
@example("日本語のタスク", "x", 1, 1)
def test_a_custom_id_is_legal_at_every_provider(name: str, identity: str, generation: int, seq: int) -> None:
    run = run_id(name, identity, generation)
    assert len(run) <= MAX_RUN_ID
    assert LEGAL.fullmatch(custom_id(run, seq))


@given(names, st.text(), generations, seqs)
def test_a_custom_id_reads_back(name: str, identity: str, generation: int, seq: int) -> None:
    run = run_id(name, identity, generation)
    assert seq_of(custom_id(run, seq), run) == seq


@given(names, st.text(), seqs)
def test_another_run_s_custom_id_is_not_ours(name: str, identity: str, seq: int) -> None:
    first, second = run_id(name, identity, 1), run_id(name, identity, 2)
    assert seq_of(custom_id(first, seq), second) is None


@given(st.text(max_size=80))
def test_no_text_whatever_makes_reading_raise(text: str) -> None:
    assert seq_of(text, RunId("sections-7f3a")) is None or text.startswith("sections-7f3a_")


def test_names_that_were_never_written_are_nobody_s() -> None:
    run = RunId("sections-7f3a")
    for text in ("", "1", "_1", "sections-7f3a", "sections-7f3a_", "sections-7f3a_-1", "sections-7f3a_1.0",
                 "sections-7f3a_²", "sections-7f3a_٣", "SECTIONS-7f3a_1"):  # fmt: skip
        assert seq_of(text, run) is None


@given(names, st.text())
def test_the_same_inputs_make_the_same_name(name: str, identity: str) -> None:
    assert run_id(name, identity) == run_id(name, identity)


def test_names_say_what_they_are_of() -> None:
    run = run_id("PackageSections", "an identity")
    assert re.fullmatch(r"packagesections-[0-9a-f]{4}", run)
    assert run_id("PackageSections", "an identity", 3) == f"{run}-3"
    assert batch_id(run, 4) == f"{run}.b4"
    assert run_id("日本語", "x").startswith("run-")


TAILS = st.from_regex(r"[0-9]{1,12}", fullmatch=True) | st.text("0159 _+-²٣", max_size=4)


@given(st.lists(st.builds("{}_{}".format, st.sampled_from(["sections-7f3a", "sections"]), TAILS), max_size=4))
@example(["sections-7f3a_1", "sections-7f3a_", "sections-7f3a_2"])
@example(["sections-7f3a_1", "sections-7f3a_02"])
def test_many_names_are_read_as_one_by_one(texts: list[str]) -> None:
    run = RunId("sections-7f3a")
    one_by_one = [seq_of(text, run) for text in texts]

    assert seqs_of(texts, run) == (None if None in one_by_one or not texts else one_by_one)
