"""Finds the route template (`/orders/{id}`) under which the host's framework answered, without importing any framework."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

Template = str | tuple[str, ...] | None


class RouteTemplates:
    """Templates by endpoint, learnt from the router that the framework leaves in the scope; each router is read once.

    Starlette and FastAPI leave `router` and `endpoint`, some `route`; Litestar leaves `path_template`.
    """

    def __init__(self) -> None:
        self.known: dict[Any, Template] = {}
        """For the hot path: the template of every endpoint seen so far."""

    def find(self, scope: Mapping[str, Any]) -> Template:
        """Return the template, several if one endpoint serves several, or None where the framework gives none."""
        endpoint = scope.get("endpoint")
        if endpoint is None:
            template = scope.get("path_template")
            return template if isinstance(template, str) else None
        try:
            return self.known[endpoint]
        except KeyError:
            return self._learn(scope, endpoint)
        except TypeError:  # an endpoint that cannot be a key, such as Starlette's Router
            return None

    def _learn(self, scope: Mapping[str, Any], endpoint: Any) -> Template:
        if len(self.known) > 10_000:
            self.known.clear()
        router = getattr(scope.get("app"), "router", None) or scope.get("router")
        found: dict[Any, list[str]] = {}
        for template, served in _walk(getattr(router, "routes", ()), "", depth=0):
            found.setdefault(served, []).append(template)
        for served, templates in found.items():
            self.known[served] = templates[0] if len(set(templates)) == 1 else tuple(dict.fromkeys(templates))
        if endpoint not in self.known:
            path = getattr(scope.get("route"), "path", None)
            self.known[endpoint] = path if isinstance(path, str) else None
        return self.known[endpoint]


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
