"""Tells whether a form was sent from our own pages (cross-site request forgery).

Browsers send Sec-Fetch-Site to https and localhost only; elsewhere Origin is compared with the host
(W3C Fetch Metadata; RFC 6454; OWASP "Cross-Site Request Forgery Prevention").
"""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.requests import Request


def is_same_origin(request: Request) -> bool:
    """True if the browser says that the request comes from this site, or says nothing that speaks against it.

    Requests without any of the headers come from no browser, and carry no cookie of a victim.
    """
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site in ("same-origin", "none")
    origin = request.headers.get("origin")
    if origin is None:
        return True
    return origin != "null" and urlsplit(origin).netloc.lower() == request.headers.get("host", "").lower()
