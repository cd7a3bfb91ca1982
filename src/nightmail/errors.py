"""Every exception, cut by who must act.

NightmailError
├── ConfigError              you: an option, a setting, a path
│   ├── RunChanged           you: the same command now means something else; says what
│   ├── UnknownRun           you: there is no run of that name
│   ├── UnknownBatch         you: there is no batch of that name
│   ├── UnknownRecord        you: the run has no record with that key or number
│   └── NotNow               you: what was asked for cannot be done in the state that the run is in
├── TaskError                you: the task's class or its output type
├── SourceError              you: the input; names the file and the line
├── SinkError                you: the output path
├── ProviderError            the provider; see each
│   ├── ProviderUnavailable  wait: no answer, or 408/409/5xx; `ambiguous`: perhaps carried out
│   ├── RateLimited          wait: too many calls; `retry_after` seconds if it said so
│   ├── QuotaReached         wait: enqueued tokens or requests are used up; `limit` if it said so
│   ├── AuthenticationFailed you: the key
│   ├── BillingBlocked       you: credit, spend limit, billing
│   ├── RequestRefused       nobody: a 4xx that repeating cannot mend
│   │   └── NotFound         ... because the thing is not there (or not yet)
│   └── Unsupported          nobody: this server has no such call
├── ServiceUnreachable       wait: the service that a command was given to does not answer
├── ChannelFailed            wait: who is to be told something does not take it
├── WebhookRefused           nobody: what came in is not to be believed
├── StoreError               the database or the disk
│   ├── LeaseLost            nobody: another worker has taken the run over
│   └── SchemaTooNew         you: this home was written by a newer nightmail
└── InternalError            us: please report
    └── IllegalMove          a state was told something that cannot be true in it

Rejected stands apart: a task raises it to have a record asked again.
"""

from __future__ import annotations


class NightmailError(Exception):
    """Root of everything nightmail raises on purpose. Its text is written for the person who reads it."""


class ConfigError(NightmailError):
    """An option, a setting or a path is wrong."""


class RunChanged(ConfigError):
    """The same command was given again, but something it depends on has changed."""


class UnknownRun(ConfigError):
    """There is no such run in this home."""


class UnknownBatch(ConfigError):
    """There is no such batch in this home."""


class UnknownRecord(ConfigError):
    """The run has no such record."""


class NotNow(ConfigError):
    """What was asked for cannot be done in the state that the run is in."""


class TaskError(NightmailError):
    """The task's class, its file or its output type is wrong."""


class SourceError(NightmailError):
    """The input cannot be read as asked; the text begins with `file:line:` where a line is to blame."""


class SinkError(NightmailError):
    """The output cannot be written."""


class DiskFull(NightmailError):
    """There is no room for a file of the home or for the output. What was written before is whole."""


class ProviderError(NightmailError):
    """The provider did not do what was asked."""


class ProviderUnavailable(ProviderError):
    """No answer, or one that says "later". `ambiguous`: the call may have been carried out all the same."""

    def __init__(self, message: str, *, ambiguous: bool = True) -> None:
        super().__init__(message)
        self.ambiguous = ambiguous


class RateLimited(ProviderError):
    """Too many calls for now. The call was not carried out."""

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class QuotaReached(ProviderError):
    """What may be enqueued for a model is used up. `limit` is the provider's own number, if it told."""

    def __init__(self, message: str, *, limit: int | None = None) -> None:
        super().__init__(message)
        self.limit = limit


class AuthenticationFailed(ProviderError):
    """The provider does not accept the key."""


class BillingBlocked(ProviderError):
    """Credit, spend limit or billing stops the account."""


class RequestRefused(ProviderError):
    """A 4xx that asking again cannot mend."""

    def __init__(self, message: str, *, status: int = 400, code: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


class NotFound(RequestRefused):
    """The provider does not know the id: never there, gone, or not visible yet."""


class Unsupported(ProviderError):
    """This server does not offer the call."""


class ServiceUnreachable(NightmailError):
    """The service that a command was given to does not answer, or not as a nightmail service does."""


class ChannelFailed(NightmailError):
    """A channel did not take a notice. Names no address: it is stored and logged."""


class WebhookRefused(NightmailError):
    """A webhook that came in is not signed as it should be, is too old, or is none at all."""


class StoreError(NightmailError):
    """The database or the disk under it failed."""


class LeaseLost(StoreError):
    """Another worker has taken the run over; nothing was written."""


class SchemaTooNew(StoreError):
    """The database was written by a newer nightmail."""


class InternalError(NightmailError):
    """A fault of nightmail itself."""


class IllegalMove(InternalError):
    """Something was told an event that cannot happen in the state it is in."""


class Rejected(Exception):
    """Raised by `Task.check` or `Task.parse`: the answer is not good enough, and why.

    The text is shown to the model when the record is asked again.
    """
