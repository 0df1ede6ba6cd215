"""From a method and a path to a route. Pure.

INVARIANT: a path is cut at its slashes before it is percent-decoded, so `%2F` is a character of a
segment and cannot reach another route; and no two routes of a table match the same request.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import unquote

from fusion_daemon.http.problem import Problem, invalid, not_found
from fusion_daemon.http.route import Route

_Segments = tuple[str | None, ...]
"""A literal, or None for a placeholder."""


@dataclass(frozen=True, slots=True)
class Match:
    route: Route
    path: Mapping[str, str]


def check_query(route: Route, given: Iterable[str]) -> None:
    """Raises Problem 422 for a parameter that the route does not read."""
    unknown = sorted(set(given) - set(route.query))
    if unknown:
        known = " and ".join(route.query) if route.query else "no parameters"
        raise invalid(f"{route.path} does not know the parameter {unknown[0][:64]!r}; it takes {known}.")


class Router:
    def __init__(self, routes: Sequence[Route]) -> None:
        """Raises ValueError when two routes would answer the same request."""
        self._by_shape: dict[_Segments, dict[str, Route]] = {}
        for route in routes:
            methods = self._by_shape.setdefault(_shape(route.path), {})
            if route.method in methods:
                raise ValueError(f"two routes answer {route.method} {route.path}")
            methods[route.method] = route
        # Most literal first: /v1/accounts/new is not the account called "new".
        self._shapes = sorted(self._by_shape, key=lambda shape: tuple(part is None for part in shape))

    def match(self, method: str, raw_path: str) -> Match:
        """HEAD is answered by GET's route. Raises Problem 404, or 405 with Allow."""
        segments = [unquote(part) for part in raw_path.removeprefix("/").split("/")]
        if any("\0" in segment for segment in segments):
            raise not_found("resource at this path")
        for shape in self._shapes:
            if len(shape) != len(segments) or not all(
                literal is None or literal == segment for literal, segment in zip(shape, segments, strict=True)
            ):
                continue
            methods = self._by_shape[shape]
            route = methods.get("GET" if method == "HEAD" else method)
            if route is None:
                raise _not_allowed(method, methods)
            return Match(route, _values(route.path, segments))
        raise not_found("resource at this path")


def _shape(path: str) -> _Segments:
    return tuple(None if part.startswith("{") else part for part in path.removeprefix("/").split("/"))


def _values(template: str, segments: Sequence[str]) -> Mapping[str, str]:
    parts = template.removeprefix("/").split("/")
    return {part[1:-1]: segment for part, segment in zip(parts, segments, strict=True) if part.startswith("{")}


def _not_allowed(method: str, methods: Mapping[str, Route]) -> Problem:
    allowed = sorted(methods) + (["HEAD"] if "GET" in methods else [])
    return Problem(
        HTTPStatus.METHOD_NOT_ALLOWED,
        "method-not-allowed",
        f"This resource does not answer {method[:16]}.",
        headers={"Allow": ", ".join(allowed)},
    )
