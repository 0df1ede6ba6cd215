"""Dead letters over HTTP: what nobody handled, what was set aside, and the operator's word on it. Handlers run on the
asyncio side; commands cross into trio.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from http import HTTPStatus

import trio

from fusion_daemon.accounts.audit import By
from fusion_daemon.aio import Aio
from fusion_daemon.domain.failure import Failure
from fusion_daemon.http.pages import PAGE_QUERY, Page, bad_cursor, cursor_of, page_of
from fusion_daemon.http.problem import invalid
from fusion_daemon.http.route import Reply, Request, Role, Route, Routes, reply_json
from fusion_daemon.quarantine import repository
from fusion_daemon.quarantine.rules import (
    AlreadySettled,
    Kept,
    NotReplayable,
    State,
    UnknownDeadLetter,
    discard_means,
    replay_means,
)
from fusion_daemon.quarantine.views import DeadCount, DeadLettersView, DeadLetterView, ListView, SettledView
from fusion_daemon.runtime import DeadLetterStatistics, DeliveryFailed
from fusion_daemon.store import Reader, Store

COMMAND_SECONDS = 10.0

_FAILURES: Mapping[type[Failure], int] = {
    UnknownDeadLetter: HTTPStatus.NOT_FOUND,
    AlreadySettled: HTTPStatus.CONFLICT,
    NotReplayable: HTTPStatus.CONFLICT,
}

Replays = Mapping[str, Callable[[bytes], Awaitable[None]]]
"""By mailbox: puts a message back into it. Trio side; raises DeliveryFailed."""

Settle = Callable[[Reader, str, By], Awaitable[Kept]]


def routes(
    store: Store,
    aio: Aio,
    dead_letters: Callable[[], DeadLetterStatistics],
    replays: Replays,
    settled: Callable[[str], None],
) -> Routes:
    """`settled` is told, on the trio side, whose message an operator has decided on, once that is stored or may be."""
    commands = _Commands(store, aio, replays, settled)

    async def listed(request: Request) -> Reply:
        page = page_of(request)
        rows = await store.query(repository.list_set_aside, _before(page), _state(request), page.limit)
        more = len(rows) == page.limit
        return reply_json(ListView(_told(dead_letters()), rows, cursor_of(str(rows[-1].id)) if more else None))

    async def shown(request: Request) -> Reply:
        return reply_json(await store.query(repository.show_set_aside, request.path["id"]))

    return (
        Route(
            "GET",
            "/v1/deadletters",
            listed,
            "Messages that nobody handled, by reason, and those that were set aside, newest first, in pages.",
            query=("state", *PAGE_QUERY),
        ),
        Route(
            "GET",
            "/v1/deadletters/{id}",
            shown,
            "One message that was set aside, with its traceback.",
            Role.OPERATOR,
            _FAILURES,
        ),
        _command("replay", commands.replay, "Have it handled once more."),
        _command("discard", commands.discard, "Go on without it."),
    )


def _command(verb: str, handler: Callable[[Request], Awaitable[Reply]], summary: str) -> Route:
    return Route("POST", f"/v1/deadletters/{{id}}/{verb}", handler, summary, Role.OPERATOR, _FAILURES)


class _Commands:
    """INVARIANTS: the change and its audit row commit together; only then is anybody told. Whenever the change may have
    happened, whoever heeds it is told: also when the answer to the commit was lost, or nobody waits for ours."""

    def __init__(self, store: Store, aio: Aio, replays: Replays, settled: Callable[[str], None]) -> None:
        self._store = store
        self._aio = aio
        self._replays = replays
        self._settled = settled

    async def replay(self, request: Request) -> Reply:
        kept = await self._aio.to_trio(self._replay, request.path["id"], _by(request), timeout=2 * COMMAND_SECONDS)
        return _done(kept, State.REPLAYED, replay_means(kept))

    async def discard(self, request: Request) -> Reply:
        kept = await self._aio.to_trio(self._discard, request.path["id"], _by(request), timeout=2 * COMMAND_SECONDS)
        return _done(kept, State.DISCARDED, discard_means(kept))

    async def _replay(self, number: str, by: By) -> Kept:
        kept = await self._settle(repository.replay, number, by)
        if kept.entry is None:
            with trio.CancelScope(shield=True):  # whoever stopped waiting: it is on record as replayed
                await self._put_back(kept, by)
        self._settled(kept.source)
        return kept

    async def _discard(self, number: str, by: By) -> Kept:
        kept = await self._settle(repository.discard, number, by)
        self._settled(kept.source)
        return kept

    async def _settle(self, work: Settle, number: str, by: By) -> Kept:
        """Where it may have happened, and what follows does not, whoever heeds it is told here."""
        source = await self._store.read(repository.source_of, number, timeout=COMMAND_SECONDS)
        try:
            return await self._store.transact(work, number, by, timeout=COMMAND_SECONDS)
        except NotReplayable:
            raise
        except BaseException:
            self._settled(source)
            raise

    async def _put_back(self, kept: Kept, by: By) -> None:
        """Into its mailbox. Raises NotReplayable, and it is held again."""
        why = await self._refusal(kept)
        if why is None:
            return
        await self._store.transact(repository.take_back, kept, by, why, timeout=COMMAND_SECONDS)
        raise NotReplayable(
            f"The mailbox {kept.source} did not take the message {kept.id}: {why}.",
            "It is held as before.",
            "Ask again when the mailbox has room, or discard it.",
        )

    async def _refusal(self, kept: Kept) -> str | None:
        put = self._replays.get(kept.source)
        if put is None or kept.payload is None:
            return "there is no such mailbox any more"
        try:
            await put(kept.payload)
        except DeliveryFailed as error:
            return str(error).rstrip(".")
        return None


def _done(kept: Kept, state: State, means: str) -> Reply:
    return reply_json(SettledView(kept.id, state, means))


def _by(request: Request) -> By:
    return By(request.caller().name, request.request_id)


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


def _told(seen: DeadLetterStatistics) -> DeadLettersView:
    return DeadLettersView(
        tuple(DeadCount(mailbox, reason, count) for (mailbox, reason), count in sorted(seen.counts.items())),
        tuple(
            DeadLetterView(each.number, each.mailbox, each.message, each.reason, datetime.fromtimestamp(each.at, UTC))
            for each in seen.latest
        ),
    )
