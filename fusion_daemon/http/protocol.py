"""Our limits on aiohttp's low-level server, and its bridge to problem details.

Everything that depends on how aiohttp is built inside is in this file.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus

from aiohttp import web

from fusion_daemon.http.listener import peer_uid
from fusion_daemon.http.problem import Problem
from fusion_daemon.http.route import JSON, Reply
from fusion_daemon.http.settings import HttpSettings

_SILENT = logging.getLogger("fusion_daemon.http.aiohttp")
_SILENT.disabled = True
"""aiohttp would log peers and tracebacks in its own words; what matters is logged by the server."""
_SECURITY_HEADERS: Mapping[str, str] = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}
_LINGER_SECONDS = 2.0
"""How long a refused body is still read, so that the client gets to read the refusal."""

Answer = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
Malformed = Callable[[int], web.Response]
"""Makes the response for bytes that are not HTTP, given aiohttp's status for them."""


class Connections(web.Server):
    """Connections are closed when there are too many of them or when they idle."""

    def __init__(self, answer: Answer, malformed: Malformed, settings: HttpSettings) -> None:
        super().__init__(answer)
        self._malformed = malformed
        self._settings = settings

    @property
    def open_connections(self) -> int:
        return len(self._connections)

    def connection_made(self, handler: web.RequestHandler, transport: asyncio.Transport) -> None:
        super().connection_made(handler, transport)
        if self.open_connections > self._settings.connections:
            transport.abort()

    def __call__(self) -> web.RequestHandler:
        return _Connection(self, self._loop, self._malformed, self._settings)


class _Connection(web.RequestHandler):
    __slots__ = ("_malformed",)

    def __init__(
        self,
        server: Connections,
        loop: asyncio.AbstractEventLoop,
        malformed: Malformed,
        settings: HttpSettings,
    ) -> None:
        super().__init__(
            server,
            loop=loop,
            keepalive_timeout=settings.idle,
            lingering_time=_LINGER_SECONDS,
            auto_decompress=False,
            logger=_SILENT,
            access_log=_SILENT,
        )
        self._malformed = malformed

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = HTTPStatus.INTERNAL_SERVER_ERROR,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        if request.writer.output_size > 0:
            raise ConnectionError("the reply had already begun")
        return self._malformed(status)


def came_by_unix(raw: web.BaseRequest) -> bool:
    return raw.transport is not None and isinstance(raw.transport.get_extra_info("sockname"), str)


def uid_of_peer(raw: web.BaseRequest) -> int | None:
    """The user behind a unix-socket connection; None on TCP."""
    if raw.transport is None or not came_by_unix(raw):
        return None
    return peer_uid(raw.transport.get_extra_info("socket"))


async def read_body(raw: web.BaseRequest, limit: int) -> bytes:
    """The JSON body, whole. Raises Problem 400, 413, 415 or 417."""
    if not raw.can_read_body:
        return b""
    if raw.method not in ("POST", "PUT", "PATCH"):
        raise Problem(HTTPStatus.BAD_REQUEST, "unexpected-body", f"{raw.method[:16]} takes no body.")
    if raw.content_type != JSON or "Content-Encoding" in raw.headers:
        raise Problem(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            "unsupported-media-type",
            f"The body must be {JSON}, not encoded further.",
            remedy=f"Send Content-Type: {JSON} and no Content-Encoding (curl -d alone sends a form).",
            headers={"Accept": JSON},
        )
    if (raw.content_length or 0) > limit:
        raise _too_large(limit)
    await _continue(raw)
    body = bytearray()
    try:
        async for chunk in raw.content.iter_any():
            body += chunk
            if len(body) > limit:
                raise _too_large(limit)
    except (web.RequestPayloadError, ConnectionError) as error:
        raise Problem(HTTPStatus.BAD_REQUEST, "body-cut", "The body ended before its length.") from error
    return bytes(body)


def response_of(reply: Reply, request_id: str) -> web.Response:
    headers = {**_SECURITY_HEADERS, **reply.headers, "X-Request-Id": request_id}
    if reply.body:
        headers["Content-Type"] = reply.content_type
    return web.Response(status=reply.status, body=reply.body, headers=headers)


async def _continue(raw: web.BaseRequest) -> None:
    """A client that asks before it sends is told to send. Raises Problem 417."""
    expect = raw.headers.get("Expect")
    if expect is None:
        return
    if expect.lower() != "100-continue":
        raise Problem(HTTPStatus.EXPECTATION_FAILED, "expectation-failed", "Only 100-continue is understood.")
    await raw.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    # The interim answer is not part of the reply, which has not begun.
    raw.writer.output_size = 0


def _too_large(limit: int) -> Problem:
    return Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "body-too-large", f"The body may have at most {limit} bytes.")
