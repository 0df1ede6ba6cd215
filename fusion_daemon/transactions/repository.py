"""The queue's SQL. All functions run on the asyncio side, inside the caller's transaction."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from fusion_daemon.accounts.audit import AuditEntry, By, detail_of
from fusion_daemon.accounts.repository import write_audit
from fusion_daemon.domain.identifiers import Address, AssetId, ChainId, Hash32, hex_of
from fusion_daemon.domain.transaction import NATIVE_ASSET, Intent
from fusion_daemon.store import Reader, Row
from fusion_daemon.transactions.commands import Command, command, unknown
from fusion_daemon.transactions.commits import writes_of
from fusion_daemon.transactions.fees import Fees
from fusion_daemon.transactions.proposal import moment, propose
from fusion_daemon.transactions.records import (
    HOLDING,
    OPEN,
    WITHOUT_EFFECT,
    Answer,
    Kind,
    Receipt,
    Signed,
    State,
    Transaction,
)
from fusion_daemon.transactions.settings import SECONDS_A_DAY
from fusion_daemon.transactions.views import StepView, TransactionDetail, TransactionView

_NAMES = msgspec.json.Decoder(list[str])

MOST_OPEN = 500
"""Read at one look: what holds a nonce, and then the oldest."""


@dataclass(frozen=True, slots=True)
class Queue:
    """What is to be done on one chain."""

    transactions: tuple[Transaction, ...]
    """Approved, or holding a nonce; in the order of their proposals."""
    floors: Mapping[Address, int]
    """By signer: the first nonce above all that ended with a final block."""
    gas: Mapping[Address, int]
    """By signer: wei committed to gas within the last 24 hours."""
    latched: str | None
    """Why the chain stands still: it replaced a block that it had called final. None: it does not."""


_SELECT = """
SELECT t.*, extract(epoch FROM t.proposed_at)::double precision AS proposed_seconds,
       extract(epoch FROM t.deadline)::double precision AS deadline_seconds,
       (SELECT json_agg(a.principal) FROM transaction_approvals AS a WHERE a.transaction_id = t.id) AS approvals
FROM transactions AS t
"""
_SIGNED = """
SELECT s.transaction_id, s.hash, s.raw, s.void, s.nonce, s.gas, s.max_fee, s.tip,
       extract(epoch FROM s.at)::double precision AS signed_seconds,
       (SELECT told.answer FROM transaction_steps AS told
        WHERE told.transaction_id = s.transaction_id AND told.hash = s.hash AND told.answer IS NOT NULL
        ORDER BY told.step DESC LIMIT 1) AS answer
FROM transaction_steps AS s JOIN transactions AS t ON t.id = s.transaction_id
WHERE s.transaction_id = ANY ($1::text[]) AND s.raw IS NOT NULL AND s.nonce = t.nonce
ORDER BY s.transaction_id, s.step
"""
_FLOORS = """
SELECT signer, used.nonce + 1 AS floor FROM unnest($3::bytea[]) AS asked (signer) CROSS JOIN LATERAL (
    SELECT nonce FROM transactions AS t
    WHERE t.chain_id = $1 AND t.signer = asked.signer AND nonce IS NOT NULL AND state <> ALL ($2::text[])
    ORDER BY nonce DESC LIMIT 1
) AS used
"""
_GAS = """
SELECT signer, sum(coalesce(gas_used * gas_price, gas_cost)) AS wei FROM (
    SELECT * FROM transactions WHERE state IN ('signed', 'sent', 'mined')
    UNION ALL
    SELECT * FROM transactions
    WHERE state NOT IN ('proposed', 'approved', 'signed', 'sent', 'mined') AND changed_at > $2
) AS counting WHERE chain_id = $1 AND nonce IS NOT NULL GROUP BY signer
"""
"""Both ask at every look, and ended ones stay for ever: each part has an index of its own."""
_SPENT = """
SELECT purpose, asset, sum(amount) AS amount FROM (
    SELECT purpose, asset, CASE WHEN asset = $3 THEN greatest(amount, value) ELSE amount END AS amount
    FROM transactions WHERE approved_at > $1 AND state <> ALL ($2::text[])
    UNION ALL
    SELECT purpose, $3, value FROM transactions
    WHERE approved_at > $1 AND state <> ALL ($2::text[]) AND asset <> $3 AND value > 0
) AS moved GROUP BY purpose, asset
"""


async def queue_of(reader: Reader, chain: ChainId, now: float) -> Queue:
    rows = await reader.fetch(
        f"{_SELECT} WHERE t.chain_id = $1 AND t.state = ANY ($2::text[]) ORDER BY t.state = $3, t.number LIMIT $4",
        int(chain),
        [State.APPROVED.value, *_HOLDING],
        State.APPROVED.value,
        MOST_OPEN,
    )
    signers = sorted({row.octets("signer") for row in rows})
    floors = await reader.fetch(_FLOORS, int(chain), _HOLDING, signers)
    gas = await reader.fetch(_GAS, int(chain), moment(now - SECONDS_A_DAY))
    state = await reader.fetch_one("SELECT latched FROM chain_state WHERE chain_id = $1", int(chain))
    found = await _transactions(reader, rows)
    return Queue(
        tuple(sorted(found, key=lambda each: each.number)),
        {Address(row.octets("signer")): row.integer("floor") for row in floors},
        {Address(row.octets("signer")): row.integer("wei") for row in gas},
        None if state is None else state.optional_text("latched"),
    )


async def proposed(reader: Reader, now: float) -> tuple[tuple[Transaction, ...], dict[tuple[str, AssetId], int]]:
    """What waits for its approval, the oldest first, and what counts against the day's limits."""
    rows = await reader.fetch(
        f"{_SELECT} WHERE t.state = $1 ORDER BY t.number LIMIT $2", State.PROPOSED.value, MOST_OPEN
    )
    spent = await reader.fetch(
        _SPENT, moment(now - SECONDS_A_DAY), [each.value for each in WITHOUT_EFFECT], NATIVE_ASSET
    )
    return (
        tuple([_transaction(row, ()) for row in rows]),
        {(row.text("purpose"), AssetId(row.text("asset"))): row.integer("amount") for row in spent},
    )


async def counts(reader: Reader) -> dict[tuple[int, str], int]:
    """Open ones by chain and state."""
    rows = await reader.fetch(
        "SELECT chain_id, state, count(*) AS present FROM transactions "
        "WHERE state = ANY ($1::text[]) GROUP BY chain_id, state",
        [State.PROPOSED.value, State.APPROVED.value, *_HOLDING],
    )
    return {(row.integer("chain_id"), row.text("state")): row.integer("present") for row in rows}


async def carry_out(writer: Reader, id_: str, asked: Command, by: By, at: float) -> Transaction:
    """An operator's word and its audit row. Raises UnknownTransaction, TransactionSettled, AlreadyApproved."""
    row = await writer.fetch_one(f"{_SELECT} WHERE t.id = $1 FOR UPDATE OF t", id_)
    present = None if row is None else (await _transactions(writer, [row]))[0]
    moved = command(present, id_, asked, by.principal)
    for write in writes_of(moved, 0, at):
        await writer.fetch(write.sql, *write.args)
    if asked is Command.APPROVE:
        await writer.fetch(
            "INSERT INTO transaction_approvals (transaction_id, principal, at) VALUES ($1, $2, $3)",
            id_,
            by.principal,
            moment(at),
        )
    detail = detail_of({"state": moved.after.state.value})
    await write_audit(writer, AuditEntry(by, f"transaction.{asked.value}", id_, "done", detail))
    return moved.after


_SERIES = "SELECT id, state FROM transactions WHERE starts_with(id, $1) ORDER BY number DESC LIMIT 1"


async def propose_next(writer: Reader, series: str, intent_of: Callable[[str], Intent], at: float) -> str:
    """Propose under `series:n`, n from 1, and give that id; or the id of the last one while it is open.

    Whoever asks at the same time waits for this transaction to end."""
    await writer.fetch("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", series)
    last = await writer.fetch_one(_SERIES, f"{series}:")
    if last is not None and State(last.text("state")) in OPEN:
        return last.text("id")
    number = 1 if last is None else int(last.text("id").rpartition(":")[2]) + 1
    intent = intent_of(f"{series}:{number}")
    for write in propose(intent, at):
        await writer.fetch(write.sql, *write.args)
    return intent.id


async def _transactions(reader: Reader, rows: Sequence[Row]) -> tuple[Transaction, ...]:
    signed: dict[str, list[Signed]] = {}
    for row in await reader.fetch(_SIGNED, [row.text("id") for row in rows]):
        signed.setdefault(row.text("transaction_id"), []).append(_signed(row))
    return tuple([_transaction(row, tuple(signed.get(row.text("id"), ()))) for row in rows])


_HOLDING = sorted(each.value for each in HOLDING)


def _transaction(row: Row, signed: tuple[Signed, ...]) -> Transaction:
    state, ending = State(row.text("state")), row.optional_text("ending")
    return Transaction(
        intent=_intent(row),
        number=row.integer("number"),
        state=state,
        proposed_at=row.number("proposed_seconds"),
        steps=row.integer("steps"),
        reason=row.text("reason"),
        nonce=row.optional_integer("nonce"),
        signed=signed,
        receipt=_receipt(row),
        ending=None if ending is None else State(ending),
        suspected_at=row.optional_integer("suspected_at"),
        renonced=row.integer("renonced"),
        approvals=frozenset(_names(row)),
    )


def _intent(row: Row) -> Intent:
    return Intent(
        id=row.text("id"),
        chain=ChainId(row.integer("chain_id")),
        signer=Address(row.octets("signer")),
        to=Address(row.octets("recipient")),
        data=row.octets("data"),
        value=row.integer("value"),
        gas_cap=row.integer("gas_cap"),
        fee_cap=row.integer("fee_cap"),
        purpose=row.text("purpose"),
        asset=AssetId(row.text("asset")),
        amount=row.integer("amount"),
        proposer=row.text("proposer"),
        deadline=row.number("deadline_seconds") if row.optional_moment("deadline") else None,
        gas_floor=row.integer("gas_floor"),
    )


def _names(row: Row) -> list[str]:
    return [] if row.optional_text("approvals") is None else _NAMES.decode(row.json("approvals"))


def _receipt(row: Row) -> Receipt | None:
    if row.optional_octets("mined_hash") is None:
        return None
    return Receipt(
        Hash32(row.octets("mined_hash")),
        row.integer("block_number"),
        Hash32(row.octets("block_hash")),
        row.boolean("succeeded"),
        row.integer("gas_used"),
        row.integer("gas_price"),
    )


def _signed(row: Row) -> Signed:
    answer = row.optional_text("answer")
    return Signed(
        Kind.VOID if row.boolean("void") else Kind.INTENT,
        Hash32(row.octets("hash")),
        row.octets("raw"),
        row.integer("nonce"),
        row.integer("gas"),
        Fees(row.integer("max_fee"), row.integer("tip")),
        row.number("signed_seconds"),
        None if answer is None else Answer(answer),
    )


_VIEW = """
SELECT t.*, (SELECT json_agg(a.principal ORDER BY a.at) FROM transaction_approvals AS a
             WHERE a.transaction_id = t.id) AS approvals
FROM transactions AS t
"""


async def list_transactions(
    reader: Reader, before: int | None, state: State | None, limit: int
) -> tuple[TransactionView, ...]:
    """A keyset page, newest first."""
    rows = await reader.fetch(
        f"{_VIEW} WHERE ($1::bigint IS NULL OR t.number < $1) AND ($2::text IS NULL OR t.state = $2) "
        "ORDER BY t.number DESC LIMIT $3",
        before,
        None if state is None else state.value,
        limit,
    )
    return tuple(map(_view, rows))


async def read_transaction(reader: Reader, id_: str) -> TransactionDetail:
    """With its steps. Raises UnknownTransaction."""
    row = await reader.fetch_one(f"{_VIEW} WHERE t.id = $1", id_)
    if row is None:
        raise unknown(id_)
    steps = await reader.fetch("SELECT * FROM transaction_steps WHERE transaction_id = $1 ORDER BY step", id_)
    return TransactionDetail(_view(row), tuple(map(_step_view, steps)))


def _view(row: Row) -> TransactionView:
    return TransactionView(
        id=row.text("id"),
        number=row.integer("number"),
        state=row.text("state"),
        reason=row.text("reason"),
        chain_id=row.integer("chain_id"),
        signer=hex_of(row.octets("signer")),
        to=hex_of(row.octets("recipient")),
        data=hex_of(row.octets("data")),
        value=str(row.integer("value")),
        gas_cap=row.integer("gas_cap"),
        fee_cap=str(row.integer("fee_cap")),
        purpose=row.text("purpose"),
        asset=row.text("asset"),
        amount=str(row.integer("amount")),
        proposer=row.text("proposer"),
        proposed_at=row.moment("proposed_at"),
        deadline=row.optional_moment("deadline"),
        changed_at=row.moment("changed_at"),
        approvals=tuple(_names(row)),
        nonce=row.optional_integer("nonce"),
        ending=row.optional_text("ending"),
        hash=_hex(row, "mined_hash"),
        block_number=row.optional_integer("block_number"),
        block_hash=_hex(row, "block_hash"),
        gas_used=row.optional_integer("gas_used"),
        gas_price=_wei(row, "gas_price"),
    )


def _step_view(row: Row) -> StepView:
    return StepView(
        step=row.integer("step"),
        at=row.moment("at"),
        kind=row.text("kind"),
        state=row.text("state"),
        detail=row.text("detail"),
        hash=_hex(row, "hash"),
        void=None if row.optional_octets("raw") is None else row.boolean("void"),
        nonce=row.optional_integer("nonce"),
        max_fee=_wei(row, "max_fee"),
        tip=_wei(row, "tip"),
        gas=row.optional_integer("gas"),
        answer=row.optional_text("answer"),
        block_number=row.optional_integer("block_number"),
        block_hash=_hex(row, "block_hash"),
    )


def _hex(row: Row, name: str) -> str | None:
    octets = row.optional_octets(name)
    return None if octets is None else hex_of(octets)


def _wei(row: Row, name: str) -> str | None:
    wei = row.optional_integer(name)
    return None if wei is None else str(wei)
