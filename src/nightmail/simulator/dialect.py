"""How servers that call themselves OpenAI-compatible differ, as switches.

`openai` is the provider itself. `strings` collects what compatible servers were seen to do: bare ids,
another first status, integer error codes, bodies as strings, error rows that don't say whose they
are, an error file that is always there. `--without` takes single features away from either.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from typing import Any

import msgspec
import orjson

FEATURES = ("metadata", "list", "delete", "usage", "counts", "expires_at")
DIALECTS = ("openai", "strings")

_SUCCESS = (
    b'{"id":"batch_req_%b","custom_id":%b,"response":{"status_code":200,"request_id":"%b","body":%b},'
    b'"error":null}\n'
)
_BARE_SUCCESS = (
    b'{"id":"batch_req_%b","custom_id":%b,"response":{"status_code":200,"request_id":"%b","body":%b}}\n'
)
_ERROR = (
    b'{"id":"%b","custom_id":%b,"response":{"status_code":%d,"request_id":"%b","body":%b},"error":null}\n'
)


class Dialect(msgspec.Struct, frozen=True, kw_only=True):
    """`strings` switches the whole dialect; `without` names the features that are not there."""

    strings: bool = False
    without: frozenset[str] = frozenset()

    def new_id(self, prefix: str, length: int) -> str:
        """An id for a new object."""
        bare = uuid.uuid4()
        return str(bare) if self.strings else prefix + bare.hex[:length]

    def batch(self, shown: dict[str, Any]) -> dict[str, Any]:
        """A batch object as this server shows it."""
        for feature, key in (("usage", "usage"), ("counts", "request_counts"), ("expires_at", "expires_at"),
                             ("metadata", "metadata")):  # fmt: skip
            if feature in self.without:
                shown.pop(key, None)
        if self.strings:
            if shown["status"] == "validating":
                shown["status"] = "scheduling"
            shown["completion_window"] = "1d"
            for key in ("usage", "model", "expires_at", "finalizing_at", "cancelling_at", "in_progress_at"):
                shown.pop(key, None)
            if shown.get("errors") is None:
                shown.pop("errors", None)
        return shown

    def error(self, body: dict[str, Any], status: int) -> dict[str, Any]:
        """An error body as this server shows it."""
        if self.strings:
            body["error"]["code"] = status
        return body

    def success_line(self, name: bytes, custom_id: bytes, body: bytes) -> bytes:
        """A line of an output file; `custom_id` and `body` are JSON, `name` goes into its ids."""
        if self.strings:
            return _BARE_SUCCESS % (name, custom_id, name, orjson.dumps(body.decode()))
        return _SUCCESS % (name, custom_id, name, body)

    def error_line(
        self, line_id: bytes, custom_id: bytes, request_id: bytes, status: int, body: dict[str, Any]
    ) -> bytes:
        """A line of an error file for an answer that was not 200."""
        if self.strings:
            return b'{"id":"%b","error":%b}\n' % (line_id, orjson.dumps(self.error(body, status)["error"]))
        return _ERROR % (line_id, custom_id, status, request_id, orjson.dumps(body))

    def unanswered_line(self, line_id: bytes, custom_id: bytes, code: str, message: str) -> bytes:
        """A line of an error file for a request that never became an HTTP answer."""
        error = orjson.dumps({"code": code, "message": message})
        if self.strings:
            return b'{"id":"%b","custom_id":%b,"error":%b}\n' % (line_id, custom_id, error)
        return b'{"id":"%b","custom_id":%b,"response":null,"error":%b}\n' % (line_id, custom_id, error)


def dialect_of(name: str, without: Iterable[str]) -> Dialect:
    """The dialect of that name, less some features."""
    return Dialect(strings=name == "strings", without=frozenset(without))
