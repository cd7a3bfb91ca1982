"""What goes over the wire comes back as it was."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from pydantic import BaseModel

from nightmail import errors
from nightmail.cli.exits import exit_of
from nightmail.core.failure import Reason
from nightmail.core.ids import BatchId, RunId
from nightmail.core.progress import RunStatus
from nightmail.core.request import Mode, RequestState
from nightmail.core.run import PauseReason, RunState
from nightmail.core.schedule import Occurrence, ScheduleSpec, ScheduleStatus
from nightmail.remote import wire
from nightmail.remote.problems import error_of, put_off, read
from nightmail.stages.estimate import Costs, ModelPlan, Plan
from nightmail.stores.base import Event
from nightmail.web.api import asking, plans, results, schedules
from nightmail.web.api.views import event_shown, run_shown
from nightmail.web.problems import answer, problem_of
from nightmail.worker.options import RunOptions
from nightmail.worker.pages import RecordResult
from tests.cli.made import finished, status

NOW = datetime(2026, 11, 21, 2, 0, tzinfo=UTC)


def sent(shown: BaseModel) -> dict[str, Any]:
    row: dict[str, Any] = msgspec.json.decode(shown.model_dump_json())
    return row


@pytest.mark.parametrize(
    "run",
    [
        status(output=None, failures=None, deadline=NOW, hurried=True, tenant="ours", priority=-3),
        status(output=None, failures=None, state=RunState.PAUSED, pause_reason=PauseReason.BUDGET, eta=None),
        status(output=None, failures=None, cost_pusd=None, sync_cost_pusd=None, wasted_pusd=None),
        finished(output=None, failures=None, token_error=None, unchanged=7, copies=3, copies_saved_pusd=None),
        finished(output=None, failures=None, cost_pusd=3, sync_cost_pusd=1, wasted_pusd=0),
    ],
)
def test_a_run_is_the_same_there_and_here(run: RunStatus) -> None:
    assert wire.status_of(sent(run_shown(run))) == run


def test_a_run_has_its_output_here() -> None:
    mine = wire.status_of(sent(run_shown(finished())), Path("/work/topics.parquet"))
    assert mine == finished()


def test_every_option_of_a_run_can_be_asked_for() -> None:
    """But whose it is: the key says that."""
    assert set(RunOptions.__annotations__) - set(asking.NewRun.model_fields) == {"tenant"}
    assert set(RunOptions.__annotations__) - set(asking.NewSchedule.model_fields) == {"tenant"}


def test_a_plan_is_the_same_there_and_here() -> None:
    part = ModelPlan(
        model="m", requests=3, tokens=30, batches=1, waves=1, quota=None, exact=True, mode=Mode.BATCH
    )
    plan = Plan(
        task_name="Colours",
        mode=Mode.AUTO,
        records=4,
        copies=1,
        requests=3,
        tokens=30,
        tokens_min=9,
        tokens_mean=10.0,
        tokens_max=11,
        batches=1,
        waves=1,
        models=(part,),
        cost=Costs(low=1, expected=2 * 10**12, high=None),
        sync_cost=Costs(low=None, expected=None, high=None),
        prices_of="2026-11-21",
        unbuilt={Reason.OVERSIZE: 1},
        warnings=("take care",),
    )
    assert wire.plan_of(sent(plans.plan_shown(plan))) == plan


def test_a_schedule_an_event_and_a_result_are_the_same_there_and_here() -> None:
    occurrence = Occurrence(
        schedule_no=1, due_at=NOW, output="/o", run_id=None, message="no", abandoned=True, is_open=False
    )
    spec = ScheduleSpec(task="t", source="/s", output="/o", cron="0 2 * * *", options={"budget": "5"})
    made = ScheduleStatus(
        name="nightly",
        spec=spec,
        paused=False,
        created_at=NOW,
        next_due_at=NOW + timedelta(days=1),
        occurrences=(occurrence,),
    )
    assert wire.schedule_of(sent(schedules.schedule_shown(made))) == made

    event = Event(NOW, RunId("r-1"), BatchId("r-1.b1"), "batch_ended", {"phase": "completed", "n": 2})
    assert wire.event_of(sent(event_shown(event))) == event

    result = RecordResult(record=3, key="k", state=RequestState.FAILED, attempts=2, reason=Reason.CHECK)
    assert wire.result_of(sent(results.result_shown(result))) == result


def test_what_another_version_says_is_no_riddle() -> None:
    for row in ({}, {"run_id": "r"}, sent(run_shown(status())) | {"state": "flying"}):
        with pytest.raises(errors.ServiceUnreachable, match="another version"):
            wire.status_of(row)


@pytest.mark.parametrize(
    "error",
    [
        errors.ConfigError("wrong"),
        errors.UnknownRun("no such run"),
        errors.UnknownRecord("no such record"),
        errors.NotNow("not in this state"),
        errors.RunChanged("the task has changed"),
        errors.TaskError("the task is wrong"),
        errors.SourceError("rows.jsonl:3: not JSON"),
        errors.SinkError("no place"),
        errors.DiskFull("full"),
        errors.ProviderUnavailable("away"),
        errors.StoreError("locked"),
        errors.InternalError("ours"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_ends_a_command_there_as_it_does_here(error: errors.NightmailError) -> None:
    refused = answer(problem_of(error))
    again = error_of(refused.status_code, read(bytes(refused.body)), "http://there")
    assert exit_of(again) == exit_of(error)


def test_a_refusal_that_is_none_of_ours_is_no_service() -> None:
    for body in (b"<html>Bad gateway</html>", b"{}", b"[1]", b'{"type": "about:blank"}', b"\xff"):
        assert isinstance(error_of(404, read(body), "http://there"), errors.ServiceUnreachable)
    assert "http://there answers 599" in str(error_of(599, read(b""), "http://there"))


def test_only_what_somebody_has_to_mend_ends_a_watch() -> None:
    mend = put_off({"error": "SourceError", "message": "rows.jsonl:3: not JSON"})
    assert isinstance(mend, errors.SourceError)
    for passing in ("ProviderUnavailable", "DiskFull", "StoreError", None):
        assert put_off({"error": passing, "message": "later"}) is None
