from __future__ import annotations

import json
from pathlib import Path

import pytest

from nightmail.cli.attend import exit_of_run, report
from nightmail.cli.exits import Exit
from nightmail.cli.outcome import already_line, counts, outcome_lines, token_error
from nightmail.cli.terminal import Terminal
from nightmail.core.failure import Reason
from nightmail.core.request import Mode
from nightmail.core.run import PauseReason, RunState
from tests.cli.made import batch, finished, status

HERE = Terminal()


def test_a_finished_run_tells_its_counts_its_money_and_its_files() -> None:
    lines = outcome_lines(finished(), HERE)
    assert lines == [
        "topics-7f3a finished in 31 s: 8,398 succeeded, 14 failed (refused 9, check 5), 0 missing",
        "cost $0.080, saved $0.080 against synchronous calls, wasted $0.0010; "
        "41 asked again (truncated 25, check 16)",
        "tokens 1.31 M in, 90.0 k out; counted 0.30 % too low against the bill",
        "outputs   /work/topics.parquet",
        "failures  /work/topics.failures.jsonl",
        "nightmail retry topics-7f3a   asks the failed ones again",
    ]


def test_the_first_failures_are_shown_in_their_own_words(tmp_path: Path) -> None:
    path = tmp_path / "topics.failures.jsonl"
    rows = [
        {"id": f"k{n}", "record": n, "reason": "refused", "message": f"no {n}", "attempts": 1, "answer": None}
        for n in range(1, 6)
    ]
    rows[1]["id"] = None
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    lines = outcome_lines(finished(failures=str(path)), HERE)
    assert lines[5:8] == ["    k1: refused: no 1", "    record 2: refused: no 2", "    k3: refused: no 3"]
    assert "k4" not in "".join(lines)


def test_a_failures_file_that_was_changed_is_no_error(tmp_path: Path) -> None:
    path = tmp_path / "topics.failures.jsonl"
    path.write_bytes(b"[1]\nnot json\n")
    assert f"failures  {path}" in outcome_lines(finished(failures=str(path)), HERE)


def test_a_retry_is_offered_only_where_it_could_ask_something() -> None:
    never_sent = finished(failures_by_reason={Reason.BUILD: 9, Reason.OVERSIZE: 5})
    assert "retry" not in "".join(outcome_lines(never_sent, HERE))
    all_well = finished(failed=0, succeeded=8412, failures_by_reason={}, failures=None)
    assert "retry" not in "".join(outcome_lines(all_well, HERE))


def test_synchronous_calls_save_nothing_and_do_not_say_so() -> None:
    assert "saved" not in "".join(outcome_lines(finished(mode=Mode.SYNC), HERE))


def test_an_unknown_price_is_unknown_and_not_nothing() -> None:
    lines = outcome_lines(finished(cost_pusd=None, sync_cost_pusd=None, wasted_pusd=None), HERE)
    assert lines[1].startswith("cost unknown, saved unknown against synchronous calls, wasted unknown")


def test_a_run_of_which_nothing_was_sent_says_so() -> None:
    lines = outcome_lines(finished(requests_sent=0, input_tokens=0), HERE)
    assert lines[1] == "nothing was sent, nothing was paid"


@pytest.mark.parametrize(
    ("reason", "message", "said"),
    [
        (PauseReason.USER, None, "paused by user; nothing is lost. Go on with: nightmail resume topics-7f3a"),
        (
            PauseReason.BILLING,
            "the credit is used up",
            "paused: billing (the credit is used up). Nothing is lost. Top up, then: nightmail resume topics",
        ),
        (
            PauseReason.BUDGET,
            "too dear. To go on: nightmail resume topics-7f3a --budget USD",
            "paused: too dear. To go on: nightmail resume topics-7f3a --budget USD",
        ),
        (
            PauseReason.CREDENTIALS,
            None,
            "Set OPENAI_API_KEY to a key that the server accepts, then: nightmail",
        ),
    ],
)
def test_a_paused_run_says_why_and_how_to_go_on(reason: PauseReason, message: str | None, said: str) -> None:
    paused = status(state=RunState.PAUSED, pause_reason=reason, pause_message=message)
    assert said in outcome_lines(paused, HERE)[-1]


def test_missing_records_are_among_the_failures_and_not_told_twice() -> None:
    assert counts(finished(failures_by_reason={Reason.MISSING: 14})).count("missing") == 1


def test_open_and_cancelled_records_are_counted_where_there_are_any() -> None:
    assert counts(status(cancelled=3)).endswith("3 cancelled, 2,182 open")


def test_records_that_share_another_s_request_are_told_with_what_that_saved() -> None:
    told = outcome_lines(finished(copies=3_186, copies_saved_pusd=4 * 10**10), HERE)
    assert "3,186 records with the same request as another, not sent: saved $0.040" in told
    unknown = outcome_lines(status(copies=1, copies_saved_pusd=None), HERE)
    assert "1 record with the same request as another, not sent: saved unknown so far" in unknown


@pytest.mark.parametrize(
    ("error", "said"),
    [(0.0, "counted as billed"), (0.02, "2.00 % too low"), (-0.0315, "3.15 % too high")],
)
def test_the_token_error_says_in_which_direction(error: float, said: str) -> None:
    assert said in token_error(error)


def test_a_run_that_is_done_already_says_that_nothing_was_sent() -> None:
    assert already_line(finished(), "demo") == (
        "demo: finished already (8,398 succeeded, 14 failed); nothing was sent, nothing was paid"
    )


@pytest.mark.parametrize(
    ("run", "code"),
    [
        (finished(succeeded=8412, failed=0), Exit.DONE),
        (finished(), Exit.FAILURES),
        (finished(state=RunState.CANCELLED, cancelled=1), Exit.FAILURES),
        (status(), Exit.NOT_AT_END),
        (status(state=RunState.PAUSED), Exit.NOT_AT_END),
    ],
)
def test_the_exit_code_is_the_run_s(run: object, code: Exit) -> None:
    assert exit_of_run(run) is code  # type: ignore[arg-type]


def test_detaching_says_what_stays_and_how_to_come_back(capsys: pytest.CaptureFixture[str]) -> None:
    terminal = Terminal(home=Path("/data/my home"))
    assert report(status(active=(batch(1), batch(2))), terminal, detached=True) is Exit.NOT_AT_END
    assert capsys.readouterr().out == (
        "detached from run topics-7f3a; it stays as it is (2 batches at the provider). Come back with the "
        "same command, or: nightmail watch topics-7f3a --home '/data/my home'\n"
    )


def test_a_run_that_ended_while_detaching_is_told_as_ended(capsys: pytest.CaptureFixture[str]) -> None:
    assert report(finished(), HERE, detached=True) is Exit.FAILURES
    assert "finished in 31 s" in capsys.readouterr().out


def test_with_json_the_words_go_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    report(finished(), Terminal(json=True), detached=False)
    shown = capsys.readouterr()
    assert json.loads(shown.out)["failures_by_reason"] == {"refused": 9, "check": 5}
    assert "finished in 31 s" in shown.err
