"""Transactions as the API shows them."""

from __future__ import annotations

from datetime import datetime

import msgspec


class TransactionView(msgspec.Struct, frozen=True):
    id: str
    number: int
    state: str
    reason: str
    chain_id: int
    signer: str
    to: str
    data: str
    """`0x` + lower-case hex, as are addresses and hashes."""
    value: str
    """Wei, as are fees; a decimal number, since it may be beyond what JSON's readers hold."""
    gas_cap: int
    fee_cap: str
    purpose: str
    asset: str
    amount: str
    """In the asset's smallest unit."""
    proposer: str
    proposed_at: datetime
    deadline: datetime | None
    changed_at: datetime
    approvals: tuple[str, ...]
    nonce: int | None
    ending: str | None
    """`cancelled` or `expired`: it is being called off."""
    hash: str | None
    """Of what was mined."""
    block_number: int | None
    block_hash: str | None
    gas_used: int | None
    gas_price: str | None


class StepView(msgspec.Struct, frozen=True):
    step: int
    at: datetime
    kind: str
    state: str
    detail: str
    hash: str | None
    void: bool | None
    """Whether nothing was signed in the intent's place."""
    nonce: int | None
    max_fee: str | None
    tip: str | None
    gas: int | None
    answer: str | None
    block_number: int | None
    block_hash: str | None


class TransactionDetail(msgspec.Struct, frozen=True):
    transaction: TransactionView
    steps: tuple[StepView, ...]


class TransactionPage(msgspec.Struct, frozen=True):
    transactions: tuple[TransactionView, ...]
    next_cursor: str | None
