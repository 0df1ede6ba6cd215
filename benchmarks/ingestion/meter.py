"""A proxy before a node: counts what passes and, if told so, is as far away and as strict as a public provider.

    python -m benchmarks.ingestion.meter http://127.0.0.1:8545 [--delay 0.02] [--per-second 25]

It forwards bodies as they are. A batch is one request, as HTTP servers count; what goes beyond the rate in any one
second is answered 429 without Retry-After, as most providers do.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from collections import deque

import aiohttp
from aiohttp import web

from benchmarks.ingestion.traffic import Traffic, counting, serve

_LARGEST = 1 << 30
_HEADERS = {"Content-Type": "application/json"}


class Meter:
    def __init__(self, upstream: str, delay: float, per_second: int | None) -> None:
        self.traffic = Traffic()
        self._upstream = upstream
        self._delay = delay
        self._per_second = per_second
        self._recent: deque[float] = deque()

    async def forward(self, request: web.Request, session: aiohttp.ClientSession) -> web.Response:
        body = await request.read()
        self.traffic.requests += 1
        self.traffic.received_bytes += len(body)
        await asyncio.sleep(self._delay)
        if self._over_rate():
            self.traffic.refused += 1
            return web.json_response({"error": "too many requests"}, status=429)
        called = json.loads(body)
        self.traffic.calls += len(called) if isinstance(called, list) else 1
        async with session.post(self._upstream, data=body, headers=_HEADERS) as response:
            answer = await response.read()
        self.traffic.sent_bytes += len(answer)
        return web.Response(body=answer, status=response.status, headers=_HEADERS)

    def _over_rate(self) -> bool:
        if self._per_second is None:
            return False
        now = asyncio.get_running_loop().time()
        while self._recent and self._recent[0] <= now - 1.0:
            self._recent.popleft()
        if len(self._recent) >= self._per_second:
            return True
        self._recent.append(now)
        return False


async def main(upstream: str, delay: float, per_second: int | None) -> None:
    meter = Meter(upstream, delay, per_second)
    async with aiohttp.ClientSession() as session:
        app = web.Application(client_max_size=_LARGEST)
        app.add_routes([counting(meter.traffic), web.post("/", lambda request: meter.forward(request, session))])
        await serve(app)
        await asyncio.Event().wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("upstream")
    parser.add_argument("--delay", type=float, default=0.0, help="seconds before each answer")
    parser.add_argument("--per-second", type=int, help="requests")
    options = parser.parse_args()
    asyncio.run(main(options.upstream, options.delay, options.per_second))
