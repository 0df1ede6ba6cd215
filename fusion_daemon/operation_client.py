"""What the operation commands ask of the running daemon, and how they wait. Everything here blocks."""

from __future__ import annotations

import os
import select
import time
from collections.abc import Iterator

from fusion_daemon.admin_client import call, segment
from fusion_daemon.chain.endpoint_views import EndpointsView
from fusion_daemon.chain.order_views import OrderView, SkippedView
from fusion_daemon.config import Config
from fusion_daemon.domain.failure import Failure
from fusion_daemon.operation_views import (
    ActorsView,
    CoveragesView,
    CoverageView,
    DetailView,
    EventView,
    MailboxesView,
    ObeyedView,
    StoppingView,
    SupervisorView,
    TapView,
    TopicsView,
    TraceView,
)

LOOK_SECONDS = 0.25
"""Between two looks at what happens; the daemon keeps it for much longer."""
LOOK_LIMIT = 500


ORDER_PATIENCE = 300.0
"""Seconds in which an order of a chain's history gets on, or has failed; longer than the listener tries a piece."""


class NotObeyed(Failure):
    """An order of a chain's history has not ended, and does not get on."""


class StillRunning(Failure):
    """The daemon was told to stop, and has not ended in time."""


def actors(config: Config) -> ActorsView:
    return call(config, "GET", "/v1/actors", None, ActorsView)


def tree(config: Config) -> SupervisorView:
    return call(config, "GET", "/v1/tree", None, SupervisorView)


def inspect(config: Config, actor: str) -> DetailView:
    return call(config, "GET", f"/v1/actors/{segment(actor)}", None, DetailView)


def mailboxes(config: Config) -> tuple[MailboxesView, TopicsView]:
    return (
        call(config, "GET", "/v1/mailboxes", None, MailboxesView),
        call(config, "GET", "/v1/topics", None, TopicsView),
    )


def coverage(config: Config, chain: int | None) -> CoveragesView:
    """Of that chain; None: of all that the configuration names."""
    wanted = [each.id for each in config.chains] if chain is None else [chain]
    views = [call(config, "GET", f"/v1/chains/{each}/coverage", None, CoverageView) for each in wanted]
    return CoveragesView(tuple(views))


def endpoints(config: Config, chain: int | None) -> tuple[EndpointsView, ...]:
    """Of one chain, or of all that are configured."""
    chains = [each.id for each in config.chains] if chain is None else [chain]
    return tuple(call(config, "GET", f"/v1/chains/{each}/endpoints", None, EndpointsView) for each in chains)


def chain_order(
    config: Config, chain: int, kind: str, first: int | None, last: int | None, *, dry_run: bool
) -> OrderView:
    """Order a `replay` or a `redecode`, and wait until it has ended. Raises NotObeyed."""
    body = {"kind": kind, "first": first, "last": last, "dry_run": dry_run}
    view = call(config, "POST", f"/v1/chains/{chain}/orders", body, OrderView)
    moved = time.monotonic()
    while not view.ended:
        time.sleep(LOOK_SECONDS)
        before, view = view, call(config, "GET", f"/v1/chains/{chain}/orders/{view.id}", None, OrderView)
        if view.next != before.next:
            moved = time.monotonic()
        elif time.monotonic() - moved >= ORDER_PATIENCE:
            raise NotObeyed(
                f"Order {view.id} of chain {chain} has stood at block {view.next} for {ORDER_PATIENCE:.0f} s.",
                view.trouble or "Its listener does not run, catches up with its chain, or obeys another order first.",
                f"It stays ordered; GET /v1/chains/{chain}/orders/{view.id} tells what becomes of it.",
            )
    return view


def skip(config: Config, chain: int, first: int, last: int, reason: str) -> SkippedView:
    body = {"first": first, "last": last, "reason": reason}
    return call(config, "POST", f"/v1/chains/{chain}/skips", body, SkippedView)


def order(config: Config, verb: str, actor: str) -> ObeyedView:
    """`pause`, `resume` or `restart`."""
    return call(config, "POST", f"/v1/actors/{segment(actor)}/{verb}", None, ObeyedView)


def trace(config: Config, actor: str, count: int, seconds: float) -> Iterator[tuple[int, EventView]]:
    """The next `count` events of an actor's life, or those of so many seconds; before each, how many went unseen."""
    path = f"/v1/actors/{segment(actor)}/trace"
    deadline, left = time.monotonic() + seconds, count
    after = call(config, "GET", path, None, TraceView).next
    while left > 0 and time.monotonic() < deadline:
        time.sleep(max(0.0, min(LOOK_SECONDS, deadline - time.monotonic())))
        look = call(config, "GET", f"{path}?after={after}&limit={min(left, LOOK_LIMIT)}", None, TraceView)
        after, missed = look.next, look.missed
        for event in look.events:
            yield missed, event
            left, missed = left - 1, 0


def tap(config: Config, stream: str, count: float, seconds: float) -> Iterator[TapView]:
    """What is published, look by look, until `count` items have been seen or so many seconds have passed (either may be
    infinite)."""
    path = f"/v1/topics/{segment(stream)}/tap"
    deadline, left = time.monotonic() + seconds, count
    after = call(config, "GET", path, None, TapView).next
    while left > 0 and time.monotonic() < deadline:
        time.sleep(max(0.0, min(LOOK_SECONDS, deadline - time.monotonic())))
        limit = int(min(left, LOOK_LIMIT))
        look = call(config, "GET", f"{path}?after={after}&limit={limit}", None, TapView)
        after, left = look.next, left - len(look.items)
        if look.items or look.missed:
            yield look


def drain(config: Config) -> StoppingView:
    """Tell it to stop, and wait until its process has ended, at most as long as it may take. Raises StillRunning."""
    stopping = call(config, "POST", "/v1/drain", None, StoppingView)
    if not _ended_within(stopping.pid, stopping.seconds):
        raise StillRunning(
            f"{stopping.instance} (process {stopping.pid}) was told to stop, and runs on"
            f" after {stopping.seconds:.0f} s.",
            "An actor would not stop, or the database does not take what is to be written.",
            "See its log; `systemctl stop fusion-daemon` ends it for good after its own timeout.",
        )
    return stopping


def _ended_within(pid: int, seconds: float) -> bool:
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([process], [], [], seconds)[0])
    finally:
        os.close(process)
