"""Each broken promise is noticed, and told by its name."""

import copy

import pytest
from chaos.evidence import Evidence, Ours, RemoteBatch, Theirs, Told
from chaos.invariants import check

from nightmail.core.pricing import Price, Rates

PRICE = Price(standard=Rates(input=2, output=4), batch=Rates(input=1, output=2))
RUN, BATCH = "labels-1a2b", "labels-1a2b.b1"


def well() -> Evidence:
    """A night in which three records went well, one of them at the second attempt."""
    first = {"nightmail_run": RUN, "nightmail_batch": BATCH, "nightmail_attempt": "1"}
    second = first | {"nightmail_batch": "labels-1a2b.b2"}
    common = {"run_no": 1, "state": "finalised", "attempt": 1, "tokens": 50}
    return Evidence(
        ours=Ours(
            runs=[{"run_no": 1, "run_id": RUN, "lease_token": None}],
            batches=[
                {**common, "batch_no": 1, "batch_id": BATCH, "provider_batch_id": "batch_x",
                 "input_tokens": 30, "output_tokens": 15, "cost_pusd": 60},
                {**common, "batch_no": 2, "batch_id": "labels-1a2b.b2", "provider_batch_id": "batch_y",
                 "input_tokens": 10, "output_tokens": 5, "cost_pusd": 20},
            ],
            requests=[
                {"run_no": 1, "seq": seq, "state": "succeeded", "attempts": attempts, "batch_no": batch}
                for seq, attempts, batch in ((1, 1, 1), (2, 2, 2), (3, 1, 1))
            ],
            attempts=[{"run_no": 1, "seq": 2, "batch_no": 1, "outcome": "succeeded", "reason": "schema"}],
            tallies=[{"run_no": 1, "kind": "state", "name": "succeeded", "n": 3}],
        ),
        theirs=Theirs(
            batches=[
                RemoteBatch(id="batch_x", metadata=first, requests=3, input_tokens=30, output_tokens=15),
                RemoteBatch(id="batch_y", metadata=second, requests=1, input_tokens=10, output_tokens=5),
            ],
            billed={f"{RUN}_1": 1, f"{RUN}_2": 2, f"{RUN}_3": 1},
            peaks={"gpt-4o-mini": 80},
        ),
        told=[
            Told(
                summary={"run_id": RUN, "state": "finished", "records": 3, "succeeded": 3, "failed": 0,
                         "cancelled": 0, "cost_usd": "0.00000000008"},
                outputs=[{"id": 1}, {"id": 2}, {"id": 3}],
                failures=[],
            )
        ],
        findings=[],
        keys={"1": 1, "2": 2, "3": 3},
        bad_records=frozenset(),
        quota=100,
        disturbed=True,
        sent_again=0,
        secrets={"sk-secret": "the key", "quagga": "text of a prompt"},
        logs={"000-run.err": "all well"},
        database=b"rows",
    )  # fmt: skip


def kinds(evidence):
    return {violation.kind for violation in check(evidence, PRICE)}


def test_a_night_in_which_all_went_well_has_no_violation():
    assert check(well(), PRICE) == []


def lose_a_record(night):
    night.told[0].outputs.pop()


def deliver_one_twice(night):
    night.told[0].outputs.append({"id": 2})


def deliver_and_fail(night):
    night.told[0].failures.append({"id": 2, "record": 2})


def miscount(night):
    night.told[0].summary["failed"] = 1


def pay_twice(night):
    other = copy.deepcopy(night.theirs.batches[0])
    other.id = "batch_z"
    night.theirs.batches.append(other)


def forget_the_batch(night):
    night.ours.batches[0]["provider_batch_id"] = None


def ask_again_what_was_answered(night):
    night.theirs.billed[f"{RUN}_3"] = 2


def book_too_little(night):
    night.told[0].summary["cost_usd"] = "0.00000000006"
    night.ours.batches[1]["cost_pusd"] = 0


def leave_out_what_was_lost(night):
    batch = night.theirs.batches[0]
    batch.requests, batch.lost = 4, 1
    batch.input_tokens, batch.output_tokens = 40, 20
    batch.lost_input_tokens, batch.lost_output_tokens = 10, 5
    night.theirs.billed[f"{RUN}_3"] = 2


def send_a_copy(night):
    night.ours.copies.append({"run_no": 1, "seq": 3, "of_seq": 1})


def exceed_the_quota(night):
    night.theirs.peaks["gpt-4o-mini"] = 101


def burn_an_attempt(night):
    night.ours.attempts.append(
        {"run_no": 1, "seq": 3, "batch_no": 1, "outcome": "expired", "reason": "expired"}
    )
    night.ours.requests[2]["attempts"] = 2


def keep_the_lease(night):
    night.ours.runs[0]["lease_token"] = "host/1/x"


def leave_a_batch_open(night):
    night.ours.batches[1]["state"] = "in_progress"


def miscount_the_rows(night):
    night.ours.tallies[0]["n"] = 2


def let_the_doctor_find(night):
    night.findings.append("the provider has a batch that nobody claims")


def send_again(night):
    night.sent_again = 1


def show_a_traceback(night):
    night.logs["001-run.err"] = "Traceback (most recent call last):\n  ...\nValueError: no"


def log_the_key(night):
    night.logs["001-run.err"] = "cannot call with sk-secret"


def store_a_prompt(night):
    night.database = b"... quagga ..."


@pytest.mark.parametrize(
    ("breaks", "kind"),
    [
        (lose_a_record, "records_are_accounted_for"),
        (deliver_one_twice, "records_are_accounted_for"),
        (deliver_and_fail, "records_are_accounted_for"),
        (miscount, "records_are_accounted_for"),
        (pay_twice, "nothing_is_paid_twice"),
        (forget_the_batch, "nothing_is_paid_twice"),
        (ask_again_what_was_answered, "no_answer_is_thrown_away"),
        (book_too_little, "money_agrees"),
        (leave_out_what_was_lost, "lost_answers_are_booked"),
        (send_a_copy, "what_is_the_same_is_sent_once"),
        (exceed_the_quota, "the_quota_holds"),
        (burn_an_attempt, "no_expiry_costs_an_attempt"),
        (keep_the_lease, "nothing_is_left_over"),
        (leave_a_batch_open, "nothing_is_left_over"),
        (miscount_the_rows, "nothing_is_left_over"),
        (let_the_doctor_find, "the_doctor_finds_nothing"),
        (send_again, "the_same_command_sends_nothing"),
        (show_a_traceback, "nothing_leaks"),
        (log_the_key, "nothing_leaks"),
        (store_a_prompt, "nothing_leaks"),
    ],
)
def test_a_broken_promise_is_noticed(breaks, kind):
    night = well()
    breaks(night)
    assert kind in kinds(night)


def test_an_answer_that_the_provider_lost_may_be_asked_for_again():
    night = well()
    leave_out_what_was_lost(night)
    assert "no_answer_is_thrown_away" not in kinds(night)


def test_a_copy_has_an_answer_that_was_billed_for_another():
    night = well()
    send_a_copy(night)
    del night.theirs.billed[f"{RUN}_3"]
    batch = night.theirs.batches[0]
    batch.requests, batch.input_tokens, batch.output_tokens = 2, 20, 10
    night.ours.batches[0] |= {"input_tokens": 20, "output_tokens": 10, "cost_pusd": 40}
    night.told[0].summary["cost_usd"] = "0.00000000006"
    assert kinds(night) == set()


def test_nobody_can_know_of_a_batch_that_has_vanished():
    night = well()
    pay_twice(night)
    gone = night.theirs.batches[-1]
    gone.faults = ("batch_vanishes",)
    for seq in (1, 2, 3):
        night.theirs.billed[f"{RUN}_{seq}"] += 1
    assert kinds(night) == set()


def test_a_synchronous_answer_may_be_lost_only_where_somebody_died():
    night = well()
    night.theirs.calls, night.theirs.call_tokens = 1, (10, 5)
    assert kinds(night) == set()
    night.disturbed = False
    assert kinds(night) == {"money_agrees"}


def twins() -> Evidence:
    """The same night; but the first create call was repeated on its way, and the second batch was booked."""
    evidence = well()
    first, second = evidence.theirs.batches
    first.faults = ("create_lost",)
    twin = RemoteBatch(
        id="batch_z", metadata=first.metadata, faults=first.faults, requests=3, input_tokens=30,
        output_tokens=15,
    )  # fmt: skip
    evidence.theirs.batches = [first, twin, second]
    evidence.theirs.billed = {f"{RUN}_1": 2, f"{RUN}_2": 3, f"{RUN}_3": 2}
    row = {**evidence.ours.batches[0], "batch_no": 3, "provider_batch_id": "batch_z"}
    evidence.ours.batches.append(row)
    evidence.told[0].summary["cost_usd"] = "0.00000000014"
    return evidence


def test_a_second_batch_of_a_repeated_call_is_no_violation_if_it_is_found_and_booked():
    assert check(twins(), PRICE) == []


def test_a_second_batch_that_nobody_found_is_one():
    evidence = twins()
    evidence.ours.batches.pop()
    evidence.told[0].summary["cost_usd"] = "0.00000000008"

    assert kinds(evidence) == {"nothing_is_paid_twice", "money_agrees"}


def test_a_second_batch_of_another_call_is_one():
    evidence = twins()
    for remote in evidence.theirs.batches:
        remote.faults = ()

    assert "nothing_is_paid_twice" in kinds(evidence)


def test_answers_beyond_those_of_the_second_batch_are_missed():
    evidence = twins()
    evidence.theirs.billed = {f"{RUN}_1": 3, f"{RUN}_2": 4, f"{RUN}_3": 2}

    assert kinds(evidence) == {"no_answer_is_thrown_away"}
