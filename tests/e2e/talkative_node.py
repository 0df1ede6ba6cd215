"""A node that refuses every call and repeats in the refusal what it was asked with, as some providers do."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:  # the name is http.server's
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        error = {"code": -32_000, "message": f"no plan for {self.path} ({self.headers.get('Authorization', '')})"}
        answers = [{"jsonrpc": "2.0", "id": call["id"], "error": error} for call in asked]
        body = json.dumps(answers).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is http.server's
        """Quiet: a test's output is its own."""


@contextmanager
def talkative_node() -> Iterator[str]:
    """Its host and port, inside the block."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
