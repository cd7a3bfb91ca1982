"""The application: every route of the simulator, and what is opened and closed with it."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import AsyncIterator

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from nightmail.core.request import Endpoint
from nightmail.simulator import batches, control, files, sync
from nightmail.simulator.calls import Answering, answer_json, call
from nightmail.simulator.clock import Clock
from nightmail.simulator.lifecycle import Lifecycle
from nightmail.simulator.parts import Parts, struck_by
from nightmail.simulator.refusal import Refusal
from nightmail.simulator.settings import Settings
from nightmail.simulator.state import State
from nightmail.simulator.upstream import Upstream


def create_app(settings: Settings) -> Starlette:
    """An ASGI application that is a provider; it goes on from what is in `settings.state`."""

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        settings.state.mkdir(parents=True, exist_ok=True)
        state = State(settings.state)
        state.sweep()
        clock = Clock(state.noted("clock offset") or 0.0)
        upstream = Upstream(settings.upstream, settings.upstream_concurrency) if settings.upstream else None
        lifecycle = Lifecycle(settings, state, clock, struck_by(settings.plan, settings, state), upstream)
        app.state.parts = Parts(
            settings=settings, state=state, clock=clock, lifecycle=lifecycle, upstream=upstream
        )
        lifecycle.resume()
        try:
            yield
        finally:
            await lifecycle.close()
            if upstream is not None:
                await upstream.close()
            state.close()
            shutil.rmtree(state.work, ignore_errors=True)

    return Starlette(routes=_routes(), lifespan=lifespan, exception_handlers={HTTPException: _no_route})


def _routes() -> list[Route]:
    answers = sync.Answers()
    table: list[tuple[str, str, str, Answering]] = [
        # First, because routes are tried in order and these are called most.
        *(("POST", endpoint.value, "sync", answers.route(endpoint)) for endpoint in Endpoint),
        ("POST", "/v1/files", "upload", files.upload),
        ("GET", "/v1/files", "files", files.list_all),
        ("GET", "/v1/files/{file_id}", "file", files.show),
        ("DELETE", "/v1/files/{file_id}", "delete", files.delete),
        ("GET", "/v1/files/{file_id}/content", "download", files.content),
        ("POST", "/v1/batches", "create", batches.create),
        ("GET", "/v1/batches", "list", batches.list_all),
        ("GET", "/v1/batches/{batch_id}", "poll", batches.show),
        ("POST", "/v1/batches/{batch_id}/cancel", "cancel", batches.cancel),
        ("GET", "/v1/models", "models", sync.list_models),
        ("GET", "/v1/models/{model:path}", "models", sync.show_model),
    ]
    own: list[tuple[str, str, str, Answering]] = [
        ("GET", "/_simulator/books", "control", control.show_books),
        ("GET", "/_simulator/books/requests", "control", control.show_billed),
        ("GET", "/_simulator/books/levels", "control", control.show_levels),
        ("GET", "/_simulator/state", "control", control.show_state),
        ("POST", "/_simulator/faults", "control", control.replace_faults),
        ("POST", "/_simulator/clock", "control", control.advance_clock),
    ]
    return [
        Route(path, call(name, answering), methods=[method]) for method, path, name, answering in table + own
    ]


async def _no_route(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    message = f"Invalid URL ({request.method} {request.url.path})"
    if error.status_code == 405:
        message = f"Not allowed to {request.method} on {request.url.path}."
    return answer_json(Refusal(error.status_code, message).body(), error.status_code)
