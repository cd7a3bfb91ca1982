"""Spans hang together, from run to batch to call, over several processes; and hold no text."""

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from nightmail.core.run import RunState
from nightmail.errors import ConfigError, ProviderUnavailable
from nightmail.stores.sqlite import SqliteStore
from nightmail.testing.desk import Desk
from nightmail.testing.provider import ScriptedProvider
from nightmail.worker import service, tracing
from nightmail.worker.service import Service
from nightmail.worker.tracing import Traces, provider_of


class Traced:
    """A home with a worker that traces, and what was told."""

    def __init__(self, folder, monkeypatch, provider):
        self.exporters = []
        self.provider = provider
        self.desk = Desk(folder, provider)
        monkeypatch.setattr(service, "provider_of", self.tracer)
        monkeypatch.setattr(Service, "provider", lambda service, run, calls: provider)

    def tracer(self):
        made = TracerProvider(id_generator=tracing._named_ids())
        self.exporters.append(InMemorySpanExporter())
        made.add_span_processor(SimpleSpanProcessor(self.exporters[-1]))
        return made

    async def work(self, *, stop=False):
        """A life of a worker process."""
        from nightmail.config import read
        from nightmail.tasks.prepared import PreparedTask
        from nightmail.worker.begin import begin, want

        desk = self.desk
        store = await SqliteStore.open(desk.home)
        try:
            settings = read(home=desk.home, api_key="none", environment={})
            worker = Service(settings, store, desk.clock, tasks=[PreparedTask(desk.task)])
            wanted = want(desk.task, desk.input, desk.output, desk.home, **desk.travel)
            run = await begin(store, wanted, now=desk.clock.now())
            if stop:
                self.provider.on_create = worker.stop.set
            run = await worker.work_on(run.run_id)
            await worker.close()
            return run
        finally:
            await store.close()

    @property
    def spans(self):
        return [span for each in self.exporters for span in each.get_finished_spans()]


class Stopping(ScriptedProvider):
    """Tells when a batch was created."""

    on_create = None

    async def create(self, **named):
        created = await super().create(**named)
        if self.on_create is not None:
            self.on_create()
        return created


async def test_calls_hang_under_their_batch_and_batches_under_the_run_over_two_lives(tmp_path, monkeypatch):
    provider = Stopping()
    traced = Traced(tmp_path, monkeypatch, provider)
    assert (await traced.work(stop=True)).state is RunState.DRAINING
    assert "batch" not in {span.name for span in traced.spans}
    assert (await traced.work()).state is RunState.FINISHED

    by_name = {span.name: span for span in traced.spans}
    run, batch = by_name["run"], by_name["batch"]
    assert run.parent is None
    assert batch.parent.span_id == run.context.span_id
    assert {span.context.trace_id for span in traced.spans} == {run.context.trace_id}
    for call in ("provider.upload", "provider.create", "provider.fetch", "provider.delete"):
        assert by_name[call].parent.span_id == batch.context.span_id, call
        assert by_name[call].attributes["nightmail.batch_id"] == batch.attributes["nightmail.batch_id"]
    assert by_name["provider.check"].parent.span_id == run.context.span_id
    assert run.start_time <= batch.start_time <= batch.end_time <= run.end_time
    assert batch.attributes["nightmail.succeeded"] == 6
    assert sum(span.name in ("run", "batch") for span in traced.spans) == 2


async def test_no_text_of_a_request_an_answer_or_an_error_is_in_a_span(tmp_path, monkeypatch):
    class Failing(ScriptedProvider):
        failed = False

        async def upload(self, content, *, filename):
            if not self.failed:
                self.failed = True
                raise ProviderUnavailable("say something about thing 1", ambiguous=False)
            return await super().upload(content, filename=filename)

    traced = Traced(tmp_path, monkeypatch, Failing())
    await traced.work()
    told = "".join(span.to_json() for span in traced.spans)
    for text in ("say something", "thing 1", "fine"):
        assert text not in told
    failed, *_ = [span for span in traced.spans if span.name == "provider.upload"]
    assert failed.attributes["error.type"] == "ProviderUnavailable"
    assert not failed.status.is_ok


async def test_what_is_asked_for_by_the_environment(monkeypatch):
    assert provider_of({}) is None
    assert provider_of({"OTEL_TRACES_EXPORTER": "none"}) is None
    assert provider_of({"OTEL_TRACES_EXPORTER": "console", "OTEL_SDK_DISABLED": "true"}) is None
    for said in ({"OTEL_TRACES_EXPORTER": "console"}, {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}):
        made = provider_of(said)
        assert made is not None
        assert made.resource.attributes["service.name"] == "nightmail"
        Traces(made).close()
    with pytest.raises(ConfigError, match="'carrier_pigeon'"):
        provider_of({"OTEL_TRACES_EXPORTER": "carrier_pigeon"})
