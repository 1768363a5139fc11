"""The public figures: a page, CSV, and JSON with its schema; only if the owner has switched them on."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ..collect.visitor import date_of
from ..language import Language
from ..privacy import Privacy
from ..settings import FEWEST_PUBLIC
from ..statistics.publish import BY_HALF, DAILY, DELTA, EPSILON, Published, half_of, published
from ..store.base import Store
from ..waiting import answer_of
from .charts import chart
from .files import csv_of
from .pages import HEADERS, Pages, base_path
from .panels import TITLES, label
from .periods import span
from .visitor import UNREACHABLE

COLUMNS: Final = ("from", "period", "dimension", "value", "visitors")
HALVES_SHOWN: Final = 24
_CACHED: Final = {**HEADERS, "cache-control": "public, max-age=3600", "access-control-allow-origin": "*"}
SCHEMA: Final = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "Anonymous figures of a website",
    "type": "object",
    "required": ["licence", "epsilon", "delta", "fewest_visitors", "rows"],
    "properties": {
        "licence": {"type": "string", "description": "SPDX identifier or name of the licence"},
        "epsilon": {"type": "number", "description": "privacy budget of one visitor on one day, of all figures together"},
        "delta": {"type": "number"},
        "fewest_visitors": {"type": "integer", "description": "no smaller figure is published"},
        "rows": {
            "type": "array",
            "items": {
                "type": "object",
                "required": list(COLUMNS),
                "properties": {
                    "from": {"type": "string", "format": "date"},
                    "period": {"enum": ["day", "half-month"]},
                    "dimension": {"enum": [DAILY, *BY_HALF]},
                    "value": {"type": "string", "description": "empty for all visitors; countries by ISO 3166"},
                    "visitors": {"type": "integer", "minimum": 0, "description": "daily visitors, with noise"},
                },
            },
        },
    },
}


class FiguresPages:
    """What anybody may see of the statistics."""

    def __init__(self, privacy: Privacy, pages: Pages) -> None:
        self.privacy = privacy
        self.pages = pages

    def routes(self) -> list[Route]:
        """Return the routes; none unless figures are published."""
        if not self.privacy.settings.publish:
            return []
        return [
            Route("/figures", self.page, methods=["GET"]),
            Route("/figures.csv", self.as_csv, methods=["GET"]),
            Route("/figures.json", self.as_json, methods=["GET"]),
            Route("/figures.schema.json", self.schema, methods=["GET"]),
        ]

    async def page(self, request: Request) -> Response:
        """Show the figures, and what was done to them."""
        _ = self.pages.language_of(request)
        found = await self._found()
        if found is None:
            return self.pages.busy(request)
        days = [one for one in found if one.dimension == DAILY]
        first_days = sorted({one.first for one in found if one.dimension in BY_HALF}, reverse=True)[:HALVES_SHOWN]
        halves = [(span(_, *half_of(first)), self._tables(_, [one for one in found if one.first == first])) for first in first_days]
        recent = [(date_of(one.first).isoformat(), one.visitors, 0) for one in days[-92:]]
        return self.pages.render(
            request,
            "figures.html",
            chart=chart(_, recent) if recent else None,
            halves=halves,
            epsilon=EPSILON,
            fewest=FEWEST_PUBLIC,
            licence=self.privacy.settings.publish_licence,
        )

    @staticmethod
    def _tables(_: Language, of_half: Sequence[Published]) -> list[tuple[str, list[tuple[str, int]]]]:
        tables = {
            name: [(label(_, name, one.value), one.visitors) for one in of_half if one.dimension == name and one.value] for name in BY_HALF
        }
        return [(_.own(TITLES[name]), rows) for name, rows in tables.items() if rows]

    async def as_csv(self, request: Request) -> Response:
        """Give all figures as CSV."""
        found = await self._found()
        if found is None:
            return self.pages.busy(request)
        return Response(csv_of(_rows(found), COLUMNS), media_type="text/csv; charset=utf-8", headers=_CACHED)

    async def as_json(self, request: Request) -> Response:
        """Give all figures as JSON, with the licence and what was done to them."""
        found = await self._found()
        if found is None:
            return self.pages.busy(request)
        about = {
            "$schema": f"{self.privacy.settings.base_url}{base_path(request)}/figures.schema.json",
            "licence": self.privacy.settings.publish_licence,
            "epsilon": EPSILON,
            "delta": DELTA,
            "fewest_visitors": FEWEST_PUBLIC,
        }
        return _json({**about, "rows": _rows(found)})

    async def schema(self, _: Request) -> Response:
        """Give the JSON schema of the figures."""
        return _json(SCHEMA)

    async def _found(self) -> list[Published] | None:
        def look(store: Store) -> list[Published]:
            return published(store)

        try:
            return await answer_of(self.privacy.recorder.submit(look))
        except UNREACHABLE:
            return None


def _rows(found: Sequence[Published]) -> list[dict[str, Any]]:
    return [
        {
            "from": date_of(one.first).isoformat(),
            "period": "day" if one.dimension == DAILY else "half-month",
            "dimension": one.dimension,
            "value": one.value,
            "visitors": one.visitors,
        }
        for one in found
    ]


def _json(content: Any) -> Response:
    return Response(json.dumps(content, ensure_ascii=False, indent=1) + "\n", media_type="application/json", headers=_CACHED)
