"""A server's statistics as metric families."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from fusion_daemon.http.metrics import AnyFamily, Family, HistogramFamily, HistogramSample, Kind, Sample
from fusion_daemon.http.statistics import BOUNDS, HttpStatistics

_GAUGES: tuple[tuple[str, str, Callable[[HttpStatistics], int]], ...] = (
    ("fusion_http_connections", "Open connections.", lambda server: server.connections),
    ("fusion_http_requests_running", "Requests inside their handlers.", lambda server: server.running),
    ("fusion_http_requests_waiting", "Requests that wait to run.", lambda server: server.waiting),
)


def http_families(servers: Mapping[str, HttpStatistics]) -> Sequence[AnyFamily]:
    """`servers` by name: `{"admin": server.statistics()}`."""
    named = tuple(servers.items())
    return (
        HistogramFamily(
            "fusion_http_request_duration_seconds",
            "Time from a request's first byte to its reply.",
            BOUNDS,
            [
                HistogramSample(route.buckets, route.seconds, (name, route.method, route.route, str(route.status)))
                for name, server in named
                for route in server.routes
            ],
            ("server", "method", "route", "status"),
        ),
        *(
            Family(name, Kind.GAUGE, told, [Sample(read(server), (at,)) for at, server in named], ("server",))
            for name, told, read in _GAUGES
        ),
        Family(
            "fusion_http_requests_rejected_total",
            Kind.COUNTER,
            "Requests answered 503 because too many were waiting.",
            [Sample(server.rejected, (name,)) for name, server in named],
            ("server",),
        ),
    )
