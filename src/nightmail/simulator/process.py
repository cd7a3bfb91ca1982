"""A simulator as a process of its own, for tests, demos and rehearsals."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from nightmail.errors import ConfigError, NightmailError

_STOP_SECONDS = 10.0


class SimulatorProcess:
    """A running simulator. `url` is the base URL for clients (it ends in /v1), `root` the server's own."""

    def __init__(self, arguments: Sequence[str], state: Path) -> None:
        self._arguments = list(arguments)
        self.state = state
        self._port = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._start()

    @property
    def root(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    @property
    def url(self) -> str:
        return f"{self.root}/v1"

    @property
    def pid(self) -> int:
        return self._running().pid

    def stop(self) -> None:
        """End it in an orderly way; nothing happens if it has ended."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        _close(process)

    def kill(self) -> None:
        """End it with SIGKILL: no clean-up, as in a power cut. `restart` brings it back."""
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(getattr(signal, "SIGKILL", signal.SIGTERM))
            process.wait()
            _close(process)

    def restart(self) -> None:
        """Stop it if it runs and start it again with the same state on the same port."""
        self.stop()
        self._start()

    def get(self, path: str) -> Any:
        """The JSON of a GET under the server's root, for example `/_simulator/books`."""
        return self._ask("GET", path, None)

    def post(self, path: str, body: object) -> Any:
        """The JSON that a POST answers, for example `/_simulator/clock` with `{"advance": 3600}`."""
        return self._ask("POST", path, msgspec.json.encode(body))

    def _ask(self, method: str, path: str, body: bytes | None) -> Any:
        from urllib.error import HTTPError
        from urllib.request import Request, urlopen

        request = Request(  # noqa: S310 - always this process's own http address
            self.root + path, data=body, method=method, headers={"content-type": "application/json"}
        )
        try:
            with urlopen(request, timeout=60) as reply:  # noqa: S310 - as above
                return msgspec.json.decode(reply.read())
        except HTTPError as error:
            with error:
                text = error.read().decode("utf-8", "replace")
            raise NightmailError(f"simulator: {method} {path} gave {error.code}: {text}") from error

    def _start(self) -> None:
        where = ["--port", str(self._port), "--state", str(self.state)]
        command = [sys.executable, "-m", "nightmail.simulator", *where, *self._arguments]
        # The package may come from a source tree that is not installed; the child imports the same.
        root = str(Path(__file__).resolve().parents[2])
        paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
        process = subprocess.Popen(command, stdout=subprocess.PIPE, env=environment)
        assert process.stdout is not None
        line = process.stdout.readline().decode()
        if "listening on" not in line:
            process.wait()
            _close(process)
            raise ConfigError(f"the simulator did not start (exit code {process.returncode}); see above")
        self._port = int(line.rstrip().rsplit(":", 1)[1])
        self._process = process

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise ConfigError("the simulator is not running")
        return self._process


def _close(process: subprocess.Popen[bytes]) -> None:
    if process.stdout is not None:
        process.stdout.close()


@contextlib.contextmanager
def start(
    *,
    state: Path | None = None,
    answers: Mapping[str, Any] | None = None,
    faults: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None,
    seed: int = 0,
    quotas: Mapping[str, int] | None = None,
    options: Sequence[str] = (),
) -> Iterator[SimulatorProcess]:
    """A simulator for the time of a `with`. Without `state` it remembers nothing afterwards.

    `answers` and `faults` are those of a faults file; `options` are further command-line options.
    """
    with contextlib.ExitStack() as closing:
        if state is None:
            state = Path(closing.enter_context(tempfile.TemporaryDirectory(prefix="nightmail-simulator-")))
        state.mkdir(parents=True, exist_ok=True)
        arguments = ["--seed", str(seed), *options]
        if answers or faults:
            plan = state / "plan.json"
            plan.write_bytes(msgspec.json.encode({"answers": answers or {}, "faults": faults or []}))
            arguments += ["--faults", str(plan)]
        if quotas:
            arguments += ["--quota", *(f"{model}={tokens}" for model, tokens in quotas.items())]
        simulator = SimulatorProcess(arguments, state)
        try:
            yield simulator
        finally:
            simulator.stop()
