"""Renders our own pages, all under the same strict headers; no page needs JavaScript."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, tzinfo
from typing import Any, Final
from urllib.parse import quote, urlencode

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.requests import HTTPConnection, Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response

from ..language import Language, Languages
from ..statement.own_words import as_html

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


KEPT_PARAMETERS: Final = ("period", "from", "to", "by", "value", "profile", "purpose")
"""What links to the same page in another language repeat of its address."""


def base_path(request: HTTPConnection) -> str:
    """Return the path of the mount as it may stand in a link or header; a mount in front of it can hold anything."""
    root = request.scope.get("root_path", "")
    return quote("/" + root.lstrip("/\\") if root else "", safe="/~:@!$&'()*+,=")  # `//host` would be another site


def wished_language(connection: HTTPConnection) -> str:
    """Return the language that was chosen by `?lang=`, or ""."""
    return connection.query_params.get("lang", "")


def folded(table: Sequence[Sequence[str]]) -> tuple[list[tuple[str, str]], list[list[str]]]:
    """Take out of a table the columns that say the same in every row; returns these as heading and text, and the rest of the table."""
    columns = list(zip(*table, strict=True))
    same = [len(set(column[1:])) == 1 and len(table) > 2 for column in columns]
    shared = [(column[0], column[1]) for column, is_same in zip(columns, same, strict=True) if is_same]
    return shared, [[cell for cell, is_same in zip(row, same, strict=True) if not is_same] for row in table]


class Pages:
    """The templates, with everything in them escaped, in the language of the reader."""

    def __init__(self, languages: Languages) -> None:
        self.languages = languages
        self._environments: dict[str, Environment] = {}

    def language_of(self, connection: HTTPConnection) -> Language:
        """Return the language in which to answer: the one chosen, else the browser's, else the owner's."""
        return self.languages.get(self.code_of(connection))

    def code_of(self, connection: HTTPConnection) -> str:
        """Return the code of the language in which to answer."""
        return self.languages.choose(wished_language(connection), connection.headers.get("accept-language", ""))

    def _environment(self, language: Language) -> Environment:
        """Return the templates of one language: what is translated is a part of their code."""
        found = self._environments.get(language.code)
        if found is None:
            found = Environment(
                loader=PackageLoader("privacy_middleware.site"),
                autoescape=True,  # feed.atom as well: XML needs the same
                undefined=StrictUndefined,
                trim_blocks=True,
                lstrip_blocks=True,
                extensions=["jinja2.ext.i18n"],
            )
            found.policies["ext.i18n.trimmed"] = True
            found.install_gettext_callables(language.catalogue.gettext, language.catalogue.ngettext, newstyle=True)  # type: ignore[attr-defined]
            names = ("own", "day", "short_day", "month", "moment", "hour", "number", "percent", "listed", "country")
            found.globals.update({name: getattr(language, name) for name in names}, language=language, as_html=as_html, folded=folded)
            self._environments[language.code] = found
        return found

    def render(self, request: Request, template: str, *, status: int = 200, **values: Any) -> Response:
        """Return a page.

        In the template, `base` is the path of the mount, `url("/opt-out")` a link there in the same language, and `wished` the language
        if it was chosen, not found out.
        """
        base, language = base_path(request), self.language_of(request)
        wished = language.code if wished_language(request).lower() == language.code else ""
        chosen = f"lang={wished}" if wished else ""

        def url(path: str) -> str:
            bare, hash_, fragment = path.partition("#")
            return f"{base}{bare}{('&' if '?' in bare else '?') + chosen if chosen else ''}{hash_}{fragment}"

        query = {name: value for name, value in request.query_params.items() if name in KEPT_PARAMETERS}
        others = [(*self.languages.name_of(code), urlencode({**query, "lang": code})) for code in self.languages.codes]
        text = self._environment(language).get_template(template).render(base=base, url=url, wished=wished, languages=others, **values)
        headers = {**HEADERS, "content-language": language.code, "link": f'<{base}/>; rel="privacy-policy"'}
        return HTMLResponse(text, status, {**headers, "vary": "accept-language"})

    def busy(self, request: Request, *, seconds: int = 60) -> Response:
        """Return the page that says that the database cannot be reached just now, and that nothing was done."""
        response = self.render(request, "busy.html", status=503)
        response.headers["retry-after"] = str(seconds)
        return response

    def too_many(self, request: Request, wait: int, *, zone: tzinfo, now: int) -> Response:
        """Return the page that says after how many seconds to come again; `now` in epoch milliseconds."""
        again = datetime.fromtimestamp(now / 1000 + wait, zone)
        response = self.render(request, "too_many.html", status=429, again=again)
        response.headers["retry-after"] = str(wait)
        return response

    def text(self, template: str, language: Language, **values: Any) -> str:
        """Return a rendered template that is no page of the site."""
        return self._environment(language).get_template(template).render(**values)

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
