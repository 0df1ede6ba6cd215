"""A real HTTP receiver for webhooks: checks every signature and keeps what came, in order.

It can be told to misbehave, because a receiver that only ever answers 204 proves little.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from fusion_daemon.alerting.signature import SignatureInvalid, verify


@dataclass(frozen=True, slots=True)
class Arrival:
    """One request: when (unix seconds), under which webhook id, to which path, and what it said."""

    at: float
    webhook_id: str
    path: str
    genuine: bool
    body: dict[str, object]


@dataclass(frozen=True, slots=True)
class Answer:
    """What the receiver answers to one request."""

    status: int = 204
    headers: tuple[tuple[str, str], ...] = ()


class WebhookReceiver:
    """Listens on a free loopback port in threads of its own until `close`."""

    def __init__(self, secret: str, answer: Callable[[Arrival], Answer] = lambda arrival: Answer()) -> None:
        self._secret = secret
        self.answer = answer
        """What to answer; may be changed at any time, and may block: each request has a thread."""
        self._lock = threading.Lock()
        self._arrivals: list[Arrival] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_POST(self) -> None:  # the name is http.server's
                receiver._receive(self)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is http.server's
                """Silent: what arrived is in `arrivals`."""

        self._server = _Server(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name="receiver", daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/alerts"

    def arrivals(self) -> list[Arrival]:
        """Everything that arrived so far, duplicates included."""
        with self._lock:
            return list(self._arrivals)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _receive(self, request: BaseHTTPRequestHandler) -> None:
        raw = request.rfile.read(int(request.headers.get("Content-Length", "0")))
        now = time.time()
        try:
            verify([self._secret], dict(request.headers.items()), raw, now=now)
            genuine = True
        except SignatureInvalid:
            genuine = False  # kept and shown as such: a forged call is a finding, not an accident
        arrival = Arrival(now, request.headers.get("webhook-id", ""), request.path, genuine, json.loads(raw))
        answer = self.answer(arrival) if genuine else Answer(401)
        with self._lock:
            self._arrivals.append(arrival)
        request.send_response(answer.status)
        for name, value in answer.headers:
            request.send_header(name, value)
        request.send_header("Content-Length", "0")
        request.end_headers()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def handle_error(self, request: object, client_address: object) -> None:
        """A caller that went away in the middle is part of the play: the daemon is killed. Else the traceback."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]  # typeshed names a union
