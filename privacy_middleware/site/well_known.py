"""Answers what browsers look for at the origin's root, where the host itself knows no such path.

Sources: Global Privacy Control (W3C), "GPC Support Resource"; Tracking Preference Expression (W3C), section 6.5
"Tracking Status Representation".
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from ..privacy import Privacy
from .visitor import statement_date

Message = MutableMapping[str, Any]


class HostFirst:
    """Passes the host's answer on, but holds a 404 back so that ours can take its place."""

    def __init__(self, send: Callable[[Message], Awaitable[None]]) -> None:
        self._send = send
        self.declined = False

    async def send(self, message: Message) -> None:
        """Take one message of the host's answer."""
        if message["type"] == "http.response.start":
            self.declined = message["status"] == 404
        if not self.declined:
            await self._send(message)


def well_known_app(path: str, privacy: Privacy) -> ASGIApp | None:
    """Return an app that answers a well-known path, or None if it is none of ours."""
    if path == "/.well-known/gpc.json":
        return _gpc_support(privacy)
    if path == "/.well-known/dnt/" and privacy.settings.signals["dnt"]:
        return Response('{"tracking": "N"}\n', media_type="application/tracking-status+json")
    return None


def _gpc_support(privacy: Privacy) -> ASGIApp:
    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        support: dict[str, object] = {"gpc": privacy.settings.signals["gpc"]}
        changed = await statement_date(privacy)
        if changed:
            support["lastUpdate"] = changed.isoformat()
        await Response(json.dumps(support) + "\n", media_type="application/json")(scope, receive, send)

    return answer
