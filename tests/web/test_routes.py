"""Every route of one run, those that somebody adds tomorrow too, hides it from other tenants."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from nightmail.core.scope import Scope
from nightmail.web.app import API, ROUTERS
from nightmail.web.pages.routes import PAGES
from tests.web.desk import HOST, opened
from tests.web.pages.visitor import form_token, look, sign_in
from tests.web.test_keys import bearer


def routes() -> Iterator[tuple[str, str]]:
    """Method and path of each route that names a run."""
    for prefix, routers in ((API, ROUTERS), ("", PAGES)):
        for router in routers:
            for route in router.routes:
                if "{run_id}" in route.path:
                    path = prefix + route.path.replace(":path}", "}")
                    yield from ((method, path) for method in route.methods)


async def test_no_route_tells_another_tenant_that_a_run_is_there(tmp_path: Path) -> None:
    async with opened(tmp_path) as office:
        await office.client.keys.add("ours")
        theirs = await office.client.keys.add("theirs", scope=Scope.SUBMIT)
        run_id = await office.start(tenant="ours")
        await sign_in(office, theirs)
        form = {"form_token": form_token(await look(office, "/runs"))}
        told = {}
        for method, path in routes():
            where = path.format(run_id=run_id, key="r1", number=1)
            is_page = not path.startswith(API)
            answer = await office.http.request(
                method,
                where,
                params={"key": "r1"} if is_page and path.endswith("/records") else {},
                data=form if is_page and method == "POST" else None,
                headers={"Origin": HOST} if is_page else bearer(theirs),
            )
            told[method, path] = (answer.status_code, answer.json()["detail"])
        assert len(told) >= 24
        assert {route: said for route, said in told.items() if said != (404, "there is no such run")} == {}
