"""Messages and what is on its way over HTTP. Handlers run on the asyncio side, each reading in one transaction."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated

import msgspec

from fusion_daemon.accounts.audit import AuditEntry, By, detail_of
from fusion_daemon.accounts.repository import write_audit
from fusion_daemon.aio import Aio
from fusion_daemon.crosschain.ccip_manual import MOST_GAS, Manual, Verification
from fusion_daemon.crosschain.evidence import Evidence, MessageId
from fusion_daemon.crosschain.hints import Opinion, Question, opinion_view, questions_of
from fusion_daemon.crosschain.networks import Networks
from fusion_daemon.crosschain.recovery import NotRecoverable, RecoveryKind, recovery_kind, recovery_of
from fusion_daemon.crosschain.repository import load_lane_logs, load_message, read_collateral
from fusion_daemon.crosschain.standing import Flag, Standing, State
from fusion_daemon.crosschain.terms import Terms
from fusion_daemon.crosschain.value_in_flight import kind_name
from fusion_daemon.domain.failure import Failure
from fusion_daemon.domain.identifiers import Address, ChainId, Hash32, hex_of, parse_address
from fusion_daemon.domain.transaction import NATIVE_ASSET, Intent
from fusion_daemon.http.body import body_as
from fusion_daemon.http.pages import PAGE_QUERY, Page, bad_cursor, page_of, page_reply
from fusion_daemon.http.problem import invalid, not_found
from fusion_daemon.http.route import Reply, Request, Role, Route, Routes, reply_json
from fusion_daemon.runtime import Clock
from fusion_daemon.store import Reader, Row, Store

_COLUMNS = (
    "id, state, progress, stage, flags, bridge, source, destination, kind, account, asset, amount, sent_at, changed_at,"
    " changes"
)
_LIST = f"""
SELECT {_COLUMNS} FROM messages
WHERE ($1::text IS NULL OR state = $1) AND ($2::bytea IS NULL OR account = $2) AND ($3::bigint IS NULL OR changes < $3)
AND ($4::text IS NULL OR flags @> ARRAY[$4])
ORDER BY changes DESC LIMIT $5
"""  # noqa: S608 - a constant of this module
_ONE = f"SELECT {_COLUMNS}, timeline FROM messages WHERE id = $1"  # noqa: S608 - a constant of this module
_CHANGES = """
SELECT seq, before, after, flags, cause, evidence, at FROM message_changes WHERE message = $1 ORDER BY seq
"""
_DIGITS = 19
"""Of a number that any bigint holds there are fewer."""
RETRY_SECONDS = 10.0
GAS_CAP = 2_000_000
RETRY_PURPOSE = "bridge.retry"


class TooLateToAbandon(Failure):
    """It is applied, or its source is gone."""


Say = Callable[[MessageId, bool, By], Awaitable[Standing | None]]
"""asyncio side: an operator's word (abandon, or resume) to the tracker, and how the message stands then. None: nobody
knows it."""


def word_routes(say: Say) -> Routes:
    async def told(request: Request, abandon: bool) -> Reply:
        message = MessageId(Hash32(_octets(request.path["id"])))
        standing = await say(message, abandon, By(request.caller().name, request.request_id))
        if standing is None:
            raise not_found("message of that id")
        if abandon and standing.state is not State.ABANDONED:
            raise TooLateToAbandon(
                f"The message is {standing.state.value}.",
                "There is nothing left to give up; nothing was changed.",
                "See `GET /v1/messages/{id}`.",
            )
        return reply_json({"id": hex_of(message), "state": standing.state.value})

    async def abandon(request: Request) -> Reply:
        return await told(request, True)

    async def resume(request: Request) -> Reply:
        return await told(request, False)

    failures: Mapping[type[Failure], int] = {TooLateToAbandon: HTTPStatus.CONFLICT}
    return (
        Route("POST", "/v1/messages/{id}/abandon", abandon, "Give it up: no more alarms.", Role.OPERATOR, failures),
        Route("POST", "/v1/messages/{id}/resume", resume, "Take that back.", Role.OPERATOR),
    )


class VerificationForm(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a verifier of CCIP 2.0 answered, as its API tells it."""

    verifier: str
    """Its contract on the destination."""
    result: str
    """0x and hex digits."""


CATCHING = frozenset({RecoveryKind.RETRY, RecoveryKind.EXECUTE})
"""Our router catches what runs out of gas, and stores the message again: a simulation takes that for enough."""


class RetryForm(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Body of POST /v1/messages/{id}/retry. Wei are decimal strings."""

    signer: str
    gas_cap: Annotated[int, msgspec.Meta(gt=0, le=30_000_000)] | None = None
    """Absent: GAS_CAP, or what CCIP's manual execution needs where that is more."""
    fee_cap: str = "200000000000"
    value: str = "0"
    """What is added to an Axelar call's gas."""
    gas_limit: Annotated[int, msgspec.Meta(gt=0, le=MOST_GAS)] | None = None
    """For the receiver of CCIP's manual execution. Absent: twice the message's own after a failure, else its own."""
    verifications: tuple[VerificationForm, ...] = ()
    """For the manual execution of CCIP 2.0."""


ProposeNext = Callable[[Reader, str, Callable[[str], Intent], float], Awaitable[str]]
"""Proposes under a series of ids; see the transactions room."""


@dataclass(frozen=True, slots=True)
class Recoveries:
    """What a retry needs of the rest of the house."""

    aio: Aio
    clock: Clock
    networks: Networks
    terms: Terms
    propose: ProposeNext
    proposed: Callable[[], None]
    """Trio side, after the commit: the sender's bell."""


def recovery_routes(store: Store, parts: Recoveries) -> Routes:
    async def propose(message: bytes, form: RetryForm, by: By) -> str:
        try:
            return await store.transact(_propose, parts, message, form, by, timeout=RETRY_SECONDS)
        finally:
            parts.proposed()

    async def retry(request: Request) -> Reply:
        message, form = _octets(request.path["id"]), body_as(request, RetryForm)
        by = By(request.caller().name, request.request_id)
        id_ = await parts.aio.to_trio(propose, message, form, by, timeout=2 * RETRY_SECONDS)
        return reply_json({"transaction": id_}, HTTPStatus.ACCEPTED)

    return (
        Route(
            "POST",
            "/v1/messages/{id}/retry",
            retry,
            "Propose the transaction that brings it on; the same one while that is open.",
            Role.OPERATOR,
            {NotRecoverable: HTTPStatus.CONFLICT},
        ),
    )


async def _propose(writer: Reader, parts: Recoveries, message: bytes, form: RetryForm, by: By) -> str:
    """The transaction and its audit row, in one. asyncio side. Raises NotRecoverable."""
    found = await load_message(writer, message)
    if found is None:
        raise not_found("message of that id")
    signer, value = _address("signer", form.signer), _wei("value", form.value)
    fee_cap = _wei("fee_cap", form.fee_cap)
    if not fee_cap:
        raise invalid("fee_cap is more than 0.")
    recovery = recovery_of(*found, parts.networks, signer, await _manual(writer, parts, *found, form))
    if recovery.refundable != (value > 0):
        raise invalid(
            "value is wei above 0 where gas is added to an Axelar call or a message is sent again, and 0 otherwise."
        )
    gas_cap = max(GAS_CAP, recovery.gas_floor) if form.gas_cap is None else form.gas_cap
    if gas_cap < recovery.gas_floor:
        raise invalid(f"gas_cap is at least {recovery.gas_floor} for this execution.")

    def intent(id_: str) -> Intent:
        return Intent(
            id=id_,
            chain=recovery.chain,
            signer=signer,
            to=recovery.to,
            data=recovery.data,
            value=value,
            gas_cap=gas_cap,
            fee_cap=fee_cap,
            purpose=RETRY_PURPOSE,
            asset=NATIVE_ASSET,
            amount=value,
            proposer=by.principal,
            gas_floor=gas_cap if recovery.kind in CATCHING else recovery.gas_floor,
        )

    series = f"message:{message.hex()[:16]}:{recovery.kind.value}"
    id_ = await parts.propose(writer, series, intent, parts.clock.now())
    detail = detail_of({"transaction": id_})
    await write_audit(writer, AuditEntry(by, "message.retry", hex_of(message), "done", detail))
    return id_


async def _manual(
    reader: Reader, parts: Recoveries, standing: Standing, evidence: Sequence[Evidence], form: RetryForm
) -> Manual:
    """Raises NotRecoverable."""
    envelope, terms = standing.envelope, parts.terms
    lane = terms.default if envelope is None else terms.of(envelope.source, envelope.destination)
    verifications = tuple(
        Verification(_address("verifications.verifier", each.verifier), _result(each.result))
        for each in form.verifications
    )
    executed = recovery_kind(standing) in (RecoveryKind.EXECUTE, RecoveryKind.MANUAL)
    logs = await load_lane_logs(reader, evidence) if executed else ()
    return Manual(logs, int(parts.clock.now()), lane.manual, form.gas_limit, verifications)


def _result(text: str) -> bytes:
    try:
        return bytes.fromhex(text.removeprefix("0x"))
    except ValueError as error:
        raise invalid("verifications.result is 0x and hex digits.") from error


def _address(name: str, text: str) -> Address:
    try:
        return parse_address(text)
    except ValueError as error:
        raise invalid(f"{name} is an address: 0x and 40 hex digits.") from error


def _wei(name: str, text: str) -> int:
    if not text.isascii() or not text.isdecimal() or len(text) > 30:
        raise invalid(f"{name} is a whole number of wei, as a string.")
    return int(text)


@dataclass(frozen=True, slots=True)
class Explaining:
    """Who is asked for second opinions on a message that is read."""

    networks: Networks
    ask: Callable[[Sequence[Question]], Awaitable[Sequence[Opinion]]]
    """asyncio side. It ends soon and does not raise, whatever the explorers do."""


def routes(store: Store, locks: Mapping[ChainId, Address], explaining: Explaining) -> Routes:
    """`locks`: of each chain, the contract that holds collateral which backs credit elsewhere."""

    async def listed(request: Request) -> Reply:
        page = page_of(request)
        rows = await store.query(_read_messages, _state(request), _account(request), _flag(request), page)
        last = str(rows[-1].integer("changes")) if rows else None
        return page_reply(page, "/v1/messages", "messages", [_message(row) for row in rows], last)

    async def shown(request: Request) -> Reply:
        found = await store.query(_read_message, _octets(request.path["id"]), explaining.networks)
        if found is None:
            raise not_found("message of that id")
        told, questions = found
        opinions = await explaining.ask(questions)  # after the read: no explorer holds a connection
        return reply_json({**told, "hints": [opinion_view(each) for each in opinions]})

    async def collateral(request: Request) -> Reply:
        found = await store.query(read_collateral, request.path["account"], locks)
        if found is None:
            raise not_found(f"account {request.path['account']}")
        return reply_json(found)

    return (
        Route(
            "GET",
            "/v1/messages",
            listed,
            "Cross-chain messages, the last changed first; of one state with ?state=, of one address with ?account=.",
            query=("state", "account", "flag", *PAGE_QUERY),
        ),
        Route(
            "GET",
            "/v1/messages/{id}",
            shown,
            "One message: its evidence on both chains, every change, its explorers' word.",
        ),
        Route(
            "GET",
            "/v1/collateral/{account}",
            collateral,
            "An account's collateral over all chains, locked and free, with heights, finality and what is on its way.",
        ),
    )


async def _read_messages(
    reader: Reader, state: str | None, account: bytes | None, flag: str | None, page: Page
) -> Sequence[Row]:
    after = None if page.after is None else _number(page.after)
    return await reader.fetch(_LIST, state, account, after, flag, page.limit)


async def _read_message(
    reader: Reader, message: bytes, networks: Networks
) -> tuple[Mapping[str, object], Sequence[Question]] | None:
    """What is shown of it, and what its explorers may be asked."""
    row = await reader.fetch_one(_ONE, message)
    known = None if row is None else await load_message(reader, message)
    if row is None or known is None:
        return None
    changes = await reader.fetch(_CHANGES, message)
    told = {
        **_message(row),
        "timeline": msgspec.Raw(row.json("timeline")),
        "changes": [_change(each) for each in changes],
    }
    return told, questions_of(*known, networks)


def _message(row: Row) -> dict[str, object]:
    kind = row.optional_integer("kind")
    amount = row.optional_integer("amount")
    account, asset = row.optional_octets("account"), row.optional_octets("asset")
    return {
        "id": hex_of(row.octets("id")),
        "state": row.text("state"),
        "progress": row.optional_text("progress"),
        "stage": row.optional_text("stage"),
        "flags": row.texts("flags"),
        "bridge": row.optional_text("bridge"),
        "source": row.optional_integer("source"),
        "destination": row.optional_integer("destination"),
        "kind": None if kind is None else kind_name(kind),
        "account": None if account is None else hex_of(account),
        "asset": None if asset is None else hex_of(asset),
        "amount": None if amount is None else str(amount),
        "sent_at": row.optional_moment("sent_at"),
        "changed_at": row.moment("changed_at"),
    }


def _change(row: Row) -> dict[str, object]:
    return {
        "seq": row.integer("seq"),
        "before": row.optional_text("before"),
        "after": row.optional_text("after"),
        "flags": row.texts("flags"),
        "cause": row.text("cause"),
        "evidence": msgspec.Raw(row.json("evidence")),
        "at": row.moment("at"),
    }


def _state(request: Request) -> str | None:
    text = request.query.get("state")
    if text is not None and text not in [state.value for state in State]:
        raise invalid(f"state is one of {', '.join(State)}.")
    return text


def _flag(request: Request) -> str | None:
    text = request.query.get("flag")
    if text is not None and text not in [flag.value for flag in Flag]:
        raise invalid(f"flag is one of {', '.join(Flag)}.")
    return text


def _account(request: Request) -> bytes | None:
    text = request.query.get("account")
    if text is None:
        return None
    try:
        return parse_address(text)
    except ValueError as error:
        raise invalid("account is an address: 0x and 40 hex digits.") from error


def _octets(text: str) -> bytes:
    try:
        found = bytes.fromhex(text.removeprefix("0x"))
    except ValueError:
        found = b""
    if not text.startswith("0x") or len(found) != 32:
        raise not_found("message of that id")
    return found


def _number(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < _DIGITS):
        raise bad_cursor()
    return int(text)
