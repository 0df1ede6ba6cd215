"""The HTTP server: one route table on loopback TCP and a unix socket at once.

It lives on the asyncio side and knows no room: the admin app, the metrics listener and any other
set of routes run on the same class.
"""

from __future__ import annotations

import asyncio
import re
import secrets
import time
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Protocol

from aiohttp import web

from fusion_daemon.aio import AioTimeout
from fusion_daemon.domain.failure import Failure
from fusion_daemon.http.admission import Admission
from fusion_daemon.http.guard import Guard, loopback_hosts, require
from fusion_daemon.http.listener import bind_tcp, bind_unix, remove_unix
from fusion_daemon.http.principals import Principals
from fusion_daemon.http.problem import Problem, problem_of
from fusion_daemon.http.protocol import Connections, came_by_unix, read_body, response_of, uid_of_peer
from fusion_daemon.http.route import Reply, Request, Route, Routes
from fusion_daemon.http.router import Match, Router, check_query
from fusion_daemon.http.settings import HttpSettings
from fusion_daemon.http.statistics import UNMATCHED, HttpStatistics, Tallies

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


class Log(Protocol):
    """Where the server says what clients are not told. A structlog logger fits. Must not block."""

    def warning(self, event: str, **fields: object) -> object: ...

    def error(self, event: str, **fields: object) -> object: ...


@dataclass(frozen=True, slots=True)
class BoundTo:
    """Where a started server listens."""

    port: int | None
    socket: Path | None


class AdminServer:
    """Serves `routes`. Made anywhere; `start` and `stop` run on the asyncio side, once each."""

    def __init__(self, settings: HttpSettings, routes: Routes, principals: Principals, log: Log) -> None:
        """Raises ValueError for a table in which two routes collide, and for one that a network
        listener may not serve."""
        self._settings = settings
        self._router = _router(settings, routes)
        self._principals = principals
        self._guard = Guard(principals, None if settings.network else frozenset())
        self._log = log
        self._admission = Admission(settings.running, settings.waiting, settings.rate, settings.burst)
        self._tallies = Tallies()
        self._runner: web.ServerRunner | None = None
        self._http: Connections | None = None
        self._socket: tuple[Path, int] | None = None

    async def start(self) -> BoundTo:
        """asyncio side: bind and serve. Raises BindRefused or BindFailed, and then nothing listens.
        Cancelled or failed half way, `stop` cleans up."""
        settings = self._settings
        self._http = Connections(self._answer, self._malformed, settings)
        self._runner = web.ServerRunner(self._http, shutdown_timeout=settings.stop)
        await self._runner.setup()
        port: int | None = None
        try:
            if settings.host is not None:
                tcp = bind_tcp(settings.host, settings.port, network=settings.network)
                port = int(tcp.getsockname()[1])
                if not settings.network:
                    self._guard = Guard(self._principals, loopback_hosts(port))
                await web.SockSite(self._runner, tcp, backlog=512).start()
            if settings.socket is not None:
                unix = bind_unix(settings.socket)
                self._socket = (settings.socket, settings.socket.lstat().st_ino)
                await web.SockSite(self._runner, unix, backlog=512).start()
        except Failure:
            await self.stop()
            raise
        return BoundTo(port, settings.socket)

    async def stop(self) -> None:
        """asyncio side: refuse new requests, let those in flight end within `settings.stop`, close."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None
        if self._socket is not None:
            remove_unix(*self._socket)
            self._socket = None

    def serve(self, routes: Routes) -> None:
        """From any thread: the next request meets this table. Raises ValueError as `__init__`."""
        self._router = _router(self._settings, routes)

    def admit(self, principals: Principals) -> None:
        """From any thread: who may ask from the next request on."""
        self._principals = principals
        self._guard = Guard(principals, self._guard.hosts)

    def statistics(self) -> HttpStatistics:
        """From any thread."""
        return HttpStatistics(
            routes=self._tallies.snapshot(),
            connections=0 if self._http is None else self._http.open_connections,
            running=self._admission.running,
            waiting=self._admission.waiting,
            rejected=self._admission.rejected,
        )

    async def _answer(self, raw: web.BaseRequest) -> web.StreamResponse:
        """Every request ends here, in exactly one reply and one count."""
        started = time.perf_counter()
        given = raw.headers.get("X-Request-Id", "")
        request_id = given if _REQUEST_ID.fullmatch(given) else secrets.token_hex(16)
        match: Match | None = None
        try:
            match = self._admit(raw)
            reply = await self._reply(raw, match, request_id)
        except Problem as problem:
            reply = self._refuse(problem, raw.method, match, request_id)
        route = UNMATCHED if match is None else match.route.path
        method = raw.method if raw.method in _METHODS else "OTHER"
        self._tallies.count(method, route, reply.status, time.perf_counter() - started)
        return response_of(reply, request_id)

    def _admit(self, raw: web.BaseRequest) -> Match:
        """The checks that need no body. Raises Problem."""
        if not came_by_unix(raw):
            self._guard.check_host(raw.headers)
        return self._router.match(raw.method, raw.rel_url.raw_path)

    async def _reply(self, raw: web.BaseRequest, match: Match, request_id: str) -> Reply:
        """Raises only Problem."""
        route = match.route
        principal = self._guard.identify(raw.headers, uid_of_peer(raw))
        if route.role is not None:
            require(route.role, principal)
        check_query(route, raw.query)
        try:
            async with asyncio.timeout(self._settings.deadline):
                body = await read_body(raw, self._settings.body_limit)
                request = Request(raw.method, match.path, dict(raw.query), raw.headers, body, principal, request_id)
                if route.management:
                    return await route.handler(request)
                async with self._admission.slot():
                    return await route.handler(request)
        except Problem:
            raise
        except Failure as failure:
            raise self._reported(problem_of(failure, route.failures), failure, route, request_id) from failure
        except (TimeoutError, AioTimeout) as error:
            # Ours, or one of the deadlines inside the handler: either way nobody knows the outcome.
            raise self._reported(_overdue(), error, route, request_id) from error
        except Exception as error:
            # Whatever a handler does, the client gets a problem and we get a log.
            raise self._reported(_broken(), error, route, request_id) from error

    def _reported(self, problem: Problem, error: BaseException, route: Route, request_id: str) -> Problem:
        """What is our fault is logged with its cause; the client gets the request id to name it by."""
        if problem.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            self._log.error(
                "http.failed",
                request_id=request_id,
                method=route.method,
                route=route.path,
                status=problem.status,
                exc_info=error,
            )
        return problem

    def _refuse(self, problem: Problem, method: str, match: Match | None, request_id: str) -> Reply:
        if problem.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            self._log.warning(
                "http.refused",
                request_id=request_id,
                method=method,
                route=UNMATCHED if match is None else match.route.path,
                code=problem.code,
                detail=problem.detail,
            )
        return problem.reply(request_id)

    def _malformed(self, status: int) -> web.Response:
        """Bytes that are not HTTP, or a fault below the handlers."""
        status = min(HTTPStatus.INTERNAL_SERVER_ERROR, status)
        self._tallies.count("OTHER", UNMATCHED, status, 0.0)
        request_id = secrets.token_hex(16)
        problem = Problem(status, "malformed-request", "The request is not valid HTTP.")
        if status == HTTPStatus.INTERNAL_SERVER_ERROR:
            problem = _broken()
            self._log.error("http.failed", request_id=request_id, status=int(status))
        response = response_of(problem.reply(request_id), request_id)
        response.force_close()
        return response


def _router(settings: HttpSettings, routes: Routes) -> Router:
    if settings.network and any(route.role is not None or route.method != "GET" for route in routes):
        raise ValueError("a network listener serves only reads without a role")
    return Router(routes)


def _broken() -> Problem:
    return Problem(
        HTTPStatus.INTERNAL_SERVER_ERROR,
        "internal-error",
        "The request failed for a reason that is the daemon's own; its log names it under the request id.",
    )


def _overdue() -> Problem:
    return Problem(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "overdue",
        "The request was not done in time; whether it took effect is not known.",
        remedy="Read the resource before asking again.",
        headers={"Retry-After": "5"},
    )
