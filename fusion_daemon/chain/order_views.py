"""What the admin port tells of operators' orders about a chain's history, as it goes over the wire: the daemon writes
it, the command line reads it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import msgspec

from fusion_daemon.chain.orders import Order, Skip, Tally


class OrderView(msgspec.Struct, frozen=True):
    id: int
    chain_id: int
    kind: str
    first: int
    last: int
    dry_run: bool
    asked_by: str
    asked_at: datetime
    state: str
    """`waiting`, `running`, `done` or `failed`."""
    next: int
    """The first of its blocks that was not looked at yet."""
    result: Tally
    """Up to there."""
    trouble: str | None
    """Why it failed, or does not get on."""
    ended_at: datetime | None

    @property
    def ended(self) -> bool:
        return self.ended_at is not None


class OrdersView(msgspec.Struct, frozen=True):
    orders: tuple[OrderView, ...]
    """The newest first."""


class SkipView(msgspec.Struct, frozen=True):
    first: int
    last: int
    reason: str
    asked_by: str
    asked_at: datetime
    in_force_at: datetime | None
    """None: the listener does not know of it yet."""
    made_good_at: datetime | None


class SkippedView(msgspec.Struct, frozen=True):
    """The answer to a skip."""

    chain_id: int
    skips: tuple[SkipView, ...]
    """All of the chain, the oldest first."""


def order_view(order: Order) -> OrderView:
    return OrderView(
        order.number,
        order.chain,
        order.kind.value,
        order.range.first,
        order.range.last,
        order.dry_run,
        order.asked_by,
        order.asked_at,
        order.state,
        order.next,
        order.tally,
        order.trouble,
        order.ended_at,
    )


def skip_view(skip: Skip) -> SkipView:
    return SkipView(
        skip.range.first,
        skip.range.last,
        skip.reason,
        skip.asked_by,
        skip.asked_at,
        skip.in_force_at,
        skip.made_good_at,
    )


def order_text(view: OrderView) -> Iterator[str]:
    """For a person: what was looked at, and what came of it."""
    dry = " (dry run)" if view.dry_run else ""
    yield f"order {view.id}: {view.kind} of chain {view.chain_id}, blocks {view.first}-{view.last}{dry}: {view.state}"
    if view.trouble is not None:
        yield f"  {view.trouble}"
    if not view.ended:
        yield f"  next is block {view.next}; see GET /v1/chains/{view.chain_id}/orders/{view.id}"
    result = view.result
    if view.kind == "redecode":
        yield f"  {result.logs} logs without arguments, {result.decodable} decode by now"
    else:
        yield f"  compared {result.blocks} blocks with {result.logs} stored logs"
        yield f"  missing {result.missing}, differing {result.differing}"
    yield f"  repaired {result.repaired}"
    if result.made_good:
        yield f"  {result.made_good} skipped blocks are read now"
    if result.differing:
        yield "  What differs was left as it is; see the runbook ChainAuditDiffers."


def skip_text(view: SkipView) -> str:
    since = "not in force yet" if view.in_force_at is None else f"since {_moment(view.in_force_at)}"
    now = since if view.made_good_at is None else f"made good {_moment(view.made_good_at)}"
    return f"{view.first}-{view.last} skipped by {view.asked_by}, {now}: {view.reason}"


def _moment(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%SZ}"
