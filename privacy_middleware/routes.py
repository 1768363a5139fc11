"""Finds the route template (`/orders/{id}`) under which the host's framework answered, without importing any framework."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from .collect.page import matches, scrub_path

Template = str | tuple[str, ...] | None


class RouteTemplates:
    """Templates by endpoint, learnt from the router that the framework leaves in the scope.

    Starlette and FastAPI leave `router` and `endpoint`, some `route`; Litestar leaves `path_template`.
    """

    def __init__(self) -> None:
        self.known: dict[Any, Template] = {}
        """For the hot path: the template of every endpoint seen so far."""

    def find(self, scope: Mapping[str, Any], root: str = "") -> Template:
        """Return the template, several if one endpoint serves several, or None where the framework gives none.

        `root` is the root path before the host had the request; what it gained since is the mount of a sub-application.
        """
        endpoint = scope.get("endpoint")
        if endpoint is None:
            template = scope.get("path_template")
            return template if isinstance(template, str) else None
        mount = scope.get("root_path", "").removeprefix(root)
        try:
            key = (endpoint, mount) if mount else endpoint
            if key not in self.known:
                self.known[key] = self._below(mount, self._learn(scope, endpoint), scope["path"].removeprefix(root))
            return self.known[key]
        except TypeError:  # an endpoint that cannot be a key, such as Starlette's Router
            return None

    @staticmethod
    def _below(mount: str, template: Template, path: str) -> Template:
        """Put the mount of a sub-application before its template; the templates of a mounted router have it already."""
        if not mount or not isinstance(template, str) or matches(path, template):
            return template
        return scrub_path(mount) + template

    def _learn(self, scope: Mapping[str, Any], endpoint: Any) -> Template:
        if len(self.known) > 10_000:
            self.known.clear()
        known: dict[Any, Template] = {}
        router = getattr(scope.get("app"), "router", None) or scope.get("router")
        found: dict[Any, list[str]] = {}
        for template, served in _walk(getattr(router, "routes", ()), "", depth=0):
            found.setdefault(served, []).append(template)
        for served, templates in found.items():
            known[served] = templates[0] if len(set(templates)) == 1 else tuple(dict.fromkeys(templates))
        if endpoint in known:
            return known[endpoint]
        path = getattr(scope.get("route"), "path", None)
        return path if isinstance(path, str) else None


def _walk(routes: Any, prefix: str, *, depth: int) -> Iterator[tuple[str, Any]]:
    for route in routes if depth < 10 else ():
        path = getattr(route, "path", "")
        inner = getattr(route, "routes", None)
        if inner:
            yield from _walk(inner, prefix + path, depth=depth + 1)
            continue
        endpoint = getattr(route, "endpoint", None)
        if isinstance(path, str) and getattr(endpoint, "__hash__", None) is not None:
            yield prefix + path, endpoint
