"""One pool of endpoints for all who ask one chain in this process, so that they keep one pace, and what one of them
finds out of an endpoint is heeded by the others. Asyncio side.

INVARIANTS
* Who was given the same URLs, patience and bounds of the pace asks through the same pool; it is opened with the first
  of them and closed with the last.
* Each asks in steps of its own: what it reads in one comes from the endpoint with whose number it began, whichever the
  others choose meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable

import aiohttp

from fusion_daemon.chain.rpc_endpoints import Endpoints
from fusion_daemon.chain.settings import ChainSettings, RateBounds
from fusion_daemon.domain.identifiers import ChainId

OpenEndpoints = Callable[[ChainSettings], Endpoints]
"""Whoever opens them closes them. Asyncio side."""

_Key = tuple[ChainId, tuple[str, ...], float, RateBounds]


def own_endpoints(settings: ChainSettings) -> Endpoints:
    """For somebody who is alone with them. Opens no connection yet."""
    timeout = aiohttp.ClientTimeout(total=settings.request_timeout)
    session = aiohttp.ClientSession(timeout=timeout, headers={"Content-Type": "application/json"})
    return Endpoints(settings, session)


class EndpointPools:
    """Of one process."""

    def __init__(self) -> None:
        self._open: dict[_Key, Endpoints] = {}

    def open(self, settings: ChainSettings) -> Endpoints:
        """`close()` of each who opened them is counted."""
        key = settings.chain, settings.rpc_urls, settings.request_timeout, settings.rate
        known = self._open.get(key)
        if known is not None and known.joined():
            return known
        self._open = {each: pool for each, pool in self._open.items() if not pool.closed}
        made = self._open[key] = own_endpoints(settings)
        return made
