"""Spans from run to batch to provider call, where OpenTelemetry is asked for by its own environment.

The ids of a run's and of a batch's span are made from their names, so that calls of several processes, and
of one that was killed and came back, hang under the same batch. The span of a batch is told when it is
settled, that of a run when it is over, with the times that the store has. No prompt, no answer and no
message of the provider is in a span.
"""

from __future__ import annotations

import hashlib
import inspect
import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextvars import ContextVar
from datetime import datetime
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

from nightmail.core.batch import Batch
from nightmail.core.run import Run
from nightmail.errors import ConfigError
from nightmail.telemetry import about

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Tracer

CALLS = ("check", "upload", "create", "poll", "cancel", "fetch", "delete", "call")
PAGES = ("find", "files")
ASKED_BY = ("OTEL_TRACES_EXPORTER", "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
EXPORTERS = "opentelemetry_traces_exporter"


def provider_of(environment: Mapping[str, str] | None = None) -> TracerProvider | None:
    """OpenTelemetry as its environment describes it (`OTEL_TRACES_EXPORTER`, or an OTLP endpoint); None if
    that asks for nothing. Raises `ConfigError` for what is not installed."""
    said = os.environ if environment is None else environment
    exporter = said.get(ASKED_BY[0], "").strip() or "otlp"
    disabled = said.get("OTEL_SDK_DISABLED", "").lower() == "true" or exporter == "none"
    if disabled or not any(said.get(name) for name in ASKED_BY):
        return None
    try:
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        raise ConfigError(
            "traces are asked for, and OpenTelemetry is not installed: pip install 'nightmail[serve]'"
        ) from None
    if exporter == "otlp":
        grpc = said.get("OTEL_EXPORTER_OTLP_PROTOCOL") == "grpc"
        exporter = "otlp_proto_grpc" if grpc else "otlp_proto_http"
    found = entry_points(group=EXPORTERS, name=exporter)
    if not found:
        raise ConfigError(f"traces are to go by {exporter!r}, and no such exporter is installed")
    resource = Resource.create({} if said.get("OTEL_SERVICE_NAME") else {"service.name": "nightmail"})
    provider = TracerProvider(resource=resource, id_generator=_named_ids())
    provider.add_span_processor(BatchSpanProcessor(next(iter(found)).load()()))
    return provider


class Traces:
    """The spans of a home's runs."""

    def __init__(self, provider: TracerProvider) -> None:
        self._provider = provider
        self._tracer: Tracer = provider.get_tracer("nightmail")

    def run(self, run: Run) -> None:
        """Tell a run that is over."""
        if run.finished_at is not None:
            self._tell("run", _of(run), None, run.created_at, run.finished_at, _run_facts(run))

    def batch(self, run: Run, batch: Batch) -> None:
        """Tell a batch that is settled."""
        if batch.settled_at is None:
            return
        facts = _run_facts(run) | {
            "nightmail.batch_id": batch.batch_id,
            "nightmail.mode": batch.mode.value,
            "nightmail.model": batch.model,
            "nightmail.requests": batch.requests,
            "nightmail.succeeded": batch.succeeded,
            "nightmail.provider_batch_id": batch.provider_batch_id or "",
        }
        began = batch.submitted_at or batch.created_at
        self._tell("batch", _of(run, batch.batch_id), _of(run), began, batch.settled_at, facts)

    def calls(self, provider: Any, run: Run) -> Any:
        """The provider, each call of which is a span under the batch (else the run) that it is made for."""
        return _Traced(provider, self._tracer, run)

    def close(self) -> None:
        """Send what has not been sent."""
        self._provider.shutdown()

    def _tell(
        self,
        name: str,
        ids: tuple[int, int],
        parent: tuple[int, int] | None,
        began: datetime,
        ended: datetime,
        facts: Mapping[str, Any],
    ) -> None:
        token = _next_ids.set(ids)
        try:
            span = self._tracer.start_span(
                name, context=_under(parent), start_time=_nanoseconds(began), attributes=dict(facts)
            )
        finally:
            _next_ids.reset(token)
        span.end(end_time=_nanoseconds(ended))


class _Traced:
    def __init__(self, provider: Any, tracer: Tracer, run: Run) -> None:
        self._provider, self._tracer, self._run = provider, tracer, run

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._provider, name)
        if name in CALLS:
            return self._called(found, name)
        return self._paged(found, name) if name in PAGES else found

    def _span(self, name: str) -> Any:
        facts = _run_facts(self._run)
        if (batch_id := about().batch_id) is not None:
            facts["nightmail.batch_id"] = batch_id
        return self._tracer.start_as_current_span(
            f"provider.{name}",
            context=_under(_of(self._run, batch_id)),
            attributes=facts,
            # The text of an error may quote a request.
            record_exception=False,
            set_status_on_exception=False,
        )

    def _called(self, call: Callable[..., Any], name: str) -> Callable[..., Any]:
        async def traced(*arguments: Any, **named: Any) -> Any:
            with self._span(name) as span:
                try:
                    answer = await call(*arguments, **named)
                except Exception as error:
                    _failed(span, error)
                    raise
                return answer

        assert inspect.iscoroutinefunction(call)
        return traced

    def _paged(self, call: Callable[..., Any], name: str) -> Callable[..., Any]:
        async def traced(*arguments: Any, **named: Any) -> AsyncIterator[Any]:
            # Ended by hand: whoever reads may stop reading in another context.
            span = self._tracer.start_span(
                f"provider.{name}",
                context=_under(_of(self._run, about().batch_id)),
                attributes=_run_facts(self._run),
            )
            try:
                async for each in call(*arguments, **named):
                    yield each
            except Exception as error:
                _failed(span, error)
                raise
            finally:
                span.end()

        return traced


_next_ids: ContextVar[tuple[int, int] | None] = ContextVar("nightmail_span", default=None)


def _named_ids() -> Any:
    from opentelemetry.sdk.trace.id_generator import RandomIdGenerator

    class NamedIds(RandomIdGenerator):
        """The ids that the span about to be made has by its name, else chance."""

        def generate_trace_id(self) -> int:
            ids = _next_ids.get()
            return super().generate_trace_id() if ids is None else ids[0]

        def generate_span_id(self) -> int:
            ids = _next_ids.get()
            return super().generate_span_id() if ids is None else ids[1]

    return NamedIds()


def _of(run: Run, batch_id: str | None = None) -> tuple[int, int]:
    """Trace and span of a run, or of a batch of it. A run that was begun anew is another trace."""
    whole = hashlib.sha256(f"{run.run_id}\0{run.created_at.isoformat()}".encode()).digest()
    own = whole[16:24] if batch_id is None else hashlib.sha256(whole + batch_id.encode()).digest()[:8]
    return int.from_bytes(whole[:16]) or 1, int.from_bytes(own) or 1


def _under(parent: tuple[int, int] | None) -> Context:
    from opentelemetry import trace
    from opentelemetry.context import Context

    if parent is None:
        return Context()
    flags = trace.TraceFlags(trace.TraceFlags.SAMPLED)
    known = trace.SpanContext(*parent, is_remote=True, trace_flags=flags)
    return trace.set_span_in_context(trace.NonRecordingSpan(known), Context())


def _failed(span: Any, error: Exception) -> None:
    from opentelemetry.trace import Status, StatusCode

    span.set_attribute("error.type", type(error).__name__)
    span.set_status(Status(StatusCode.ERROR))


def _run_facts(run: Run) -> dict[str, Any]:
    return {"nightmail.run_id": str(run.run_id), "nightmail.task": run.spec.task_name}


def _nanoseconds(at: datetime) -> int:
    return int(at.timestamp() * 1_000_000) * 1_000
