"""What the admin port tells of a chain's endpoints, as it goes over the wire: the daemon writes it, the command line
reads it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import msgspec


class EndpointView(msgspec.Struct, frozen=True):
    endpoint: int
    """Its place in `rpc_urls`, from 0."""
    name: str
    """Scheme, host and port of its URL."""
    state: str
    reason: str | None
    """Why it is not alive."""
    since: datetime | None
    """Of the state; None: since the listener began."""
    in_use: bool
    head: int | None
    """That it told last."""
    requests: int
    faults: int
    limits: int
    calls_per_second: float
    """That it is asked at most, as of now."""
    mean_seconds: float | None
    """That an answer takes."""


class EndpointsView(msgspec.Struct, frozen=True):
    chain_id: int
    name: str
    endpoints: tuple[EndpointView, ...]
    """Empty while the chain's listener does not run."""


def endpoints_text(views: tuple[EndpointsView, ...]) -> Iterator[str]:
    """For a person: a line for each chain, and one for each of its endpoints."""
    for view in views:
        yield f"{view.name} ({view.chain_id})" + ("" if view.endpoints else ": its listener does not run")
        for each in view.endpoints:
            mark = "*" if each.in_use else " "
            head = "-" if each.head is None else str(each.head)
            took = "-" if each.mean_seconds is None else f"{each.mean_seconds * 1000:.0f} ms"
            counts = f"{each.requests} requests, {each.faults} faults, {each.limits} limits"
            yield f"{mark} {each.endpoint} {each.name}  {each.state}  head {head}  {took}  {counts}"
            if each.reason:
                yield f"    {each.reason}"
