"""The pages of the statement: in force now, of earlier versions, what changed, and the same for programs."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, tzinfo
from typing import Any, Final, NamedTuple

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ..language import Language
from ..privacy import Privacy
from ..statement.changes import Change
from ..statement.facts import Facts
from ..statement.linked_data import statement_document
from ..statement.section import Section, plain_text
from ..statement.versions import Step, Version, difference, find, history, steps
from ..waiting import answer_of
from .pages import HEADERS, Pages, base_path
from .visitor import UNREACHABLE, statement_date

LONGEST_NUMBER: Final = 10
JSON_HEADERS: Final = {**HEADERS, "access-control-allow-origin": "*"}
"""What is said to everybody may be read by everybody's programs."""


class StatementDocument(msgspec.Struct, frozen=True, kw_only=True):
    """The statement for programs: `statement.json`, by the schema at `statement.schema.json`."""

    version: int | None
    """Counts up; null while the database cannot be reached."""
    name: str
    """The first eight hexadecimal digits of the SHA-256 of the facts: what receipts and submissions name."""
    last_changed: date | None
    language: str
    address: str
    facts: Facts
    sections: tuple[Section, ...]


class Shown(NamedTuple):
    """A version and what it changed, with its date in the owner's time zone."""

    version: Version
    before: Version | None
    changes: list[Change]
    on: date
    instant: str
    """RFC 3339."""


def statement_routes(privacy: Privacy, pages: Pages) -> list[Route]:
    """Return the routes of the statement's pages."""
    site = StatementPages(privacy, pages)
    return [
        Route("/", site.in_force, methods=["GET"]),
        Route("/statement.txt", site.as_text, methods=["GET"]),
        Route("/statement.json", site.as_json, methods=["GET"]),
        Route("/statement.schema.json", site.schema, methods=["GET"]),
        Route("/statement.jsonld", site.as_linked_data, methods=["GET"]),
        Route("/statement/changes", site.changes, methods=["GET"]),
        Route("/statement/changes/{number}", site.difference, methods=["GET"]),
        Route("/statement/feed.atom", site.feed, methods=["GET"]),
        Route("/statement/{number}", site.version, methods=["GET"]),
    ]


class StatementPages:
    """What the statement says, and said."""

    def __init__(self, privacy: Privacy, pages: Pages) -> None:
        self.privacy = privacy
        self.pages = pages

    async def in_force(self, call: Request) -> Response:
        """Show the statement in force."""
        sections = self.privacy.sections(self.pages.language_of(call))
        return self._page(call, sections, self.privacy.facts, changed=await statement_date(self.privacy))

    async def version(self, call: Request) -> Response:
        """Show what an earlier version said, word for word."""
        number = _number_in(call)
        try:
            version, after = await answer_of(self.privacy.recorder.submit(lambda store: (find(store, number), find(store, number + 1))))
        except UNREACHABLE:
            return self.pages.busy(call)
        if version is None or version.facts is None:
            return self.pages.render(call, "not_found.html", status=404)
        sections = version.sections(self.pages.language_of(call))
        return self._page(call, sections, version.facts, version=version, until=self._day(after.since) if after else None)

    def _page(
        self,
        call: Request,
        sections: tuple[Section, ...],
        facts: Facts,
        *,
        changed: date | None = None,
        version: Version | None = None,
        until: date | None = None,
    ) -> Response:
        shown = {"number": version.number, "since": self._day(version.since)} if version else None
        controller = facts.controller
        return self.pages.render(
            call, "statement.html", sections=sections, controller=controller, changed=changed, version=shown, until=until
        )

    async def changes(self, call: Request) -> Response:
        """Show what each version changed, in words."""
        try:
            found = await self._steps(self.pages.language_of(call))
        except UNREACHABLE:
            return self.pages.busy(call)
        return self.pages.render(call, "changes.html", steps=found)

    async def difference(self, call: Request) -> Response:
        """Show a version and the one before, line by line."""
        number = _number_in(call)
        try:
            found = await answer_of(self.privacy.recorder.submit(lambda store: (find(store, number - 1), find(store, number))))
        except UNREACHABLE:
            return self.pages.busy(call)
        before, after = found
        if before is None or after is None or not before.packed or not after.packed:
            return self.pages.render(call, "not_found.html", status=404)
        return self.pages.render(call, "difference.html", number=number, lines=difference(self.pages.language_of(call), before, after))

    async def feed(self, call: Request) -> Response:
        """Return the changes as a feed (Atom, RFC 4287)."""
        language = self.pages.language_of(call)
        try:
            found = await self._steps(language)
        except UNREACHABLE:
            return self.pages.busy(call)
        home = self._home(call)
        values: dict[str, Any] = {
            "steps": [step for step in found if step.version.facts is not None],
            "home": home,
            "id": f"{home}/statement",
            "updated": found[0].instant if found else datetime.fromtimestamp(0, UTC).isoformat(),
            "author": self.privacy.facts.controller.name or home,
        }
        headers = {**HEADERS, "content-language": language.code, "vary": "accept-language"}
        return Response(self.pages.text("feed.atom", language, **values), media_type="application/atom+xml", headers=headers)

    # --- for programs ------------------------------------------------------------------------------------------------------

    async def as_text(self, call: Request) -> Response:
        """Return the statement in force as plain text."""
        language = self.pages.language_of(call)
        text = plain_text(self.privacy.sections(language), base=self._home(call))
        return Response(text, media_type="text/plain", headers=self._of(language))

    async def as_json(self, call: Request) -> Response:
        """Return the statement in force for programs."""
        language = self.pages.language_of(call)
        document = StatementDocument(
            version=await self._number(),
            name=self.privacy.statement_digest.hex()[:8],
            last_changed=await statement_date(self.privacy),
            language=language.code,
            address=self._home(call) + "/",
            facts=self.privacy.facts,
            sections=self.privacy.sections(language),
        )
        return Response(msgspec.json.encode(document), media_type="application/json", headers=self._of(language))

    async def schema(self, _: Request) -> Response:
        """Return the JSON Schema of `statement.json`."""
        schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **msgspec.json.schema(StatementDocument)}
        return Response(json.dumps(schema, indent=1), media_type="application/schema+json", headers=JSON_HEADERS)

    async def as_linked_data(self, call: Request) -> Response:
        """Return the statement in force as JSON-LD."""
        language = self.pages.language_of(call)
        number, since = await self._number(), await statement_date(self.privacy)
        address = self._home(call) + "/"
        document = statement_document(language, self.privacy.facts, address=address, version=number or 0, since=since)
        text = json.dumps(document, ensure_ascii=False, indent=1)
        return Response(text, media_type="application/ld+json", headers=self._of(language))

    # --- shared ------------------------------------------------------------------------------------------------------------

    async def _steps(self, language: Language) -> list[Shown]:
        found = await answer_of(self.privacy.recorder.submit(lambda store: steps(language, history(store))))
        return [self._shown(step) for step in found]

    def _shown(self, step: Step) -> Shown:
        instant = datetime.fromtimestamp(step.version.since / 1000, UTC).isoformat(timespec="seconds")
        return Shown(*step, self._day(step.version.since), instant.replace("+00:00", "Z"))

    async def _number(self) -> int | None:
        try:
            versions = await answer_of(self.privacy.recorder.submit(history))
        except UNREACHABLE:
            return None
        return versions[0].number if versions else None

    def _day(self, instant: int) -> date:
        zone: tzinfo = self.privacy.settings.zone
        return datetime.fromtimestamp(instant / 1000, zone).date()

    def _home(self, call: Request) -> str:
        return home(call, self.privacy)

    def _of(self, language: Language) -> dict[str, str]:
        return {**JSON_HEADERS, "content-language": language.code, "vary": "accept-language"}


def _number_in(call: Request) -> int:
    """Return the number of a version in the path; 0, which none has, if it is none."""
    text: str = call.path_params["number"]
    return int(text) if text.isascii() and text.isdecimal() and len(text) < LONGEST_NUMBER else 0


def home(call: Request, privacy: Privacy) -> str:
    """Return the address of the privacy pages: by the configured public address, or else without a host."""
    settings = privacy.settings
    return settings.base_url + settings.path if settings.base_url else base_path(call)
