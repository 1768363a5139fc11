"""What the officer's pages share: their routes, how they read and write, and how they write instants."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

from starlette.requests import Request as Call
from starlette.responses import Response
from starlette.routing import Route

from ..access import Role
from ..privacy import Privacy
from ..store.base import Store
from ..waiting import answer_of
from .owner import OwnerPages
from .sign_in import SignIn

ACTOR: Final = "the owner (page)"
MOST_ROWS: Final = 200


class OfficerPages:
    """Pages for who may see more than statistics."""

    def __init__(self, privacy: Privacy, owner: OwnerPages, sign_in: SignIn) -> None:
        self.privacy = privacy
        self.owner = owner
        self.sign_in = sign_in
        self.office = privacy.office
        self.clock: Callable[[], float] = time.time

    def _route(self, path: str, page: Any, *methods: str) -> Route:
        return self.sign_in.route(f"/owner/{path}", page, role="officer", methods=methods or ("GET",))

    def _page(self, call: Call, template: str, role: Role, *, here: str, status: int = 200, **values: Any) -> Response:
        return self.owner.render(call, f"owner/{template}", role, here=here, status=status, **values)

    def _not_found(self, call: Call) -> Response:
        return self.owner.pages.render(call, "not_found.html", status=404)

    async def _in_store(self, work: Callable[[Store], Any]) -> Any:
        return await answer_of(self.privacy.recorder.submit(work))

    def _now(self) -> int:
        return int(self.clock() * 1000)

    def _date(self, instant: int | None) -> str:
        return self._instant(instant)[:10]

    def _instant(self, instant: int | None) -> str:
        if instant is None:
            return ""
        return datetime.fromtimestamp(instant / 1000, self.privacy.settings.zone).strftime("%Y-%m-%d %H:%M")
