"""Batch, file and list objects: what holds for any JSON. The known shapes are in tests/recorded."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightmail.core.batch import Phase
from nightmail.core.request import Endpoint
from nightmail.providers.openai.wire import (
    create_body,
    phase_of,
    read_batch,
    read_deleted,
    read_file,
    read_page,
    time_of,
)

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
FIELDS = st.sampled_from(
    [
        "id",
        "status",
        "errors",
        "error",
        "request_counts",
        "metadata",
        "created_at",
        "output_file_id",
        "job",
        "bytes",
    ]
)


@given(st.dictionaries(FIELDS, JSON | st.dictionaries(st.sampled_from(["data", "total", "line"]), JSON)))
def test_only_an_id_is_needed_whatever_else_there_is(value: dict[str, Any]) -> None:
    raw = json.dumps({**value, "id": "batch_1"}).encode()
    batch = read_batch(raw)
    assert batch.id == "batch_1"
    assert batch.output_file_id != ""
    assert msgspec.json.decode(batch.raw) == msgspec.json.decode(raw)
    assert read_file(raw).id == "batch_1"


@given(JSON)
def test_what_is_no_batch_file_or_list_is_a_value_error(value: Any) -> None:
    raw = json.dumps(value).encode()
    if not isinstance(value, dict) or not {"id", "job"} & value.keys():
        for read in (read_batch, read_file):
            with pytest.raises(ValueError, match="not a"):
                read(raw)
    if isinstance(value, list):
        assert len(read_page(raw).items) == len(value)
    elif not isinstance(value, dict) or "data" not in value:
        with pytest.raises(ValueError, match="not a list"):
            read_page(raw)


@given(st.text() | st.integers() | st.floats() | st.booleans() | st.none())
def test_any_time_is_read_or_unknown(value: Any) -> None:
    time = time_of(value)
    assert time is None or time.tzinfo is not None


@given(st.datetimes(datetime(1971, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)))
def test_a_time_is_the_same_in_seconds_milliseconds_and_text(time: datetime) -> None:
    time = time.replace(microsecond=0)
    seconds = int(time.timestamp())
    for value in (
        seconds,
        float(seconds),
        str(seconds),
        time.isoformat(),
        time.isoformat().replace("+00:00", "Z"),
    ):
        assert time_of(value) == time
    if seconds >= 100_000_000:
        assert time_of(seconds * 1000) == time


@pytest.mark.parametrize("phase", Phase)
def test_every_documented_status_has_its_phase(phase: Phase) -> None:
    assert phase_of(phase.value) is phase
    assert phase_of(phase.value.upper()) is phase


def test_a_status_nobody_knows_is_work_in_progress() -> None:
    assert phase_of("pondering") is Phase.IN_PROGRESS
    assert phase_of("") is Phase.IN_PROGRESS


def test_metadata_are_left_out_if_there_are_none() -> None:
    body = create_body("file-1", Endpoint.RESPONSES, {})
    assert body == {"input_file_id": "file-1", "endpoint": "/v1/responses", "completion_window": "24h"}


@pytest.mark.parametrize(
    ("raw", "deleted"),
    [(b'{"id":"f","deleted":true}', True), (b"", True), (b"{}", True), (b'{"deleted":false}', False)],
)
def test_a_delete_that_was_answered_well_is_done_unless_it_says_otherwise(raw: bytes, deleted: bool) -> None:
    assert read_deleted(raw) is deleted
