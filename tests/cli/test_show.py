"""What is shown while a run goes on: lines, the live picture, and the remark on stillness."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from nightmail.cli.lines import Lines, line_of, word_of
from nightmail.cli.live import drawn, progress_of
from nightmail.cli.stillness import PATIENCE, Stillness
from nightmail.cli.terminal import Terminal
from nightmail.core.batch import BatchState
from nightmail.core.progress import RunStatus
from nightmail.core.request import Mode
from nightmail.core.run import RunState
from tests.cli.made import batch, finished, status


class Clock:
    """Seconds that pass when they are told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def told(capsys: pytest.CaptureFixture[str]) -> list[str]:
    shown = capsys.readouterr()
    assert shown.out == ""
    return shown.err.splitlines()


def picture(run: RunStatus) -> str:
    console = Console(file=io.StringIO(), width=140, force_terminal=False)
    console.print(drawn(run))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_a_line_tells_how_far_where_what_it_cost_and_when_it_ends() -> None:
    assert line_of(status()) == (
        "topics-7f3a draining: 6,230 of 8,412 records, 8 of 12 batches done, at the provider in_progress 1, "
        "$0.080 spent, 41 asked again (truncated 25, check 16), ETA 9-23 s"
    )


def test_a_line_while_the_input_is_read_counts_what_was_read() -> None:
    reading = status(state=RunState.OPEN, sealed=False, batches=0, active=())
    assert line_of(reading) == "topics-7f3a open: reading the input, 8,412 records so far"


def test_nothing_new_is_told_once_in_half_a_minute(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    lines = Lines(Terminal(), clock=clock)
    for _ in range(61):
        lines.show(status())
        clock.now += 1
    assert len(told(capsys)) == 3


def test_a_change_of_state_is_told_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    lines = Lines(Terminal(), clock=Clock())
    lines.show(status())
    lines.show(finished())
    assert len(told(capsys)) == 2


def test_a_swarm_of_batches_is_told_together(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    lines = Lines(Terminal(), clock=clock)
    for done in range(10):
        lines.show(status(batches_done=done))
        clock.now += 1
    assert len(told(capsys)) == 2


def test_a_batch_is_shown_by_the_provider_s_own_word_while_the_provider_has_it() -> None:
    assert word_of(batch(status="finalizing")) == "finalizing"
    assert word_of(batch(status="scheduling")) == "scheduling"
    assert word_of(batch(status="completed", state=BatchState.ENDED)) == "ended"
    assert word_of(batch(status=None, state=BatchState.SUBMITTING)) == "submitting"


def test_the_picture_has_records_quota_money_troubles_and_each_batch() -> None:
    shown = picture(status(active=(batch(9), batch(10, status="finalizing", completed=None, failed=None))))
    for part in (
        "6,230/8,412",
        "batches 8/12",
        "ETA 9-23 s",
        "tokens 312 k of 500 k enqueued",
        "$0.080 spent, $0.080 saved",
        "41 asked again (truncated 25, check 16)",
        "14 failed (refused 9, check 5)",
        "b9   in_progress  61 %",
        "b10  finalizing",
    ):
        assert part in shown, part


def test_a_picture_of_many_batches_stays_small() -> None:
    shown = picture(status(active=tuple(batch(n) for n in range(1, 21))))
    assert "and 12 batches more" in shown
    assert len(shown.splitlines()) < 16


def test_a_picture_of_an_unknown_price_says_unknown() -> None:
    assert "unknown spent, unknown saved" in picture(status(cost_pusd=None, sync_cost_pusd=None))


def test_a_picture_of_synchronous_calls_has_no_quota() -> None:
    shown = picture(status(mode=Mode.SYNC, enqueued_tokens=0, active=(batch(status=None, completed=None),)))
    assert "enqueued" not in shown
    assert "saved" not in shown


def test_a_picture_of_an_input_that_is_being_read_says_so() -> None:
    assert "reading the input" in picture(status(sealed=False))


def test_counts_that_lie_never_show_more_than_all() -> None:
    assert progress_of(batch(completed=5000, failed=5000)) == "100 %"


def test_stillness_is_remarked_once_and_again_after_something_moved() -> None:
    clock = Clock()
    stillness = Stillness(Terminal(), clock)
    assert stillness.remark(status()) is None
    clock.now += PATIENCE + 1
    assert "nightmail worker" in (stillness.remark(status()) or "")
    assert stillness.remark(status()) is None
    assert stillness.remark(status(open=2000)) is None
    clock.now += PATIENCE + 1
    assert stillness.remark(status(open=2000)) is not None


def test_a_run_that_is_over_or_paused_is_not_still() -> None:
    for run in (finished(), status(state=RunState.PAUSED)):
        clock = Clock()
        stillness = Stillness(Terminal(), clock)
        stillness.remark(run)
        clock.now += PATIENCE + 1
        assert stillness.remark(run) is None


def test_without_a_terminal_nothing_is_redrawn(capsys: pytest.CaptureFixture[str]) -> None:
    assert not Terminal().is_live
