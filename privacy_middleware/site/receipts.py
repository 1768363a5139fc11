"""Receipts that a person keeps of what they decided: of a choice by its cookie, of an objection or restriction behind its secret link."""

from __future__ import annotations

import json
from datetime import datetime

from starlette.requests import Request as Call
from starlette.responses import Response
from starlette.routing import Route

from ..collect.choice import REFUSED, kept_choice
from ..privacy import Privacy
from ..record.submissions import root_key
from ..rights import consents, links, requests
from ..rights.requests import Request
from ..statement.facts import Facts
from ..statement.linked_data import OF_REQUESTS, Decision, receipt_document
from ..statement.versions import facts_by_name
from ..store.base import Store
from ..waiting import answer_of
from .pages import HEADERS, Pages
from .statement import home
from .visitor import UNREACHABLE


def receipt_routes(privacy: Privacy, pages: Pages) -> list[Route]:
    """Return the routes of receipts."""
    site = ReceiptPages(privacy, pages)
    return [
        Route("/receipt", site.of_choice, methods=["GET"]),
        Route("/requests/receipt/{token}", site.of_request, methods=["GET"]),
        Route("/newsletter/{token}/receipt", site.of_consent, methods=["GET"]),
    ]


class ReceiptPages:
    """Receipts as JSON-LD, to download."""

    def __init__(self, privacy: Privacy, pages: Pages) -> None:
        self.privacy = privacy
        self.pages = pages

    async def of_choice(self, call: Call) -> Response:
        """Return a receipt of this browser's choice, as it is today: the cookie alone says it, and it has no date."""
        kept = kept_choice(call.cookies)
        if kept is None or not kept.version:
            return self.pages.render(call, "not_found.html", status=404)
        facts = self.privacy.facts
        if kept.version != self.privacy.statement_digest.hex()[:8]:
            try:
                found = await answer_of(self.privacy.recorder.submit(lambda store: facts_by_name(store, {kept.version})))
            except UNREACHABLE:
                return self.pages.busy(call)
            if kept.version not in found:
                return self.pages.render(call, "not_found.html", status=404)
            facts = found[kept.version]
        today = datetime.fromtimestamp(self.privacy.clerk.clock(), self.privacy.settings.zone).date()
        decision = Decision(
            event="refused" if kept.choice == REFUSED else "allowed",
            purpose=self.privacy.facts.visits_purpose,
            at=today,
            version=kept.version,
            identifier=f"{kept.choice}-{kept.version}-{today.isoformat()}",
            language=self.pages.code_of(call),
        )
        return self._download(call, decision, facts)

    async def of_consent(self, call: Call) -> Response:
        """Return a receipt of a consent that was given or withdrawn, behind its secret link."""
        try:
            found = await answer_of(self.privacy.recorder.submit(lambda store: self._find_consent(store, call.path_params["token"])))
        except UNREACHABLE:
            return self.pages.busy(call)
        if found is None:
            return self.pages.private(self.pages.render(call, "no_link.html", status=404))
        return self.pages.private(self._download(call, *found))

    def _find_consent(self, store: Store, token: str) -> tuple[Decision, Facts] | None:
        with store.transaction():
            consent = consents.find(self.privacy.office, store, token)
        if consent is None or consent.given is None:
            return None
        version = consent.statement.hex()[:8]
        decision = Decision(
            event="consented" if consent.is_in_force else "withdrawn",
            purpose=consent.purpose,
            at=datetime.fromtimestamp((consent.withdrawn or consent.given) / 1000, self.privacy.settings.zone),
            version=version,
            identifier=consent.id.hex(),
            language=consents.wording(self.privacy.office, store, consent).language,
        )
        return decision, facts_by_name(store, {version}).get(version, self.privacy.facts)

    async def of_request(self, call: Call) -> Response:
        """Return a receipt of an objection, or of a restriction, that was confirmed."""
        try:
            found = await answer_of(self.privacy.recorder.submit(lambda store: self._find(store, call.path_params["token"])))
        except UNREACHABLE:
            return self.pages.busy(call)
        if found is None:
            return self.pages.private(self.pages.render(call, "no_link.html", status=404))
        return self.pages.private(self._download(call, *found))

    def _find(self, store: Store, token: str) -> tuple[Decision, Facts] | None:
        now = int(self.privacy.clerk.clock() * 1000)
        with store.transaction():
            link = links.find(store, root_key(store, self.privacy.office.vault()), token, "status", now=now)
        if link is None:
            return None
        decision = self._decision(requests.get(store, link[0]), store)
        return (decision, facts_by_name(store, {decision.version}).get(decision.version, self.privacy.facts)) if decision else None

    def _decision(self, request: Request, store: Store) -> Decision | None:
        if request.kind not in OF_REQUESTS or request.confirmed is None:
            return None
        who = requests.particulars(self.privacy.office, store, request)
        return Decision(
            event=OF_REQUESTS[request.kind],
            purpose="",
            at=datetime.fromtimestamp(request.confirmed / 1000, self.privacy.settings.zone),
            version=request.statement.hex()[:8],
            identifier=request.id.hex(),
            language=who.language,
            person=who.email,
        )

    def _download(self, call: Call, decision: Decision, facts: Facts) -> Response:
        document = receipt_document(self.pages.language_of(call), facts, decision, address=home(call, self.privacy) + "/")
        headers = {**HEADERS, "content-disposition": 'attachment; filename="receipt.jsonld"'}
        return Response(json.dumps(document, ensure_ascii=False, indent=1), media_type="application/ld+json", headers=headers)
