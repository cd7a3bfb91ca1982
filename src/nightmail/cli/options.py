"""The options that several commands share, each described once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from nightmail.core.request import Mode
from nightmail.errors import ConfigError

TaskArgument = Annotated[
    str, typer.Argument(metavar="TASK", help="package.module:Class or path/to/file.py[:Class].")
]
RunArgument = Annotated[
    str | None, typer.Argument(metavar="[RUN]", help="The run's id; without it, the newest run.")
]
Input = Annotated[
    str,
    typer.Option(
        "--input",
        metavar="PATH",
        help="Parquet, CSV or JSONL (also .gz, .zst), a folder, or a glob in quotes.",
    ),
]
KeyField = Annotated[
    str | None,
    typer.Option(
        "--key", metavar="FIELD", help="The field that names a record; default `id`, else the row number."
    ),
]
ModeOption = Annotated[
    Mode,
    typer.Option(
        "--mode",
        metavar="MODE",
        help="batch: half price, within a day; sync: one call each, at once, full price; flex: one call "
        "each, half price, slow, some models; auto: up to 100 records at once, more by batch.",
    ),
]
Model = Annotated[str | None, typer.Option("--model", metavar="M", help="Instead of the task's own model.")]
Provider = Annotated[str | None, typer.Option("--provider", metavar="NAME", help="Default: openai.")]
BaseUrl = Annotated[
    str | None,
    typer.Option("--base-url", metavar="URL", help="The server; default OPENAI_BASE_URL, else OpenAI."),
]
Home = Annotated[
    Path | None,
    typer.Option(
        "--home", metavar="DIR", help="Where everything is kept; default NIGHTMAIL_HOME, else .nightmail."
    ),
]
Server = Annotated[
    str | None,
    typer.Option(
        "--server",
        metavar="URL",
        help="Instead of a home: a service that does the work; default NIGHTMAIL_SERVER. Its key comes from "
        "NIGHTMAIL_API_KEY, or the file NIGHTMAIL_API_KEY_FILE.",
    ),
]
Limit = Annotated[int | None, typer.Option("--limit", min=1, metavar="N", help="Only the first N records.")]
SkipBadRows = Annotated[
    bool,
    typer.Option(
        "--skip-bad-rows", help="Put rows that cannot be read into the failures file instead of stopping."
    ),
]
Quotas = Annotated[
    list[str] | None,
    typer.Option(
        "--quota", metavar="MODEL=TOKENS", help="Tokens that may be enqueued for a model; repeatable."
    ),
]
Budget = Annotated[
    str | None,
    typer.Option(
        "--budget", metavar="USD", help="What the run may cost: what would go over it waits, the run pauses."
    ),
]
Deadline = Annotated[
    str | None,
    typer.Option(
        "--deadline",
        metavar="TIME",
        help="6h, 90m, 1d12h from the run's start: as it nears, what is left goes by flex or sync.",
    ),
]
MaxBatchRequests = Annotated[
    int | None,
    typer.Option("--max-batch-requests", min=1, metavar="N", help="Requests in one batch, at most."),
]
MaxBatchBytes = Annotated[
    int | None,
    typer.Option("--max-batch-bytes", min=1, metavar="N", help="Bytes of one batch file, at most."),
]
MaxAttempts = Annotated[
    int, typer.Option("--max-attempts", min=1, metavar="N", help="How often a record is asked, at most.")
]
Priority = Annotated[
    int,
    typer.Option(
        "--priority", metavar="N", help="Runs of higher priority go first on a model's quota; default 0."
    ),
]
MaxActiveBatches = Annotated[
    int | None,
    typer.Option(
        "--max-active-batches", min=1, metavar="N", help="Batches at the provider at one time, at most."
    ),
]
PollInterval = Annotated[
    float | None,
    typer.Option(
        "--poll-interval", min=0.05, metavar="SECONDS", help="Instead of looking often at first, then less."
    ),
]
KeepRemoteFiles = Annotated[
    bool, typer.Option("--keep-remote-files", help="Leave the batch files at the provider.")
]
NoDedupe = Annotated[
    bool, typer.Option("--no-dedupe", help="Send requests that are the same each for itself, not once.")
]
Detach = Annotated[
    bool,
    typer.Option(
        "--detach", help="Let a process in the background do the work, and return at once (exit code 3)."
    ),
]
Json = Annotated[
    bool,
    typer.Option("--json", help="One JSON object on standard output; everything else on standard error."),
]


def parse_quotas(given: Sequence[str] | None) -> dict[str, int]:
    """`gpt-4o-mini=2_000_000` -> {"gpt-4o-mini": 2000000}. Raises `ConfigError`."""
    quotas = {}
    for entry in given or ():
        model, _, number = entry.rpartition("=")
        digits = number.replace("_", "").replace(",", "")
        if not model or not (digits.isascii() and digits.isdigit()) or int(digits) == 0:
            raise ConfigError(f"--quota {entry}: give MODEL=TOKENS, for example gpt-4o-mini=2000000")
        quotas[model] = int(digits)
    return quotas


def spread_quotas(arguments: Sequence[str]) -> list[str]:
    """`--quota A=1 B=2` means `--quota A=1 --quota B=2`: the contract shows the values side by side."""
    spread: list[str] = []
    following = False
    for argument in arguments:
        if following and spread[-1] != "--quota" and "=" in argument and not argument.startswith("-"):
            spread.append("--quota")
        elif following and spread[-1] != "--quota":
            following = False
        spread.append(argument)
        if argument == "--quota" or argument.startswith("--quota="):
            following = True
    return spread
