"""Axelarscan's GMP API and the CCIP API in one loopback server, with fault switches.

The shapes are those of the real answers as far as a reader of ours looks, with fields around them that it has
to leave alone.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

Json = dict[str, object]
PATIENCE = 20.0
"""Seconds that a request hangs at most."""


@dataclass
class Explorers:
    gmp: list[Json] = field(default_factory=list)
    """What searchGMP knows."""
    ccip: dict[str, Json] = field(default_factory=dict)
    """By message id."""
    status: int | None = None
    """Answer everything with this status."""
    body: bytes | None = None
    """Answer everything with this body."""
    hang: threading.Event | None = None
    """Answer nothing before it is set."""
    stall_after: int | None = None
    """Send so many bytes of a body, then nothing more."""
    headers: dict[str, str] = field(default_factory=dict)
    """In every answer."""
    asked: list[str] = field(default_factory=list)
    url: str = ""

    def call(self, transaction: str, log_index: int, **more: object) -> Json:
        """A GMP message as searchGMP tells it; it is known from now on."""
        message: Json = {
            "id": f"{transaction}_{log_index}",
            "call": {"transactionHash": transaction, "logIndex": log_index, "event": "ContractCall", "chain": "local"},
            "status": "called",
            **more,
        }
        self.gmp.append(message)
        return message

    def answer(self, path: str) -> tuple[int, bytes]:
        parts = urlsplit(path)
        if self.status is not None:
            return self.status, b"{}" if self.body is None else self.body
        if self.body is not None:
            return 200, self.body
        if parts.path.startswith("/v2/messages/"):
            found = self.ccip.get(parts.path.removeprefix("/v2/messages/"))
            return (404, b'{"error":"NOT_FOUND"}') if found is None else (200, json.dumps(found).encode())
        wanted = parse_qs(parts.query)["txHash"][0]
        data = [each for each in self.gmp if str(each["id"]).startswith(wanted)]
        return 200, json.dumps({"data": data, "total": len(data), "time_spent": 3}).encode()


@contextmanager
def serve_explorers() -> Iterator[Explorers]:
    explorers, ended = Explorers(), threading.Event()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            explorers.asked.append(self.path)
            if explorers.hang is not None:
                explorers.hang.wait(PATIENCE)
            status, body = explorers.answer(self.path)
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            for name, value in explorers.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body[: explorers.stall_after])
            if explorers.stall_after is not None:
                ended.wait(PATIENCE)

        def log_message(self, *_: object) -> None:
            """Silent."""

        def handle(self) -> None:
            try:
                super().handle()
            except ConnectionError:
                """The client gave up, as a test of its timeout wants."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    explorers.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield explorers
    finally:
        ended.set()
        if explorers.hang is not None:
            explorers.hang.set()
        server.shutdown()
        server.server_close()
        thread.join()
