"""The officer's pages that show that the law is kept (GDPR art. 5(2)): versions of the statement, record of processing, checks."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
from starlette.requests import Request as Call
from starlette.responses import Response
from starlette.routing import Route

from ..access import Role
from ..checks import PROFILES, Profile, check
from ..errors import StoreError
from ..privacy import Privacy
from ..rights import disclosures
from ..statement.processing import ProcessingRecord, record_in_force
from ..statement.versions import Version, history, steps
from ..truth import compare
from .owner import OwnerPages
from .pages import HEADERS, Pages
from .sign_in import SignIn


class AccountabilityPages:
    """What an owner shows to an authority, or looks at before one asks."""

    def __init__(self, privacy: Privacy, owner: OwnerPages, sign_in: SignIn) -> None:
        self.privacy = privacy
        self.owner = owner
        self.sign_in = sign_in
        self.pages: Pages = owner.pages

    def routes(self) -> list[Route]:
        """Return the routes."""

        def route(path: str, page: Any) -> Route:
            return self.sign_in.route(f"/owner/{path}", page, role="officer", methods=("GET",))

        return [
            route("statement", self.statement),
            route("processing", self.processing),
            route("processing.json", self.processing_json),
            route("checks", self.checks),
        ]

    async def statement(self, call: Call, role: Role) -> Response:
        """Show the versions of the statement, and what each changed."""
        language = self.pages.language_of(call)
        found = await self.owner.read(lambda store: steps(language, history(store)))
        rows = [(one.version, self._since(one.version), one.changes) for one in found]
        return self._page(call, "versions.html", role, here="statement", rows=rows)

    async def processing(self, call: Call, role: Role) -> Response:
        """Show the record of processing activities."""
        record = await self._record(call)
        return self._page(call, "processing.html", role, here="statement", record=record)

    async def processing_json(self, call: Call, _: Role) -> Response:
        """Return the record of processing activities for programs."""
        record = msgspec.json.format(msgspec.json.encode(await self._record(call)))
        headers = {**HEADERS, "content-disposition": 'attachment; filename="record-of-processing.json"'}
        return self.pages.unlisted(Response(record, media_type="application/json", headers=headers))

    async def _record(self, call: Call) -> ProcessingRecord:
        given = await self.owner.read(lambda store: disclosures.record(self.privacy.office, store))
        return record_in_force(self.pages.language_of(call), self.privacy.facts, given)

    async def checks(self, call: Call, role: Role) -> Response:
        """Show which rules of a law are kept, and whether the database holds more than the statement says."""
        asked = call.query_params.get("profile", self.privacy.settings.profile)
        profile: Profile = next((one for one in PROFILES if one == asked), "gdpr")
        language = self.pages.language_of(call)

        found = await self.owner.read(lambda store: check(language, self.privacy, store, profile))
        try:
            compared = await self.owner.read(lambda store: compare(self.privacy, store))
        except StoreError:  # there are too many visits to look at while a page waits
            compared = []
        found.sort(key=lambda one: one.passed)
        return self._page(call, "checks.html", role, here="statement", checks=found, findings=compared, profile=profile, profiles=PROFILES)

    def _since(self, version: Version) -> datetime:
        return datetime.fromtimestamp(version.since / 1000, self.privacy.settings.zone)

    def _page(self, call: Call, template: str, role: Role, **values: Any) -> Response:
        return self.owner.render(call, f"owner/{template}", role, **values)
