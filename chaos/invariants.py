"""The promises, each as a function from the evidence of a night to what is wrong with it.

Every violation names what kind it is (the function's name) and the ids that it is about. Nothing here
starts a process or reads a file.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from chaos.evidence import Evidence, RemoteBatch, Row
from nightmail.core.ids import RunId, custom_id
from nightmail.core.pricing import Price, cost_pusd, format_usd, parse_usd
from nightmail.core.recovery import BATCH_KEY, RUN_KEY
from nightmail.core.request import Mode
from nightmail.core.usage import Usage

SHOWN = 4
# One call of ours became several batches on its way.
REPEATED = "create_lost"
CLOSED = ("settled", "finalised", "abandoned")


@dataclass(frozen=True, slots=True)
class Violation:
    """A promise that was not kept. `kind` says which, mostly by the name of its function."""

    kind: str
    what: str


def check(evidence: Evidence, price: Price) -> list[Violation]:
    """Everything that is wrong; nothing, if every promise was kept."""
    found: list[Violation] = []
    for invariant in (
        records_are_accounted_for, nothing_is_paid_twice, no_answer_is_thrown_away,
        what_is_the_same_is_sent_once, the_quota_holds,
        no_expiry_costs_an_attempt, nothing_is_left_over, the_doctor_finds_nothing,
        the_same_command_sends_nothing, nothing_leaks,
    ):  # fmt: skip
        found += [Violation(invariant.__name__, what) for what in invariant(evidence)]
    return [*found, *money_agrees(evidence, price)]


def records_are_accounted_for(evidence: Evidence) -> Iterator[str]:
    """Each key is in the output or among the failures, once; the counts of the summary are theirs."""
    number = evidence.keys
    for told in evidence.told:
        summary, outputs, failures = told.summary, told.outputs, told.failures
        run = summary["run_id"]
        delivered = Counter(str(_key_of(row)) for row in outputs)
        failed = Counter(int(row["record"]) for row in failures)
        if twice := [key for key, n in delivered.items() if n > 1]:
            yield f"{run}: {len(twice)} keys are in the output more than once: {_some(twice)}"
        if twice_failed := [record for record, n in failed.items() if n > 1]:
            yield f"{run}: {len(twice_failed)} records failed more than once: {_some(twice_failed)}"
        if unknown := [key for key in delivered if key not in number]:
            yield f"{run}: {len(unknown)} keys in the output that the input does not have: {_some(unknown)}"
        if both := [key for key in delivered if number.get(key) in failed]:
            yield f"{run}: {len(both)} keys are in the output and among the failures: {_some(both)}"
        there = len(delivered) + len(failed)
        wanted = len(evidence.keys) + len(evidence.bad_records)
        if summary["state"] != "cancelled" and there != wanted:
            lost = [key for key, at in number.items() if key not in delivered and at not in failed]
            yield f"{run}: {there} of {wanted} records came out; lost: {_some(lost)}"
        if summary["records"] != summary["succeeded"] + summary["failed"] + summary["cancelled"]:
            yield f"{run}: the counts do not add up: {_counts(summary)}"
        if (len(outputs), len(failures)) != (summary["succeeded"], summary["failed"]):
            yield f"{run}: {len(outputs)} outputs and {len(failures)} failures, but {_counts(summary)}"


def nothing_is_paid_twice(evidence: Evidence) -> Iterator[str]:
    """Of the batches that the provider has for one of ours, one was executed; and we know every one. Of those
    that one call of ours has made of itself on its way, all may be."""
    known = {row["provider_batch_id"] for row in evidence.ours.batches}
    ended = [event["detail"] for event in evidence.ours.events if event["name"] == "extra_batch"]
    by_batch: dict[str, list[RemoteBatch]] = defaultdict(list)
    for remote in evidence.theirs.batches:
        # One that has vanished could not be found by anybody.
        if RUN_KEY in remote.metadata and remote.requests and "batch_vanishes" not in remote.faults:
            by_batch[remote.metadata[BATCH_KEY]].append(remote)
    for batch, remotes in by_batch.items():
        strangers = [remote for remote in remotes if remote.id not in known]
        unseen = [remote for remote in strangers if not any(remote.id in detail for detail in ended)]
        calls = {remote.id for remote in remotes if REPEATED not in remote.faults}
        if len(calls) + (len(calls) < len(remotes)) > 1 or unseen:
            yield (
                f"{batch} was executed {len(remotes)} times, {len(unseen)} of them unknown here: "
                + "; ".join(_shown(remote) for remote in remotes)
                + _history(evidence, batch)
            )


def no_answer_is_thrown_away(evidence: Evidence) -> Iterator[str]:
    """Every answer that a client can read is here, and none was asked for again."""
    names, answered = _answered(evidence)
    lost = sum(_lost(remote) for remote in evidence.theirs.batches) + _answered_twice(evidence)
    over = {
        name: (billed, answered[name])
        for name, billed in evidence.theirs.billed.items()
        if billed > answered[name]
    }
    excess = sum(billed - had for billed, had in over.values())
    if excess > lost:
        yield (
            f"{excess} answers were billed and are not here, of which the provider lost {lost}: "
            + _some(f"{name} {billed} billed, {had} here" for name, (billed, had) in over.items())
            + "; by batch: "
            + _some(_short_batches(evidence))
        )
    never = [name for name in names if answered[name] > evidence.theirs.billed.get(name, 0)]
    if never and not evidence.theirs.calls:
        yield f"{len(never)} requests have more answers here than were billed: {_some(never)}"


def money_agrees(evidence: Evidence, price: Price) -> Iterator[Violation]:
    """What the runs say that they cost is the simulator's bill, to the last digit. Of another kind is the
    price of answers that the provider has billed and lost: its batch object tells their tokens."""
    ours = sum(parse_usd(str(told.summary["cost_usd"])) for told in evidence.told)
    calls = cost_pusd(Usage(*evidence.theirs.call_tokens), price, mode=Mode.SYNC)
    bill, unknowable = calls, 0
    rows = {row["provider_batch_id"]: row for row in evidence.ours.batches if row["provider_batch_id"]}
    differ: list[str] = []
    differ_by_lost: list[str] = []
    for remote in evidence.theirs.batches:
        cost = cost_pusd(Usage(remote.input_tokens, remote.output_tokens), price, mode=Mode.BATCH)
        lost = cost_pusd(Usage(remote.lost_input_tokens, remote.lost_output_tokens), price, mode=Mode.BATCH)
        row = rows.get(remote.id)
        booked = (row and row["cost_pusd"]) or 0
        bill += cost
        if cost == booked:
            continue
        if "batch_vanishes" in remote.faults:
            unknowable += cost - booked
            continue
        told = (
            f"{remote.metadata.get(BATCH_KEY)} {_shown(remote)}: "
            f"{remote.input_tokens}+{remote.output_tokens} tokens billed, "
            + (f"{row['input_tokens']}+{row['output_tokens']} booked" if row else "not booked")
        )
        (differ_by_lost if cost - booked == lost else differ).append(told)
    more = bill - unknowable - ours
    # A synchronous answer that was on its way when somebody died is paid, and seen by nobody.
    if more == 0 or (calls and evidence.disturbed and more > 0):
        return
    said = f"we say {format_usd(ours)} USD, the bill is {format_usd(bill)} USD: {format_usd(more)} more; "
    if differ or not differ_by_lost:
        yield Violation("money_agrees", said + f"{len(differ)} batches differ: {_some(differ)}")
    if differ_by_lost:
        yield Violation(
            "lost_answers_are_booked", said + f"{len(differ_by_lost)} batches differ: {_some(differ_by_lost)}"
        )


def the_quota_holds(evidence: Evidence) -> Iterator[str]:
    """At no moment was more enqueued than the quota; a batch that is larger by itself travels alone."""
    if evidence.quota is None or any(REPEATED in remote.faults for remote in evidence.theirs.batches):
        # What nobody has asked for takes room that nobody could reserve.
        return
    largest = max((row["tokens"] for row in evidence.ours.batches), default=0)
    for queue, peak in evidence.theirs.peaks.items():
        if peak > max(evidence.quota, largest):
            yield f"{queue}: {peak} tokens were enqueued at one time, the quota is {evidence.quota}"


def what_is_the_same_is_sent_once(evidence: Evidence) -> Iterator[str]:
    """Of records whose request is that of an earlier one none was ever in a batch."""
    copies = _copies(evidence)
    runs = {run["run_no"]: RunId(run["run_id"]) for run in evidence.ours.runs}
    sent = [
        name for run_no, seq in copies if (name := custom_id(runs[run_no], seq)) in evidence.theirs.billed
    ]
    if sent:
        yield f"{len(sent)} requests were sent although others' answers are theirs: {_some(sent)}"


def no_expiry_costs_an_attempt(evidence: Evidence) -> Iterator[str]:
    """Attempts are answers, and errors of the line itself; not what the provider never got to."""
    cost: Counter[tuple[int, int]] = Counter()
    for row in evidence.ours.attempts:
        if row["outcome"] == "succeeded" or (
            row["outcome"] == "errored" and row["reason"] in ("unavailable", "invalid")
        ):
            cost[row["run_no"], row["seq"]] += 1
    burnt = [
        f"run {row['run_no']} record {row['seq']}: {row['attempts']} attempts"
        for row in evidence.ours.requests
        if row["attempts"] > cost[row["run_no"], row["seq"]] + (row["state"] == "succeeded")
    ]
    if burnt:
        yield f"{len(burnt)} records have more attempts than answers: {_some(burnt)}"


def nothing_is_left_over(evidence: Evidence) -> Iterator[str]:
    """Nobody holds a run, no batch is open, and the counts that are kept are those of the rows."""
    for run in evidence.ours.runs:
        if run["lease_token"] is not None:
            yield f"{run['run_id']} is still leased to {run['lease_token']}"
        rows = Counter(row["state"] for row in evidence.ours.requests if row["run_no"] == run["run_no"])
        kept = {
            row["name"]: row["n"]
            for row in evidence.ours.tallies
            if row["run_no"] == run["run_no"] and row["kind"] == "state" and row["n"]
        }
        if dict(rows) != kept:
            yield f"{run['run_id']}: the rows say {dict(rows)}, the counts say {kept}"
    still_open = [
        f"{row['batch_id']} ({row['state']})" for row in evidence.ours.batches if row["state"] not in CLOSED
    ]
    if still_open:
        yield f"{len(still_open)} batches are not closed: {_some(still_open)}"


def the_doctor_finds_nothing(evidence: Evidence) -> Iterator[str]:
    """`nightmail doctor` agrees that all is well."""
    yield from evidence.findings


def the_same_command_sends_nothing(evidence: Evidence) -> Iterator[str]:
    """Repeating the command of a finished run makes no batch and no call."""
    if evidence.sent_again:
        yield f"the finished command, repeated, made {evidence.sent_again} batches and calls"


def nothing_leaks(evidence: Evidence) -> Iterator[str]:
    """No traceback in any log; no key and no prompt in logs or in the database."""
    for name, text in evidence.logs.items():
        for sign in ("Traceback (most recent call last)", "never retrieved", "Error in sys.excepthook"):
            if sign in text:
                yield f"{name} has {sign!r}: {_last_line(text)}"
                break
        for secret, what in evidence.secrets.items():
            if secret in text:
                yield f"{name} has {what}"
    for secret, what in evidence.secrets.items():
        if secret.encode() in evidence.database:
            yield f"the database has {what}"


def _answered(evidence: Evidence) -> tuple[list[str], Counter[str]]:
    runs = {run["run_no"]: RunId(run["run_id"]) for run in evidence.ours.runs}
    answered: Counter[str] = Counter()
    for row in evidence.ours.attempts:
        if row["outcome"] == "succeeded":
            answered[custom_id(runs[row["run_no"]], row["seq"])] += 1
    names = []
    copies = _copies(evidence)
    for row in evidence.ours.requests:
        name = custom_id(runs[row["run_no"]], row["seq"])
        names.append(name)
        answered[name] += row["state"] == "succeeded" and (row["run_no"], row["seq"]) not in copies
    return names, answered


def _copies(evidence: Evidence) -> set[tuple[int, int]]:
    """Records that have another's answer: what they have was billed for that one."""
    return {(row["run_no"], row["seq"]) for row in evidence.ours.copies}


def _lost(remote: RemoteBatch) -> int:
    """Answers of a batch that no client can read: all, if the batch itself is gone."""
    return remote.requests if "batch_vanishes" in remote.faults else remote.lost


def _answered_twice(evidence: Evidence) -> int:
    """Answers of batches beside another for the same call, at most: of two the better one counts."""
    twins: dict[str, list[int]] = defaultdict(list)
    for remote in evidence.theirs.batches:
        if REPEATED in remote.faults:
            twins[remote.metadata.get(BATCH_KEY, "")].append(remote.requests - _lost(remote))
    return sum(sum(each) - max(each) for each in twins.values())


def _short_batches(evidence: Evidence) -> Iterator[str]:
    """Batches of which fewer answers are here than could be read."""
    here: Counter[int] = Counter(
        row["batch_no"] for row in evidence.ours.attempts if row["outcome"] == "succeeded"
    )
    copies = _copies(evidence)
    here.update(
        row["batch_no"]
        for row in evidence.ours.requests
        if row["state"] == "succeeded" and (row["run_no"], row["seq"]) not in copies
    )
    rows = {row["provider_batch_id"]: row for row in evidence.ours.batches}
    for remote in evidence.theirs.batches:
        row = rows.get(remote.id)
        have = here[row["batch_no"]] if row else 0
        if remote.requests - _lost(remote) > have:
            yield f"{row['batch_id'] if row else 'none of ours'}: {have} answers here, {_shown(remote)}"


def _history(evidence: Evidence, batch_id: str) -> str:
    row = next((row for row in evidence.ours.batches if row["batch_id"] == batch_id), None)
    if row is None:
        return " [we have no such batch]"
    told = [event["name"] for event in evidence.ours.events if event["batch_no"] == row["batch_no"]]
    return f" [ours: {row['state']}, attempt {row['attempt']}, {row['provider_batch_id']}; {', '.join(told)}]"


def _shown(remote: RemoteBatch) -> str:
    faults = f" struck by {'+'.join(remote.faults)}" if remote.faults else ""
    lost = f", {remote.lost} lost" if remote.lost else ""
    return (
        f"{remote.id} ({remote.status}, {remote.requests} billed{lost}, file {remote.input_file_id}{faults})"
    )


def _key_of(row: Row) -> Any:
    return next(iter(row.values()))


def _some(items: Iterable[object]) -> str:
    shown = list(items)
    return ", ".join(map(str, shown[:SHOWN])) + (" ..." if len(shown) > SHOWN else "")


def _counts(summary: Any) -> str:
    return ", ".join(f"{summary[name]} {name}" for name in ("records", "succeeded", "failed", "cancelled"))


def _last_line(text: str) -> str:
    return next((line for line in reversed(text.split("\n")) if line.strip()), "")[:200]
