"""The log, as text and as JSON: which run and which batch each line is about."""

import json
import logging

import pytest

from nightmail import telemetry
from nightmail.errors import ConfigError
from nightmail.telemetry import EventName, JsonLines, log, log_lines, telling_of
from nightmail.testing.desk import Desk
from nightmail.testing.provider import ScriptedProvider


class Kept(logging.Handler):
    """The lines of the log."""

    def __init__(self):
        super().__init__()
        self.setFormatter(JsonLines())
        self.lines = []

    def emit(self, record):
        self.lines.append(json.loads(self.format(record)))


@pytest.fixture
def kept():
    handler = Kept()
    before = telemetry.logger.level
    logging.getLogger().addHandler(handler)
    telemetry.logger.setLevel(logging.INFO)
    yield handler
    logging.getLogger().removeHandler(handler)
    telemetry.logger.setLevel(before)


async def test_every_line_of_a_run_names_it_and_its_batch(tmp_path, kept):
    desk = Desk(tmp_path, ScriptedProvider())
    await desk.drive()
    run_id = await desk.run_id()
    told = {line["event"]: line for line in kept.lines if "event" in line}
    assert told["batch_submitted"]["run"] == run_id
    assert told["batch_submitted"]["batch"] == f"{run_id}.b1"
    assert told["batch_submitted"]["detail"]["provider_batch_id"]
    assert told["run_moved"]["batch"] is None
    assert [line["detail"]["new"] for line in kept.lines if line.get("event") == "run_moved"] == [
        "draining",
        "finished",
    ]
    assert "say something" not in json.dumps(kept.lines)


async def test_a_line_of_another_library_names_what_it_was_written_for(tmp_path, kept):
    class Chatty(ScriptedProvider):
        async def upload(self, content, *, filename):
            logging.getLogger("some.client").warning("connecting")
            return await super().upload(content, filename=filename)

    desk = Desk(tmp_path, Chatty())
    await desk.drive()
    (line,) = [line for line in kept.lines if line["logger"] == "some.client"]
    assert (line["message"], line["level"]) == ("connecting", "warning")
    assert line["batch"] == f"{await desk.run_id()}.b1"
    assert line["run"] == await desk.run_id()


def test_outside_of_a_run_a_line_names_none(kept):
    with telling_of("x-1", "x-1.b1"):
        logging.getLogger("nightmail").info("inside")
    logging.getLogger("nightmail").info("outside %s", "it")
    inside, outside = kept.lines
    assert (inside["run"], inside["batch"]) == ("x-1", "x-1.b1")
    assert (outside["run"], outside["message"]) == (None, "outside it")


def test_a_line_is_one_line_and_holds_its_exception(kept):
    try:
        raise ValueError("two\nlines")
    except ValueError:
        logging.getLogger("nightmail").exception("it failed")
    log(EventName.RUN_PUT_OFF, run_id="x", batch_id=None, detail={"message": "a\nb"})
    assert "ValueError: two\nlines" in kept.lines[0]["exception"]
    assert kept.lines[1]["detail"] == {"message": "a\nb"}


def test_a_form_that_there_is_not_is_said():
    with pytest.raises(ConfigError, match="NIGHTMAIL_LOG is 'xml': it can be text or json"):
        log_lines("xml")
