"""Tells whether a form was sent from our own pages (cross-site request forgery).

Browsers send Sec-Fetch-Site to https and localhost only; elsewhere Origin is compared with the host
(W3C Fetch Metadata; RFC 6454; OWASP "Cross-Site Request Forgery Prevention").
"""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.requests import Request


def is_same_origin(request: Request, base_url: str) -> bool:
    """True if the browser says that the request comes from this site, or says nothing that speaks against it.

    `base_url` counts besides the Host header, which a proxy may have rewritten. Requests without any of the headers
    come from no browser, and carry no cookie of a victim.
    """
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site in ("same-origin", "none")
    origin = request.headers.get("origin")
    return origin is None or _host_of(origin) in {request.headers.get("host", "").lower(), _host_of(base_url)} - {""}


def _host_of(url: str) -> str:
    """Return host and port of an http or https URL, or "" of anything else, such as the `null` of an opaque origin."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    return parts.netloc.lower() if parts.scheme in ("http", "https") else ""
