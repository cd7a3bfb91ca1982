"""How a run came out, in words: what a command prints when it is done with a run."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

from nightmail.cli.terminal import Terminal
from nightmail.core import wording as figures
from nightmail.core.failure import Reason
from nightmail.core.progress import RunStatus
from nightmail.core.request import Mode
from nightmail.core.run import PauseReason, RunState

EXAMPLES = 3
MAX_MESSAGE = 300
# No request was ever made of these: asking again would ask nothing.
_NEVER_SENT = {Reason.BAD_ROW, Reason.BUILD, Reason.OVERSIZE}
_REMEDIES = {
    PauseReason.BILLING: " Top up",
    PauseReason.CREDENTIALS: " Set OPENAI_API_KEY to a key that the server accepts",
}


def is_over(status: RunStatus) -> bool:
    """Finished or cancelled: nothing more will happen to it by itself."""
    return status.state in (RunState.FINISHED, RunState.CANCELLED)


def is_output_gone(status: RunStatus) -> bool:
    """Was the output written, and is not there any more?"""
    return status.output is not None and not Path(status.output).exists()


def outcome_lines(status: RunStatus, terminal: Terminal) -> list[str]:
    """The counts, the money, the files, and what can be done next."""
    lines = [_headline(status), *money_lines(status), *_tokens(status)]
    if status.state is RunState.PAUSED:
        lines.append(_paused(status, terminal))
    if is_over(status) and status.output is not None:
        lines.append(f"outputs   {status.output}")
    elif is_over(status) and terminal.server is not None:
        bring = terminal.command("export", status.run_id, "--output", "FILE")
        lines.append(f"{bring}   brings the outputs")
    if status.failures is not None and is_over(status):
        lines += [f"failures  {status.failures}", *_examples(Path(status.failures))]
    if status.state is RunState.FINISHED and not status.failures_by_reason.keys() <= _NEVER_SENT:
        lines.append(f"{terminal.command('retry', status.run_id)}   asks the failed ones again")
    return lines


def _examples(failures: Path) -> list[str]:
    """The first few failures in their own words; none if the file is not there any more."""
    import msgspec

    shown = []
    try:
        with failures.open("rb") as file:
            for line in islice(file, EXAMPLES):
                failure = msgspec.json.decode(line)
                key = next(iter(failure.values()))
                name = f"record {failure['record']}" if key is None else key
                shown.append(f"    {name}: {failure['reason']}: {str(failure['message'])[:MAX_MESSAGE]}")
    except (OSError, msgspec.DecodeError, LookupError, AttributeError):
        # The file is the user's own now, who may have moved or changed it.
        return shown
    return shown


def already_line(status: RunStatus, name: str | None = None) -> str:
    """For a command that finds its run finished."""
    return (
        f"{name or status.run_id}: {status.state} already ({figures.count(status.succeeded)} succeeded, "
        f"{figures.count(status.failed)} failed); nothing was sent, nothing was paid"
    )


def counts(status: RunStatus) -> str:
    """`8,398 succeeded, 14 failed (refused 9, check 5), 0 missing`."""
    parts = [f"{figures.count(status.succeeded)} succeeded"]
    failed = f"{figures.count(status.failed)} failed"
    parts.append(f"{failed} ({figures.reasons(status.failures_by_reason)})" if status.failed else failed)
    if status.cancelled:
        parts.append(f"{figures.count(status.cancelled)} cancelled")
    if status.open:
        parts.append(f"{figures.count(status.open)} open")
    elif Reason.MISSING not in status.failures_by_reason:
        parts.append("0 missing")
    if status.unchanged:
        parts.append(f"{figures.count(status.unchanged)} unchanged left out")
    return ", ".join(parts)


def _headline(status: RunStatus) -> str:
    if status.state is RunState.FINISHED and status.finished_at is not None:
        took = figures.duration(status.finished_at - status.created_at)
        late = (
            f", {figures.duration(status.finished_at - status.deadline)} after its deadline"
            if status.deadline is not None and status.finished_at > status.deadline
            else ""
        )
        return f"{status.run_id} finished in {took}{late}: {counts(status)}"
    return f"{status.run_id} {status.state}: {counts(status)}"


def money_lines(status: RunStatus) -> list[str]:
    """What it cost, what that saved, what of it bought nothing, and what was asked again."""
    if not status.requests_sent:
        return ["nothing was sent, nothing was paid"]
    saved = (
        ""
        if status.mode is Mode.SYNC
        else f", saved {figures.money(status.savings_pusd)} against synchronous calls"
    )
    line = f"cost {figures.money(status.cost_pusd)}{saved}, wasted {figures.money(status.wasted_pusd)}"
    again = sum(status.asked_again.values())
    lines = [
        f"{line}; {figures.count(again)} asked again ({figures.reasons(status.asked_again)})"
        if again
        else line
    ]
    if status.copies:
        lines.append(
            f"{figures.plural(status.copies, 'record')} with the same request as another, not sent: saved "
            f"{figures.money(status.copies_saved_pusd)} so far"
            if status.open
            else f"{figures.plural(status.copies, 'record')} with the same request as another, not sent: "
            f"saved {figures.money(status.copies_saved_pusd)}"
        )
    return lines


def _tokens(status: RunStatus) -> list[str]:
    if not status.input_tokens:
        return []
    line = f"tokens {figures.tokens(status.input_tokens)} in, {figures.tokens(status.output_tokens)} out"
    return [f"{line}; {token_error(status.token_error)}" if status.token_error is not None else line]


def token_error(error: float) -> str:
    """How far our counts were from the bill; positive means that we had counted too few."""
    if abs(error) < 0.00005:
        return "counted as billed"
    return f"counted {abs(error) * 100:.2f} % too {'low' if error > 0 else 'high'} against the bill"


def _paused(status: RunStatus, terminal: Terminal) -> str:
    resume = terminal.command("resume", status.run_id)
    if status.pause_reason is PauseReason.BUDGET:
        return f"paused: {status.pause_message}"  # it has the command, which needs a larger budget
    if status.pause_reason is PauseReason.USER or status.pause_reason is None:
        return f"paused by {status.pause_reason or 'somebody'}; nothing is lost. Go on with: {resume}"
    said = f" ({status.pause_message})" if status.pause_message else ""
    remedy = _REMEDIES[status.pause_reason]
    return f"paused: {status.pause_reason}{said}. Nothing is lost.{remedy}, then: {resume}"
