"""`nightmail`: the commands, and how each of them ends.

A command returns its exit code or raises; whatever it raises becomes one message and one code here. A
user's mistake never shows a traceback; `NIGHTMAIL_DEBUG=1` shows one for everything.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import os
import signal
import sys
import threading
import traceback
from collections.abc import Iterator, Sequence
from typing import Annotated

import typer

from nightmail.bulk import work_in_bulk
from nightmail.cli.backup import backup, restore
from nightmail.cli.demo import demo
from nightmail.cli.doctor import doctor
from nightmail.cli.exits import MEANINGS, Exit, exit_of, message_of
from nightmail.cli.export import export
from nightmail.cli.keys import keys
from nightmail.cli.options import spread_quotas
from nightmail.cli.plan import plan
from nightmail.cli.record import record
from nightmail.cli.run import run
from nightmail.cli.sample import sample
from nightmail.cli.schedule import schedule
from nightmail.cli.serve import serve
from nightmail.cli.simulate import simulate
from nightmail.cli.status import status
from nightmail.cli.steer import cancel, pause, resume, retry
from nightmail.cli.terminal import print_json
from nightmail.cli.watch import watch
from nightmail.cli.worker import worker

_INTERRUPTED = 130  # what typer makes of a KeyboardInterrupt; older ones raise Abort

app = typer.Typer(
    name="nightmail",
    help="Write an LLM task for one record. Run it for a million, at half price, with every record "
    "accounted for.",
    epilog="Exit codes: " + "; ".join(f"{code} {meaning}" for code, meaning in MEANINGS.items()) + ".",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for _command in (
    demo,
    run,
    plan,
    sample,
    status,
    watch,
    record,
    retry,
    cancel,
    pause,
    resume,
    export,
    doctor,
    worker,
    backup,
    restore,
    serve,
):
    app.command(_command.__name__)(_command)
app.add_typer(schedule)
app.add_typer(keys, name="keys")
# The simulator reads its own options, --help too.
app.command(
    "simulate",
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    add_help_option=False,
)(simulate)


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"nightmail {version('nightmail')}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option("--version", help="Show the version and exit.", callback=_show_version, is_eager=True),
    ] = False,
) -> None:
    """What stands before a command."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code (see `nightmail.cli.exits`)."""
    given = list(sys.argv[1:] if arguments is None else arguments) or ["--help"]
    work_in_bulk()
    # The interpreter looks for garbage once more before it ends. What is imported makes that an eighth of a
    # second, and there is nobody left to use what it would find.
    atexit.register(gc.freeze)
    try:
        with _terminated_as_interrupted():
            code = app(args=spread_quotas(given), prog_name="nightmail", standalone_mode=False)
        if code == _INTERRUPTED:
            raise KeyboardInterrupt
        return int(code or Exit.DONE)
    except (KeyboardInterrupt, typer.Abort):
        return _failed(given, Exit.NOT_AT_END, "interrupted; nothing is lost, the same command goes on")
    except Exception as error:
        if os.environ.get("NIGHTMAIL_DEBUG") == "1":
            traceback.print_exc()
        if _is_usage(error):
            return _failed(given, Exit.USAGE, _usage_message(error))
        return _failed(given, exit_of(error), message_of(error))


@contextlib.contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    """SIGTERM ends a command as Ctrl-C does, also before it begins to work and where it only reads."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _failed(arguments: Sequence[str], code: Exit, message: str) -> int:
    print(f"error: {message}", file=sys.stderr)
    if "--json" in arguments:
        print_json({"error": message, "exit_code": int(code)})
    return code


def _is_usage(error: Exception) -> bool:
    """Is it typer's complaint about the command line?"""
    return hasattr(error, "format_message") and hasattr(error, "exit_code")


def _usage_message(error: Exception) -> str:
    context = getattr(error, "ctx", None)
    text = str(error.format_message()).replace("Value error, ", "")  # type: ignore[attr-defined]
    if context is None:
        return text
    if getattr(error, "option_name", None) == "--server":
        return (
            f"{context.command_path} works on a home and not over a service: call it on the machine that has "
            "the home, with --home DIR"
        )
    ended = text if text.endswith((".", "?", "!")) else f"{text}."
    return f"{ended} See: {context.command_path} --help"
