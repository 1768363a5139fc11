"""Figures for those who keep the server running, as OpenMetrics text 1.0: queue, losses, batches, deadlines; nothing of visitors."""

from __future__ import annotations

import hmac
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from ..privacy import Privacy
from ..rights import outbox, requests
from ..store import queries
from ..store.base import Store
from ..waiting import answer_of
from .pages import HEADERS, Pages
from .visitor import UNREACHABLE

TYPE: Final = "application/openmetrics-text; version=1.0.0; charset=utf-8"
LAST_DAY: Final = 2**31


class Metrics:
    """The page at `/metrics`; there is none without a token."""

    def __init__(self, privacy: Privacy, pages: Pages) -> None:
        self.privacy = privacy
        self.pages = pages
        self.clock: Callable[[], float] = time.time

    def routes(self) -> list[Route]:
        """Return the route, if a token is set."""
        return [Route("/metrics", self.show, methods=["GET"])] if self.privacy.settings.metrics_token else []

    async def show(self, request: Request) -> Response:
        """Give the metrics to who sends the token."""
        given = request.headers.get("authorization", "").encode()
        if not hmac.compare_digest(given, f"Bearer {self.privacy.settings.metrics_token}".encode()):
            response = self.pages.say("Send the token of PRIVACY_METRICS_TOKEN: `Authorization: Bearer …`.", 401)
            response.headers["www-authenticate"] = "Bearer"
            return response
        try:
            found = await answer_of(self.privacy.recorder.submit(self._look))
        except UNREACHABLE:
            found = {"up": 0}
        return PlainTextResponse("".join(self._lines(found)) + "# EOF\n", headers={**HEADERS, "content-type": TYPE})

    def _look(self, store: Store) -> dict[str, Any]:
        counted = {row["name"]: row["amount"] for row in store.rows(queries.COUNTS, first=0, last=LAST_DAY, step=1)}
        asked = [one for one in requests.find_all(store) if one.is_open]
        return {
            "up": 1,
            "counted": counted,
            "open": len(asked),
            "overdue": sum(one.due < self.clock() * 1000 for one in asked),
            "due": min((one.due for one in asked), default=None),
            "mails": len(outbox.find(store)),
            "hits": store.rows(queries.HITS_STORED)[0]["hits"],
        }

    def _lines(self, found: Mapping[str, Any]) -> Iterator[str]:
        recorder = self.privacy.recorder
        yield from _gauge("privacy_database_up", "1 if the database can be used", found["up"])
        yield from _gauge("privacy_queue_length", "visits that wait to be written, in this process", len(recorder.queue))
        yield from _gauge("privacy_batch_seconds", "time that the last batch took to be written, in this process", recorder.batch_seconds)
        yield from _gauge("privacy_spool_submissions", "submissions that wait for the database", len(self.privacy.spool.waiting()))
        if not found["up"]:
            return
        yield from _gauge("privacy_hits_stored", "single visits that are kept", found["hits"])
        yield from _counter("privacy_dropped", "visits not recorded, by reason", found["counted"], "dropped.", "reason")
        yield from _counter("privacy_faults", "errors of the package, by kind", found["counted"], "fault.", "kind")
        yield from _counter("privacy_mails", "mails, by what became of them", found["counted"], "mail.", "outcome")
        yield from _gauge("privacy_mails_waiting", "mails that wait to be sent", found["mails"])
        yield from _gauge("privacy_requests_open", "data requests not closed", found["open"])
        yield from _gauge("privacy_requests_overdue", "data requests past their deadline", found["overdue"])
        if found["due"] is not None:
            yield from _gauge("privacy_request_deadline_seconds", "when the next data request must be answered, epoch", found["due"] / 1000)


def _gauge(name: str, meaning: str, value: float) -> Iterator[str]:
    yield f"# TYPE {name} gauge\n# HELP {name} {meaning}\n{name} {value}\n"


def _counter(name: str, meaning: str, counted: Mapping[str, int], prefix: str, label: str) -> Iterator[str]:
    yield f"# TYPE {name} counter\n# HELP {name} {meaning}\n"
    for key, amount in counted.items():
        if key.startswith(prefix):
            value = key.removeprefix(prefix).replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
            yield f'{name}_total{{{label}="{value}"}} {amount}\n'
