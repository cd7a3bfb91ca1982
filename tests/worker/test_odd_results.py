"""Result files and batches as they should not be: every record comes back once all the same."""

import json
import os
from datetime import datetime, timedelta

import msgspec
import pytest

from nightmail.core.batch import Phase
from nightmail.core.run import PauseReason, RunState, Wish
from nightmail.errors import NotFound, SourceError
from nightmail.providers.base import BatchError
from nightmail.sources.jsonl import JsonlSource
from nightmail.stages import enqueue
from nightmail.testing.desk import Desk
from nightmail.testing.faults import Crash, TroublePlan
from nightmail.testing.provider import ScriptedProvider, completion, row
from nightmail.worker import loop


@pytest.fixture(autouse=True)
def patient(monkeypatch):
    """Nobody else's wishes are looked for, so waiting costs no rounds."""
    monkeypatch.setattr(loop, "LOOK_AROUND", 30.0)


class Odd(ScriptedProvider):
    """The first batch's output file is spoilt."""

    spoil = None

    def _end(self, batch):
        super()._end(batch)
        file_id = batch.remote.output_file_id
        if len(self.batches) == 1 and file_id is not None:
            self.uploads[file_id] = b"".join(self.spoil(self.uploads[file_id].splitlines(keepends=True)))


def line(custom_id, **said):
    return json.dumps(row(custom_id, **said)).encode() + b"\n"


async def told_of(desk, name="results_odd"):
    """What the first event of that name says."""
    store = await desk.store()
    events = await store.events.list((await store.runs.list())[0].run_no, limit=50)
    await store.close()
    told = [event.detail for event in events if event.name == name]
    return told[0] if told else {}


async def all_once(desk, *, executed=6):
    status = await desk.status()
    assert (status.state, status.succeeded, status.records) == (RunState.FINISHED, 6, 6)
    assert [each["id"] for each in desk.outputs()] == [f"r{n}" for n in range(6)]
    assert {each["_attempts"] for each in desk.outputs()} == {1}
    assert desk.provider.executed.total() == executed


async def test_a_line_that_was_never_asked_for_is_told_and_changes_nothing(tmp_path):
    desk = Desk(tmp_path, Odd())
    desk.provider.spoil = lambda lines: [*lines, line("somebody-elses", body=completion("x"))]
    await desk.drive()

    await all_once(desk)
    told = await told_of(desk)
    assert (told["unknown_results"], told["unknown_result_count"]) == (["somebody-elses"], 1)


async def test_a_second_line_counts_as_a_duplicate_and_an_answer_wins_over_an_error(tmp_path):
    def spoil(lines):
        first, second = json.loads(lines[0])["custom_id"], json.loads(lines[1])["custom_id"]
        error = {"code": "server_error", "message": "no"}
        return [line(first, error=error), *lines, line(second, body=completion("another"))]

    desk = Desk(tmp_path, Odd())
    desk.provider.spoil = spoil
    await desk.drive()

    await all_once(desk)
    assert (await told_of(desk))["duplicate_results"] == 2
    assert {each["output"] for each in desk.outputs()} == {"fine"}


@pytest.mark.parametrize(
    "instead",
    [b'{"custom_id": "hal\n', line(None, error={"code": "server_error", "message": "no"})],
    ids=["not JSON", "without a name"],
)
async def test_a_line_that_names_no_request_is_found_by_subtraction_and_goes_again(tmp_path, instead):
    desk = Desk(tmp_path, Odd())
    desk.provider.spoil = lambda lines: [instead, *lines[1:]]
    await desk.drive()

    await all_once(desk, executed=7)
    told = await told_of(desk)
    assert told["missing"] == 1
    assert told.get("unreadable_lines", 0) == (b"hal" in instead)


async def test_a_failed_batch_with_files_is_judged_by_them(tmp_path):
    class Fails(ScriptedProvider):
        def _end(self, batch):
            self.share_done = 0.5 if len(self.batches) == 1 else 1.0
            super()._end(batch)
            if len(self.batches) == 1:
                batch.remote = msgspec.structs.replace(batch.remote, phase=Phase.FAILED, status="failed")

    desk = Desk(tmp_path, Fails())
    await desk.drive()

    await all_once(desk)


async def test_a_batch_that_the_provider_forgot_for_good_goes_again(tmp_path):
    class Forgets(ScriptedProvider):
        async def poll(self, provider_batch_id):
            if provider_batch_id == "batch_1":
                raise NotFound("no such batch", status=404)
            return await super().poll(provider_batch_id)

    desk = Desk(tmp_path, Forgets())
    await desk.drive()

    await all_once(desk)
    assert len(desk.provider.batches) == 2


class Outage(ScriptedProvider):
    """For half an hour from the first question on, what is asked for is said not to be there."""

    desk: Desk
    route = ""
    began: datetime | None = None

    def at(self, tmp_path, route):
        """Itself, and the desk of a run that it serves; `route` is what is not found."""
        self.desk, self.route = Desk(tmp_path, self), route
        return self, self.desk

    def _fail(self, route):
        now = self.desk.clock.now()
        if route == self.route:
            self.began = self.began or now
            if now - self.began < timedelta(minutes=30):
                raise NotFound("no such thing", status=404)

    async def poll(self, provider_batch_id):
        self._fail("poll")
        return await super().poll(provider_batch_id)

    async def fetch(self, file_id, to):
        self._fail("fetch")
        return await super().fetch(file_id, to)


@pytest.mark.parametrize("route", ["poll", "fetch"])
async def test_an_outage_that_says_not_found_is_waited_out_and_nothing_is_paid_twice(tmp_path, route):
    provider, desk = Outage().at(tmp_path, route)

    await desk.drive()

    await all_once(desk)
    assert len(provider.batches) == 1
    assert "no such thing" in (await told_of(desk, "provider_trouble"))["message"]


@pytest.mark.parametrize("route", ["poll", "fetch"])
async def test_who_comes_back_the_next_day_in_the_middle_of_an_outage_waits_as_long(tmp_path, route):
    provider, desk = Outage().at(tmp_path, route)
    with pytest.raises(Crash):
        await desk.drive(TroublePlan(2, lambda: Crash(), lambda call: call == f"provider.{route}"))
    desk.clock.advance(timedelta(days=1))
    provider.began = None

    await desk.drive()

    await all_once(desk)
    assert len(provider.batches) == 1


@pytest.mark.parametrize("route", ["poll", "fetch"])
async def test_who_sleeps_for_a_day_between_two_outages_waits_as_long(tmp_path, route):
    class Sleeps(Outage):
        asked = 0

        def _fail(self, route):
            if route == self.route:
                self.asked += 1
                if self.asked == 3:
                    self.desk.clock.advance(timedelta(days=1))
                    self.began = None
            super()._fail(route)

    provider, desk = Sleeps().at(tmp_path, route)

    await desk.drive()

    await all_once(desk)
    assert len(provider.batches) == 1


@pytest.mark.parametrize("route", ["poll", "fetch"])
async def test_a_batch_that_is_forgotten_holds_no_cancellation_up_for_long(tmp_path, route):
    _, desk = Outage().at(tmp_path, route)
    with pytest.raises(Crash):
        await desk.drive(TroublePlan(1, lambda: Crash(), lambda call: call == f"provider.{route}"))
    store = await desk.store()
    await store.runs.record_wish(1, Wish.CANCEL)
    await store.close()
    before = desk.clock.now()

    run = await desk.drive()

    assert run.state is RunState.CANCELLED
    assert desk.clock.now() - before < timedelta(minutes=5)


async def test_a_batch_refused_for_billing_pauses_the_run_and_all_of_it_goes_again(tmp_path):
    provider = ScriptedProvider(
        ends=Phase.FAILED,
        errors=(BatchError(code="billing_hard_limit_reached", message="the limit is reached"),),
    )
    desk = Desk(tmp_path, provider)
    run = await desk.drive()
    assert (run.state, run.pause_reason) == (RunState.PAUSED, PauseReason.BILLING)
    assert "the limit is reached" in run.pause_message

    provider.ends = Phase.COMPLETED
    await desk.resume()
    await desk.drive()
    await all_once(desk)


async def test_a_number_that_nobody_can_hold_late_in_the_source_fails_its_record_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(JsonlSource, "piece_rows", 4)
    monkeypatch.setattr(JsonlSource, "piece_bytes", 100)
    desk = Desk(tmp_path, ScriptedProvider())
    desk.input.write_text(desk.input.read_text() + '{"id": "r6", "text": "x", "n": 1e999}\n')
    await desk.drive()

    status = await desk.status()
    assert (status.state, status.succeeded, status.records) == (RunState.FINISHED, 6, 7)
    [failure] = desk.failures()
    assert failure["reason"] == "bad_row"
    assert "line 7: not JSON (number out of range" in failure["message"]


async def test_a_row_that_turns_bad_while_it_is_read_ends_the_reading(tmp_path, monkeypatch):
    monkeypatch.setattr(JsonlSource, "piece_rows", 4)
    monkeypatch.setattr(JsonlSource, "piece_bytes", 100)
    desk = Desk(tmp_path, ScriptedProvider())
    survey = enqueue.survey

    def touched(*arguments, **named):
        yield from survey(*arguments, **named)
        desk.input.write_text(desk.input.read_text().replace('{"id": "r5"', "{'id': 'r5'"))
        os.utime(desk.input, (0, 0))

    monkeypatch.setattr(enqueue, "survey", touched)
    with pytest.raises(SourceError, match="was changed while it was read"):
        await desk.drive()


@pytest.mark.parametrize(
    "bad", ["{this is no record", '{"id": "", "text": "x"}', '{"id": "r0", "text": "x"}', '{"text": "x"}']
)
async def test_a_row_that_cannot_be_read_is_an_error_or_with_skip_bad_rows_a_failure(tmp_path, bad):
    for name, travel in (("strict", {}), ("lenient", {"skip_bad_rows": True})):
        (tmp_path / name).mkdir()
        desk = Desk(tmp_path / name, ScriptedProvider(), **travel)
        desk.input.write_text(desk.input.read_text() + bad + "\n")
        if not travel:
            with pytest.raises(SourceError):
                await desk.drive()
            assert desk.provider.uploads == {}
            continue
        await desk.drive()
        assert (await desk.status()).succeeded == 6
        assert [each["reason"] for each in desk.failures()] == ["bad_row"]
