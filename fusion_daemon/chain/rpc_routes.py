"""HTTP: how each endpoint of a chain is, and why."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime

from fusion_daemon.chain.endpoint_views import EndpointsView, EndpointView
from fusion_daemon.chain.routes import configured_chain
from fusion_daemon.chain.rpc_endpoints import EndpointStatistics
from fusion_daemon.domain.identifiers import ChainId
from fusion_daemon.http.route import Reply, Request, Route, Routes, reply_json

Seen = Callable[[ChainId], Sequence[EndpointStatistics]]
"""The endpoints of a chain's living listener; nothing while it does not live. From any thread."""


def endpoint_routes(names: Mapping[ChainId, str], seen: Seen) -> Routes:
    """`names`: the configured chains."""

    async def show(request: Request) -> Reply:
        chain = configured_chain(request.path["id"], names)
        found = seen(chain)
        return reply_json(EndpointsView(chain, names[chain], tuple(map(_view, range(len(found)), found))))

    return (Route("GET", "/v1/chains/{id}/endpoints", show, "The state of each RPC endpoint of a chain, and why"),)


def _view(number: int, seen: EndpointStatistics) -> EndpointView:
    return EndpointView(
        endpoint=number,
        name=seen.name,
        state=seen.state.value,
        reason=seen.reason or None,
        since=datetime.fromtimestamp(seen.changed_at, UTC) if seen.changed_at else None,
        in_use=seen.in_use,
        head=seen.head,
        requests=seen.requests,
        faults=seen.faults,
        limits=seen.limits,
        calls_per_second=round(seen.rate, 3),
        mean_seconds=round(seen.seconds / seen.answers, 6) if seen.answers else None,
    )
