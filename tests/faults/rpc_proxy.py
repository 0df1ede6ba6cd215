"""A faulty RPC provider in front of an honest node, over real HTTP on loopback.

In a test: `with proxied(url) as proxy`, then switch `proxy.faults`. By hand, for any client:

    python -m tests.faults.rpc_proxy http://127.0.0.1:8545 --port 8546 --seed 1
    curl -X POST 127.0.0.1:8546/faults -d '{"most_blocks": 10, "rule": "alchemy_cap"}'

GET /faults tells the switches that are on and what was asked; POST replaces all switches, so `{}` is an honest proxy.
With one client that asks one thing after the other, the same seed gives the same faults.
"""

from __future__ import annotations

import argparse
import http.client
import json
import random
import threading
import time
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import cast
from urllib.parse import urlsplit

from tests.faults.rpc_faults import Json, Refusal, RpcFaults, answer, hangs, range_of

_UPSTREAM_SECONDS = 30.0
_ADMIN_PATH = "/faults"
_NO_FAULTS = asdict(RpcFaults())


@dataclass
class RpcProxy:
    upstream: str
    seed: int = 0
    faults: RpcFaults = field(default_factory=RpcFaults)
    counts: Counter[str] = field(default_factory=Counter)
    """HTTP requests and what happened to them, calls by method, `eth_getLogs by range` apart."""
    url: str = ""

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)
        self.lock = threading.Lock()
        self.released = threading.Event()
        self._recent: deque[float] = deque()

    def over_rate(self) -> bool:
        """Is this HTTP request one too many in the last second? Those refused do not count."""
        most = self.faults.per_second
        if most is None:
            return False
        now = time.monotonic()
        with self.lock:
            while self._recent and self._recent[0] <= now - 1.0:
                self._recent.popleft()
            if len(self._recent) >= most:
                return True
            self._recent.append(now)
        return False

    def answers(self, calls: Sequence[Json], upstream: _Upstream) -> tuple[int, list[Json]]:
        """HTTP status, and one JSON-RPC answer a call."""
        status = 200
        answered: list[Json] = []
        with self.lock:
            lag = self.faults.lag if self.chance.random() < self.faults.lag_share else 0
            for call in calls:
                method = cast("str", call["method"])
                self.counts[method if range_of(call) is None else f"{method} by range"] += 1
                head: Json = {"jsonrpc": "2.0", "id": call["id"]}
                try:
                    answered.append(head | {"result": answer(self.faults, self.chance, lag, upstream.ask, call)})
                except Refusal as refusal:
                    self.counts["refused"] += 1
                    answered.append(head | {"error": {"code": refusal.code, "message": refusal.message}})
                    status = refusal.status if len(calls) == 1 else status
        return status, answered

    def take_cut(self) -> bool:
        with self.lock:
            if self.faults.cuts > 0:
                self.faults.cuts -= 1
                return True
            return self.chance.random() < self.faults.cut_share

    def take_hang(self, calls: Sequence[Json]) -> bool:
        with self.lock:
            if self.faults.hangs > 0:
                self.faults.hangs -= 1
                return True
        return hangs(self.faults, calls)

    def told(self) -> Json:
        on = {name: value for name, value in asdict(self.faults).items() if value != _NO_FAULTS[name]}
        return {"faults": on, "counts": dict(self.counts)}


class _Upstream:
    """One keep-alive connection to the honest node."""

    def __init__(self, url: str) -> None:
        address = urlsplit(url)
        self._connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=_UPSTREAM_SECONDS)

    def ask(self, method: str, params: list[object]) -> object:
        """Raises Refusal when the node itself refuses."""
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
        self._connection.request("POST", "/", body, {"Content-Type": "application/json"})
        answered = cast("Json", json.loads(self._connection.getresponse().read()))
        error = cast("Json | None", answered.get("error"))
        if error is not None:
            raise Refusal(cast("int", error["code"]), cast("str", error["message"]))
        return answered["result"]

    def close(self) -> None:
        self._connection.close()


class _Handler(BaseHTTPRequestHandler):
    proxy: RpcProxy
    protocol_version = "HTTP/1.1"
    timeout = 30
    wbufsize = -1  # headers and body in one segment

    def setup(self) -> None:
        super().setup()
        self.upstream = _Upstream(self.proxy.upstream)

    def finish(self) -> None:
        self.upstream.close()
        super().finish()

    def do_GET(self) -> None:
        self._reply(200 if self.path == _ADMIN_PATH else 404, self.proxy.told(), {})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path == _ADMIN_PATH:
            self._switch(body)
            return
        proxy = self.proxy
        proxy.counts["http"] += 1
        calls = body if isinstance(body, list) else [body]
        if proxy.over_rate():
            proxy.counts["limited"] += 1
            after = proxy.faults.retry_after
            self._reply(429, {"error": "slow down"}, {} if after is None else {"Retry-After": after})
        elif proxy.take_hang(calls):
            proxy.counts["hung"] += 1
            proxy.released.wait()
            self.close_connection = True
        else:
            proxy.released.wait(proxy.faults.latency)
            status, answered = proxy.answers(calls, self.upstream)
            self._reply(status, answered if isinstance(body, list) and status == 200 else answered[0], {})

    def _switch(self, faults: Json) -> None:
        try:
            self.proxy.faults = RpcFaults(**faults)  # type: ignore[arg-type]  # a person's own JSON, on loopback
        except TypeError as error:
            self._reply(400, {"error": str(error)}, {})
            return
        self._reply(200, self.proxy.told(), {})

    def _reply(self, status: int, content: object, headers: dict[str, str]) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.path != _ADMIN_PATH and self.proxy.take_cut():
            self.proxy.counts["cut"] += 1
            body = body[: len(body) // 2]
            self.close_connection = True
        try:
            self.wfile.write(body)
            self.wfile.flush()
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True  # the client has given up

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the overridden name
        """Quiet: a test's output is its own."""


@contextmanager
def proxied(upstream: str, *, seed: int = 0, port: int = 0) -> Iterator[RpcProxy]:
    """Serve on loopback, on a free port by default; `proxy.url` says where."""
    proxy = RpcProxy(upstream, seed)
    handler = type("Handler", (_Handler,), {"proxy": proxy})
    server = ThreadingHTTPServer(("127.0.0.1", port), handler)
    server.daemon_threads = True
    proxy.url = f"http://127.0.0.1:{server.server_port}/"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        proxy.released.set()
        server.shutdown()
        server.server_close()
        thread.join()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("upstream", help="URL of the honest node")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with proxied(options.upstream, seed=options.seed, port=options.port) as proxy:
        print(proxy.url, flush=True)
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            return


if __name__ == "__main__":
    main()
