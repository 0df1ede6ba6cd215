"""What a contender asks and is answered, as the servers of this benchmark count it at GET /traffic."""

from __future__ import annotations

import json
import select
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass

from aiohttp import web

PATH = "/traffic"
_READY_SECONDS = 30.0
_STOP_SECONDS = 10.0


class ServerFailed(Exception):
    """A server of the benchmark's own did not start."""


@dataclass(slots=True)
class Traffic:
    requests: int = 0
    """HTTP."""
    calls: int = 0
    """JSON-RPC: a batch is one request of many."""
    received_bytes: int = 0
    sent_bytes: int = 0
    refused: int = 0
    """Requests that were answered 429."""

    def since(self, before: Traffic) -> Traffic:
        return Traffic(**{name: value - getattr(before, name) for name, value in asdict(self).items()})


def counting(traffic: Traffic) -> web.RouteDef:
    async def tell(_request: web.Request) -> web.Response:
        return web.json_response(asdict(traffic))

    return web.get(PATH, tell)


def read_traffic(server: str) -> Traffic:
    """`server`: an origin, without a path."""
    with urllib.request.urlopen(f"{server}{PATH}", timeout=10) as response:
        return Traffic(**json.loads(response.read()))


async def serve(app: web.Application) -> None:
    """On a free port of loopback; prints its URL. Returns; the server goes on with the loop."""
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(f"http://127.0.0.1:{runner.addresses[0][1]}", flush=True)


@contextmanager
def served(module: str, options: Sequence[str]) -> Iterator[str]:
    """One of the benchmark's servers as a process of its own; its URL."""
    command = [sys.executable, "-m", f"benchmarks.ingestion.{module}", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            ready, _, _ = select.select([process.stdout], [], [], _READY_SECONDS)
            url = process.stdout.readline().strip() if ready else ""
            if not url:
                raise ServerFailed(f"{module} did not start")
            yield url
        finally:
            process.terminate()
            process.wait(_STOP_SECONDS)
