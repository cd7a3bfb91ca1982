"""Who looks at a page, and whether a form was sent from one of our pages.

Where a home has keys, a key is shown once, at `/sign-in`, and a cookie stands for it from then on: a random
token, of which the store has the digest. It opens pages and nothing else; the API asks for the key itself.

Every form carries a token that only our pages can know: made from the cookie's, or, where no keys are
asked for, from a secret of this process. The guard has refused what other sites' pages send before that.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Annotated, NamedTuple

from fastapi import Depends, Form, Request

from nightmail.client import Client
from nightmail.core.scope import Scope
from nightmail.web.asked import Asked
from nightmail.web.keys import Asker, Keyring, refuse_others
from nightmail.web.problems import Problem

COOKIE = "nightmail_session"


class Viewer(NamedTuple):
    """Who looks. `form_token` is what this viewer's forms carry; `session` the cookie, None without keys."""

    asker: Asker
    form_token: str
    session: str | None

    @property
    def only(self) -> str | None:
        """The tenant to whose runs the viewer is bound; None: everybody's."""
        return self.asker.only

    @property
    def may_steer(self) -> bool:
        return self.asker.scope.includes(Scope.SUBMIT)

    @property
    def is_admin(self) -> bool:
        return self.asker.sees_all


async def _viewer(request: Request) -> Viewer:
    keyring: Keyring = request.app.state.keyring
    token = request.cookies.get(COOKIE)
    asker = await keyring.visitor(token, request.headers.get("host", ""))
    session = token if asker.tenant is not None else None
    secret: str = session or request.app.state.form_secret
    return Viewer(asker, hmac.new(secret.encode(), b"form", hashlib.sha256).hexdigest(), session)


Looking = Annotated[Viewer, Depends(_viewer)]


async def still_looks(request: Request, viewer: Viewer) -> bool:
    """May the viewer go on looking at a page that is live? Not with a key that was revoked, nor after
    signing out."""
    if viewer.session is not None:
        client: Client = request.app.state.client
        return await client.keys.signed_in(viewer.session) is not None
    keyring: Keyring = request.app.state.keyring
    return await keyring.knows(viewer.asker)


async def _steering(viewer: Looking, form_token: Annotated[str, Form()] = "") -> Viewer:
    """Every route that changes something depends on it. Raises `Problem` 403."""
    if not hmac.compare_digest(form_token.encode(), viewer.form_token.encode()):
        raise Problem(403, "form", "nothing was done: this form is too old. Load the page again, and repeat")
    if not viewer.may_steer:
        raise Problem(403, "scope", "nothing was done: the key with which you signed in may only look")
    return viewer


Steering = Annotated[Viewer, Depends(_steering)]


async def _own_run(run_id: str, viewer: Looking, client: Asked) -> str:
    """Every page of one run depends on it: somebody else's is not there."""
    await refuse_others(run_id, viewer.asker, client)
    return run_id


OwnRun = Annotated[str, Depends(_own_run)]
