"""Renders our own pages, all under the same strict headers; no page needs JavaScript."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response

_CSP: Final = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors {}"
HEADERS: Final = {
    "cache-control": "no-store",
    "content-security-policy": _CSP.format("'none'"),
    # Not no-referrer: browsers would then send `Origin: null` with our own forms (Fetch standard, "append a request Origin header").
    "referrer-policy": "same-origin",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "cross-origin-opener-policy": "same-origin",
}


def base_path(request: Request) -> str:
    """Return the path of the mount as it may stand in a link or header; a mount in front of it can hold anything."""
    root = request.scope.get("root_path", "")
    return quote("/" + root.lstrip("/\\") if root else "", safe="/~:@!$&'()*+,=")  # `//host` would be another site


class Pages:
    """The templates, with everything in them escaped."""

    def __init__(self) -> None:
        self._environment = Environment(
            loader=PackageLoader("privacy_middleware.site"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )

    def render(self, request: Request, template: str, *, status: int = 200, **values: Any) -> Response:
        """Return a page; `base` in the template is the path of the mount, as the browser sees it."""
        base = base_path(request)
        text = self._environment.get_template(template).render(base=base, **values)
        return HTMLResponse(text, status, {**HEADERS, "link": f'<{base}/>; rel="privacy-policy"'})

    def busy(self, request: Request, *, seconds: int = 60) -> Response:
        """Return the page that says that the database cannot be reached just now, and that nothing was done."""
        response = self.render(request, "busy.html", status=503)
        response.headers["retry-after"] = str(seconds)
        return response

    def text(self, template: str, **values: Any) -> str:
        """Return a rendered template that is no page of the site."""
        return self._environment.get_template(template).render(**values)

    @staticmethod
    def private(response: Response) -> Response:
        """Keep the address of a page, which is a secret, from everybody else, and the page from search engines."""
        response.headers["referrer-policy"] = "no-referrer"
        response.headers["x-robots-tag"] = "noindex, nofollow"
        return response

    @staticmethod
    def unlisted(response: Response) -> Response:
        """Keep a page from search engines."""
        response.headers["x-robots-tag"] = "noindex, nofollow"
        return response

    @staticmethod
    def say(text: str, status: int) -> Response:
        """Return one sentence in plain text."""
        return PlainTextResponse(text + "\n", status, HEADERS)

    @staticmethod
    def allow_frames(response: Response, ancestors: Sequence[str]) -> None:
        """Let the given origins show this one page in a frame."""
        del response.headers["x-frame-options"]
        response.headers["content-security-policy"] = _CSP.format(" ".join(ancestors))
