"""HTTP: what operators order about a chain's history, and what came of it. Handlers run on the asyncio side."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Annotated, Literal, TypeVar

import msgspec

from fusion_daemon.accounts.audit import AuditEntry, By, detail_of
from fusion_daemon.accounts.repository import write_audit
from fusion_daemon.aio import Aio
from fusion_daemon.chain.coverage import Range
from fusion_daemon.chain.order_views import OrdersView, OrderView, SkippedView, order_view, skip_view
from fusion_daemon.chain.orders import Kind, OrderRefused, SkipRefused
from fusion_daemon.chain.repository_orders import add_order, add_skip, load_order, load_orders, load_skips
from fusion_daemon.chain.routes import configured_chain
from fusion_daemon.domain.identifiers import ChainId
from fusion_daemon.http.body import body_as
from fusion_daemon.http.problem import invalid, not_found
from fusion_daemon.http.route import Reply, Request, Role, Route, Routes, reply_json
from fusion_daemon.store import Reader, Store

F = TypeVar("F", bound=msgspec.Struct)

_ORDER_SECONDS = 10.0
_MOST_ORDERS = 100
"""In one answer."""

Block = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


class OrderForm(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Body of POST /v1/chains/{id}/orders."""

    kind: Literal["replay", "redecode"]
    first: Block | None = None
    """None: the chain's first block."""
    last: Block | None = None
    """None: its last final one."""
    dry_run: bool = False


class SkipForm(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Body of POST /v1/chains/{id}/skips."""

    first: Block
    last: Block
    reason: Annotated[str, msgspec.Meta(min_length=1, max_length=500)]


def order_routes(aio: Aio, store: Store, names: Mapping[ChainId, str]) -> Routes:
    """`names`: the configured chains."""

    async def order(request: Request) -> Reply:
        chain = configured_chain(request.path["id"], names)
        form = body_as(request, OrderForm)
        if form.kind == "replay" and (form.first is None or form.last is None):
            raise invalid("A replay names its `first` and `last` block.")
        if form.first is not None and form.last is not None and form.last < form.first:
            raise invalid("The last block is below the first.")
        by = By(request.caller().name, request.request_id)
        view = await aio.to_trio(_asked, store, chain, form, by, timeout=_ORDER_SECONDS)
        return reply_json(view, HTTPStatus.ACCEPTED)

    async def skip(request: Request) -> Reply:
        chain = configured_chain(request.path["id"], names)
        form = body_as(request, SkipForm)
        if form.last < form.first or not form.reason.strip():
            raise invalid("A skip names its first block, its last, which is not below it, and why.")
        by = By(request.caller().name, request.request_id)
        return reply_json(await aio.to_trio(_left_out, store, chain, form, by, timeout=_ORDER_SECONDS))

    async def list_orders(request: Request) -> Reply:
        orders = await store.query(load_orders, configured_chain(request.path["id"], names), _MOST_ORDERS)
        return reply_json(OrdersView(tuple(map(order_view, orders))))

    async def show_order(request: Request) -> Reply:
        chain, number = configured_chain(request.path["id"], names), request.path["order"]
        found = None
        if number.isdecimal() and int(number) < 2**63:
            found = await store.query(load_order, chain, int(number))
        if found is None:
            raise not_found(f"order {number} of chain {chain}", f"GET /v1/chains/{chain}/orders lists them.")
        return reply_json(order_view(found))

    return (
        Route(
            "GET",
            "/v1/chains/{id}/orders",
            list_orders,
            "What operators ordered about a chain's history, newest first, and what came of it",
        ),
        Route("GET", "/v1/chains/{id}/orders/{order}", show_order, "One order, and what came of it so far"),
        Route(
            "POST",
            "/v1/chains/{id}/orders",
            order,
            "Compare final blocks with other endpoints and repair what is missing, or decode what could not be decoded",
            Role.OPERATOR,
            {OrderRefused: 409},
        ),
        Route(
            "POST",
            "/v1/chains/{id}/skips",
            skip,
            "Go on without the logs of blocks that cannot be read, until a replay reads them",
            Role.OPERATOR,
            {SkipRefused: 409},
        ),
    )


async def _asked(store: Store, chain: ChainId, form: OrderForm, by: By) -> OrderView:
    """trio side, as everything that writes."""
    return await store.transact(_ask, chain, form, by, timeout=_ORDER_SECONDS)


async def _left_out(store: Store, chain: ChainId, form: SkipForm, by: By) -> SkippedView:
    return await store.transact(_leave_out, chain, form, by, timeout=_ORDER_SECONDS)


async def _ask(writer: Reader, chain: ChainId, form: OrderForm, by: By) -> OrderView:
    """The order and its audit row, in one transaction. asyncio side."""
    kind = Kind(form.kind)
    made = await add_order(writer, chain, kind, form.first, form.last, form.dry_run, by.principal)
    detail = detail_of(
        {"order": made.number, "first": made.range.first, "last": made.range.last, "dry_run": made.dry_run}
    )
    await write_audit(writer, AuditEntry(by, f"chain.{kind.value}", str(chain), "done", detail))
    return order_view(made)


async def _leave_out(writer: Reader, chain: ChainId, form: SkipForm, by: By) -> SkippedView:
    await add_skip(writer, chain, Range(form.first, form.last), form.reason, by.principal)
    detail = detail_of({"first": form.first, "last": form.last, "reason": form.reason})
    await write_audit(writer, AuditEntry(by, "chain.skip", str(chain), "done", detail))
    return SkippedView(chain, tuple(map(skip_view, await load_skips(writer, chain))))
