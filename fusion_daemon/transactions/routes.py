"""Transactions over HTTP: the queue, one with its evidence, and an operator's word. Handlers run on the asyncio side;
commands cross into trio.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus

from fusion_daemon.accounts.audit import By
from fusion_daemon.aio import Aio
from fusion_daemon.domain.failure import Failure
from fusion_daemon.http.pages import PAGE_QUERY, Page, bad_cursor, cursor_of, page_of
from fusion_daemon.http.problem import invalid
from fusion_daemon.http.route import Reply, Request, Role, Route, Routes, reply_json
from fusion_daemon.runtime import Clock
from fusion_daemon.store import Store
from fusion_daemon.transactions.commands import (
    AlreadyApproved,
    Command,
    OwnTransaction,
    TransactionSettled,
    UnknownTransaction,
)
from fusion_daemon.transactions.records import State
from fusion_daemon.transactions.repository import carry_out, list_transactions, read_transaction
from fusion_daemon.transactions.views import TransactionPage

COMMAND_SECONDS = 10.0

_FAILURES: Mapping[type[Failure], int] = {
    UnknownTransaction: HTTPStatus.NOT_FOUND,
    TransactionSettled: HTTPStatus.CONFLICT,
    AlreadyApproved: HTTPStatus.CONFLICT,
    OwnTransaction: HTTPStatus.CONFLICT,
}


def routes(store: Store, aio: Aio, clock: Clock, changed: Callable[[], None]) -> Routes:
    """`changed` is called on the trio side when an operator has said something, or may have."""

    async def listed(request: Request) -> Reply:
        page = page_of(request)
        rows = await store.query(list_transactions, _before(page), _state(request), page.limit)
        more = len(rows) == page.limit
        return reply_json(TransactionPage(rows, cursor_of(str(rows[-1].number)) if more else None))

    async def shown(request: Request) -> Reply:
        return reply_json(await store.query(read_transaction, request.path["id"]))

    def commanded(asked: Command) -> Callable[[Request], Awaitable[Reply]]:
        async def carry(id_: str, by: By) -> None:
            try:
                await store.transact(carry_out, id_, asked, by, clock.now(), timeout=COMMAND_SECONDS)
            finally:
                changed()

        async def handler(request: Request) -> Reply:
            id_ = request.path["id"]
            await aio.to_trio(carry, id_, By(request.caller().name, request.request_id), timeout=2 * COMMAND_SECONDS)
            return reply_json(await store.query(read_transaction, id_))

        return handler

    return (
        Route(
            "GET",
            "/v1/transactions",
            listed,
            "Transactions that the daemon sends or has sent, newest first, in pages.",
            query=("state", *PAGE_QUERY),
        ),
        Route(
            "GET",
            "/v1/transactions/{id}",
            shown,
            "One transaction with every step that was taken: signatures, broadcasts, blocks.",
            failures=_FAILURES,
        ),
        _command("approve", commanded(Command.APPROVE), "One of the words that it waits for; not its proposer's."),
        _command("refuse", commanded(Command.REFUSE), "It is not sent; before it is approved only."),
        _command(
            "cancel",
            commanded(Command.CANCEL),
            "Call it off; one that is signed is outbid by nothing under its nonce, unless it is mined first.",
        ),
    )


def _command(verb: str, handler: Callable[[Request], Awaitable[Reply]], summary: str) -> Route:
    return Route("POST", f"/v1/transactions/{{id}}/{verb}", handler, summary, Role.OPERATOR, _FAILURES)


def _before(page: Page) -> int | None:
    if page.after is None:
        return None
    if not (page.after.isascii() and page.after.isdigit() and len(page.after) < 19):
        raise bad_cursor()
    return int(page.after)


def _state(request: Request) -> State | None:
    text = request.query.get("state")
    if text is None:
        return None
    try:
        return State(text)
    except ValueError as error:
        raise invalid(f"state is one of {', '.join(State)}.") from error
