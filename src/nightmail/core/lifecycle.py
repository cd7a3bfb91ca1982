"""Every state of a run, a batch and a request, and every legal move between them.

Rule 1: everything that decides whether something may change state is in this file.
Rule 2: nothing here knows the time, the network, the database or a provider.

The pictures in docs/explanation/lifecycles.md are drawn from these tables.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import TypeVar

from nightmail.core.batch import BatchState as B
from nightmail.core.request import RequestState as Q
from nightmail.core.run import RunState as R
from nightmail.errors import IllegalMove


class RunEvent(Enum):
    """What can happen to a run; the value says it in words."""

    SEALED = "the source has given its last record"
    PAUSED = "somebody must act before more is sent"
    RESUMED = "somebody did"
    COMPLETED = "every request has its final state and the output is delivered"
    GIVEN_UP = "the user cancelled it and nothing is left at the provider"
    REOPENED = "failed records are to be asked again"


class BatchEvent(Enum):
    """What can happen to a batch."""

    SUBMIT_STARTED = "the intent to create it is on disk"
    CALLS_STARTED = "its requests travel one by one: there is nothing to create"
    SUBMITTED = "the provider has it, under an id that we know"
    DEFERRED = "the provider said for certain that it did not take it now"
    DOUBTED = "the answer of the create call is lost"
    NOT_ACCEPTED = "the provider does not have it and can no longer get it"
    REFUSED = "the provider will never take it as it is"
    RECALLED = "its requests go another way, before anything of it was sent"
    ENDED = "the provider is finished with it"
    SETTLED = "each of its requests has one outcome, durably"
    FINALISED = "its files at the provider are dealt with"


class RequestEvent(Enum):
    """What can happen to a request."""

    BATCHED = "it was put into a batch"
    RETURNED = "its batch came back without an outcome for it, or it may be asked again at once"
    POSTPONED = "it will be asked again, at a time"
    SUCCEEDED = "its answer passed"
    FAILED = "it will not be asked again"
    GIVEN_UP = "the user cancelled the run"
    RETRIED = "the user wants a failed one asked again"
    FOLLOWED = "it is the same as an earlier record's, and shares that one's answer"
    RELEASED = "it cannot use the answer to the other, and is sent by itself"


RUN_MOVES: Mapping[R, Mapping[RunEvent, R]] = {
    R.OPEN: {
        RunEvent.SEALED: R.DRAINING,
        RunEvent.PAUSED: R.PAUSED,
        RunEvent.GIVEN_UP: R.CANCELLED,
    },
    R.DRAINING: {
        RunEvent.COMPLETED: R.FINISHED,
        RunEvent.PAUSED: R.PAUSED,
        RunEvent.GIVEN_UP: R.CANCELLED,
    },
    # A resumed run is open until the worker finds that its source has nothing more to give.
    R.PAUSED: {RunEvent.RESUMED: R.OPEN, RunEvent.GIVEN_UP: R.CANCELLED},
    R.FINISHED: {RunEvent.REOPENED: R.OPEN},
    R.CANCELLED: {},
}

BATCH_MOVES: Mapping[B, Mapping[BatchEvent, B]] = {
    B.PLANNED: {
        BatchEvent.SUBMIT_STARTED: B.SUBMITTING,
        BatchEvent.CALLS_STARTED: B.IN_PROGRESS,
        # A create call that was given up as lost has been carried out after all.
        BatchEvent.SUBMITTED: B.IN_PROGRESS,
        BatchEvent.REFUSED: B.ABANDONED,
        BatchEvent.RECALLED: B.ABANDONED,
    },
    B.SUBMITTING: {
        BatchEvent.SUBMITTED: B.IN_PROGRESS,
        BatchEvent.DEFERRED: B.PLANNED,
        BatchEvent.DOUBTED: B.DOUBTFUL,
        BatchEvent.REFUSED: B.ABANDONED,
    },
    B.DOUBTFUL: {BatchEvent.SUBMITTED: B.IN_PROGRESS, BatchEvent.NOT_ACCEPTED: B.PLANNED},
    B.IN_PROGRESS: {BatchEvent.ENDED: B.ENDED},
    B.ENDED: {BatchEvent.SETTLED: B.SETTLED},
    B.SETTLED: {BatchEvent.FINALISED: B.FINALISED},
    B.FINALISED: {},
    B.ABANDONED: {},
}

REQUEST_MOVES: Mapping[Q, Mapping[RequestEvent, Q]] = {
    Q.READY: {
        RequestEvent.BATCHED: Q.IN_BATCH,
        RequestEvent.FOLLOWED: Q.FOLLOWING,
        RequestEvent.FAILED: Q.FAILED,
        RequestEvent.GIVEN_UP: Q.CANCELLED,
    },
    Q.IN_BATCH: {
        RequestEvent.RETURNED: Q.READY,
        RequestEvent.POSTPONED: Q.WAITING,
        RequestEvent.SUCCEEDED: Q.SUCCEEDED,
        RequestEvent.FAILED: Q.FAILED,
        RequestEvent.GIVEN_UP: Q.CANCELLED,
    },
    Q.WAITING: {
        RequestEvent.BATCHED: Q.IN_BATCH,
        RequestEvent.FAILED: Q.FAILED,
        RequestEvent.GIVEN_UP: Q.CANCELLED,
    },
    Q.FOLLOWING: {
        RequestEvent.RELEASED: Q.READY,
        RequestEvent.SUCCEEDED: Q.SUCCEEDED,
        RequestEvent.FAILED: Q.FAILED,
        RequestEvent.GIVEN_UP: Q.CANCELLED,
    },
    # A success is judged again only when the user changed the task and asked for it.
    Q.SUCCEEDED: {},
    Q.FAILED: {RequestEvent.RETRIED: Q.READY, RequestEvent.SUCCEEDED: Q.SUCCEEDED},
    Q.CANCELLED: {},
}

S = TypeVar("S", R, B, Q)
E = TypeVar("E", RunEvent, BatchEvent, RequestEvent)


def _move(moves: Mapping[S, Mapping[E, S]], noun: str, state: S, event: E) -> S:
    try:
        return moves[state][event]
    except KeyError:
        raise IllegalMove(f"{event.name.lower()} cannot happen to a {noun} that is {state}") from None


def move_run(state: R, event: RunEvent) -> R:
    """Return the state `event` leads to, or raise `IllegalMove`."""
    return _move(RUN_MOVES, "run", state, event)


def move_batch(state: B, event: BatchEvent) -> B:
    """Return the state `event` leads to, or raise `IllegalMove`."""
    return _move(BATCH_MOVES, "batch", state, event)


def move_request(state: Q, event: RequestEvent) -> Q:
    """Return the state `event` leads to, or raise `IllegalMove`."""
    return _move(REQUEST_MOVES, "request", state, event)
