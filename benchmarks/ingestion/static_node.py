"""Serves static chains over JSON-RPC, each at the path of its number; counts what is asked.

    python -m benchmarks.ingestion.static_node --blocks 200000 --every 500 --events 1 [--chains 1] [--live]

A live chain has a new block every two seconds from `blocks` on, and no events but those that it began with.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Callable

import msgspec
from aiohttp import web

from benchmarks.ingestion.static_chain import Refused, StaticChain, answer
from benchmarks.ingestion.traffic import Traffic, counting, serve
from benchmarks.ingestion.workload import CHAIN

_LARGEST = 1 << 30
_PERIOD = 2


class Call(msgspec.Struct):
    method: str
    params: list[object] = []
    id: int | str | None = None


_DECODER: msgspec.json.Decoder[list[Call] | Call] = msgspec.json.Decoder(list[Call] | Call)
_ENCODE = msgspec.json.Encoder().encode


def respond(chain: StaticChain, body: bytes, traffic: Traffic) -> bytes:
    asked = _DECODER.decode(body)
    calls = asked if isinstance(asked, list) else [asked]
    told = [_told(chain, call) for call in calls]
    answered = _ENCODE(told if isinstance(asked, list) else told[0])
    traffic.requests += 1
    traffic.calls += len(calls)
    traffic.received_bytes += len(body)
    traffic.sent_bytes += len(answered)
    return answered


def _told(chain: StaticChain, call: Call) -> dict[str, object]:
    try:
        result = answer(chain, call.method, call.params)
    except Refused as refused:
        return {"jsonrpc": "2.0", "id": call.id, "error": {"code": refused.code, "message": refused.message}}
    return {"jsonrpc": "2.0", "id": call.id, "result": result}


def heads(blocks: int, live: bool) -> tuple[int, Callable[[], int]]:
    """The genesis block's time and what tells the head: the last block always, or the clock's."""
    if not live:
        return int(time.time()) - _PERIOD * (blocks + 1), lambda: blocks
    genesis = int(time.time()) - _PERIOD * blocks
    return genesis, lambda: int(time.time() - genesis) // _PERIOD


async def main(options: argparse.Namespace) -> None:
    traffic = Traffic()
    genesis, head = heads(options.blocks, options.live)
    chains = {
        number: StaticChain(number, options.every, options.events, head, genesis, _PERIOD)
        for number in range(CHAIN, CHAIN + options.chains)
    }

    async def handle(request: web.Request) -> web.Response:
        chain = chains[int(request.match_info["chain"])]
        return web.Response(body=respond(chain, await request.read(), traffic), content_type="application/json")

    app = web.Application(client_max_size=_LARGEST)
    app.add_routes([counting(traffic), web.post(r"/{chain:\d+}", handle)])
    await serve(app)
    await asyncio.Event().wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--blocks", type=int, required=True, help="the last one's number")
    parser.add_argument("--every", type=int, default=1, help="one block in so many has events")
    parser.add_argument("--events", type=int, default=0, help="of such a block")
    parser.add_argument("--chains", type=int, default=1)
    parser.add_argument("--live", action="store_true")
    asyncio.run(main(parser.parse_args()))
