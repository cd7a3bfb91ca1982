"""The three tables: every pair of state and event, and what no walk through them can undo."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from nightmail.core.batch import CLOSED_STATES, IN_FLIGHT_STATES, BatchState
from nightmail.core.lifecycle import (
    BATCH_MOVES,
    REQUEST_MOVES,
    RUN_MOVES,
    BatchEvent,
    RequestEvent,
    RunEvent,
    move_batch,
    move_request,
    move_run,
)
from nightmail.core.request import OPEN_STATES, RequestState
from nightmail.core.run import RunState
from nightmail.errors import IllegalMove

Table = Mapping[Any, Mapping[Any, Any]]
Move = Callable[[Any, Any], Any]

NOUNS: list[tuple[str, type[Enum], type[Enum], Table, Move]] = [
    ("run", RunState, RunEvent, RUN_MOVES, move_run),
    ("batch", BatchState, BatchEvent, BATCH_MOVES, move_batch),
    ("request", RequestState, RequestEvent, REQUEST_MOVES, move_request),
]
PAIRS = [
    pytest.param(noun, state, event, table, move, id=f"{noun}-{state.value}-{event.name.lower()}")
    for noun, states, events, table, move in NOUNS
    for state in states
    for event in events
]


@pytest.mark.parametrize(("noun", "state", "event", "table", "move"), PAIRS)
def test_every_pair_moves_by_the_table_or_is_refused_by_name(
    noun: str, state: Enum, event: Enum, table: Table, move: Move
) -> None:
    if event in table[state]:
        assert move(state, event) is table[state][event]
        return
    with pytest.raises(IllegalMove) as refused:
        move(state, event)
    told = str(refused.value)
    assert event.name.lower() in told
    assert f"{noun} that is {state.value}" in told


@pytest.mark.parametrize(("noun", "states", "events", "table", "move"), NOUNS)
def test_the_table_has_a_row_for_every_state_and_a_use_for_every_event(
    noun: str, states: type[Enum], events: type[Enum], table: Table, move: Move
) -> None:
    assert set(table) == set(states)
    assert {event for row in table.values() for event in row} == set(events)


@pytest.mark.parametrize(("noun", "states", "events", "table", "move"), NOUNS)
def test_every_state_can_be_reached_from_the_first(
    noun: str, states: type[Enum], events: type[Enum], table: Table, move: Move
) -> None:
    first = next(iter(states))
    seen, waiting = {first}, [first]
    while waiting:
        for after in table[waiting.pop()].values():
            if after not in seen:
                seen.add(after)
                waiting.append(after)
    assert seen == set(states)


@pytest.mark.parametrize(("noun", "states", "events", "table", "move"), NOUNS)
def test_an_end_can_be_reached_from_every_state(
    noun: str, states: type[Enum], events: type[Enum], table: Table, move: Move
) -> None:
    ended = {state for state, row in table.items() if not row}
    while more := {state for state, row in table.items() if state not in ended and ended & set(row.values())}:
        ended |= more
    assert ended == set(states)


def test_what_is_closed_has_no_way_out() -> None:
    closed = {state for state, row in BATCH_MOVES.items() if not row}
    assert closed == set(CLOSED_STATES)
    assert RUN_MOVES[RunState.CANCELLED] == {}
    assert REQUEST_MOVES[RequestState.SUCCEEDED] == {}
    assert REQUEST_MOVES[RequestState.CANCELLED] == {}


def test_what_may_be_at_the_provider_never_goes_straight_back_to_unsent() -> None:
    # in_progress: the provider has it. Only its own end leads on, or it would be paid for twice.
    assert set(BATCH_MOVES[BatchState.IN_PROGRESS].values()) == {BatchState.ENDED}
    # doubtful: only an answer of the provider (or its certain absence) leads on.
    assert set(BATCH_MOVES[BatchState.DOUBTFUL]) == {BatchEvent.SUBMITTED, BatchEvent.NOT_ACCEPTED}
    assert BatchState.PLANNED not in IN_FLIGHT_STATES


def test_only_open_requests_enter_a_batch() -> None:
    enter = {state for state, row in REQUEST_MOVES.items() if RequestEvent.BATCHED in row}
    assert enter == set(OPEN_STATES) - {RequestState.IN_BATCH, RequestState.FOLLOWING}


class Walk(RuleBasedStateMachine):
    """A batch and one request of it, told any event at any time."""

    def __init__(self) -> None:
        super().__init__()
        self.batch = BatchState.PLANNED
        self.request = RequestState.READY
        self.submissions = 0
        self.final: RequestState | None = None
        self.closed: BatchState | None = None

    @rule(event=st.sampled_from(BatchEvent))
    def tell_the_batch(self, event: BatchEvent) -> None:
        before = self.batch
        try:
            self.batch = move_batch(before, event)
        except IllegalMove:
            assert self.batch is before
            return
        if event is BatchEvent.SUBMITTED:
            self.submissions += 1
        if self.batch in CLOSED_STATES:
            self.closed = self.batch

    @rule(event=st.sampled_from([each for each in RequestEvent if each is not RequestEvent.RETRIED]))
    def tell_the_request(self, event: RequestEvent) -> None:
        before = self.request
        try:
            self.request = move_request(before, event)
        except IllegalMove:
            return
        # A failed record whose stored answer turns out to be good is the only way out of a final state.
        allowed = before is RequestState.FAILED and event is RequestEvent.SUCCEEDED
        if self.request not in OPEN_STATES and (self.final is None or allowed):
            self.final = self.request

    @invariant()
    def what_is_final_stays(self) -> None:
        assert self.final is None or self.request is self.final
        assert self.closed is None or self.batch is self.closed

    @invariant()
    def a_batch_is_submitted_at_most_once(self) -> None:
        assert self.submissions <= 1


def test_no_walk_leaves_a_final_state_or_submits_twice() -> None:
    run_state_machine_as_test(Walk, settings=settings(stateful_step_count=40))


@given(st.lists(st.sampled_from(RunEvent), max_size=30))
def test_a_cancelled_run_stays_cancelled(events: list[RunEvent]) -> None:
    state, cancelled = RunState.OPEN, False
    for event in events:
        try:
            state = move_run(state, event)
        except IllegalMove:
            continue
        cancelled = cancelled or state is RunState.CANCELLED
        assert not cancelled or state is RunState.CANCELLED
