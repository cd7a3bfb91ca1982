"""A record made ready for a model."""

from __future__ import annotations

from enum import StrEnum


class RequestState(StrEnum):
    """Where a request is. Stored as text; the names are part of the database format."""

    READY = "ready"  # may be put into a batch now
    IN_BATCH = "in_batch"  # belongs to exactly one batch that is not settled yet
    WAITING = "waiting"  # will be ready again at its `due_at`
    FOLLOWING = "following"  # the same as an earlier record's: not sent, it shares that one's answer
    SUCCEEDED = "succeeded"  # its output was parsed and passed every check
    FAILED = "failed"  # no further attempt will be made; `reason` says why
    CANCELLED = "cancelled"  # the user gave it up


# Each of these has been sent for itself, or will be.
ASKED_STATES = (RequestState.READY, RequestState.IN_BATCH, RequestState.WAITING)
OPEN_STATES = (*ASKED_STATES, RequestState.FOLLOWING)


class Endpoint(StrEnum):
    """What is asked of the model. The value is the path at an OpenAI-shaped provider."""

    CHAT = "/v1/chat/completions"
    RESPONSES = "/v1/responses"
    EMBEDDINGS = "/v1/embeddings"
    COMPLETIONS = "/v1/completions"
    MODERATIONS = "/v1/moderations"


class Mode(StrEnum):
    """How requests travel."""

    BATCH = "batch"  # by the batch API, at half price, within a day
    SYNC = "sync"  # one call each, at once, full price
    FLEX = "flex"  # one call each, slower, half price, where the provider has it
    AUTO = "auto"  # nightmail chooses
