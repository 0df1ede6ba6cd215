"""Which gas payment belongs to which call of Axelar's gateway."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from fusion_daemon.crosschain.evidence import AxelarCalled, AxelarGasAdded, AxelarGasPaid, Place


class Fee(msgspec.Struct, frozen=True, gc=False):
    paid: bool
    native: int
    """Wei of the source chain."""
    other: bool
    """Something was paid in a token, whose worth nobody here knows."""


def fees_of(calls: Sequence[AxelarCalled], paid: Sequence[AxelarGasPaid], added: Sequence[AxelarGasAdded]) -> list[Fee]:
    """For each call, in the given order.

    A payment belongs to a call of the same transaction with the same sender, destination, payload and token; several
    equal calls take several equal payments in log order. Who adds gas later names the call by its position in the
    receipt or in the block: the receipt's has precedence, since both are small numbers of one transaction.
    """
    waiting: dict[tuple[object, ...], list[AxelarGasPaid]] = {}
    for payment in sorted(paid, key=lambda each: each.place.log_index):
        waiting.setdefault(_route(payment), []).append(payment)
    found: dict[int, list[AxelarGasPaid | AxelarGasAdded]] = {}
    for index in sorted(range(len(calls)), key=lambda each: calls[each].place.log_index):
        equal = waiting.get(_route(calls[index]))
        found[index] = [equal.pop(0)] if equal else []
    for each in added:
        index_of = _named(calls, each)
        if index_of is not None:
            found[index_of].append(each)
    return [_sum(found[index]) for index in range(len(calls))]


def _route(evidence: AxelarCalled | AxelarGasPaid) -> tuple[object, ...]:
    place = evidence.place
    return (
        place.chain,
        place.block_hash,
        place.tx_hash,
        evidence.id,
        evidence.sender,
        evidence.destination_chain,
        evidence.destination,
        evidence.symbol,
        evidence.amount,
    )


def _named(calls: Sequence[AxelarCalled], added: AxelarGasAdded) -> int | None:
    def first(position: str) -> int | None:
        return next((place for place, call in enumerate(calls) if matches(call.place, position)), None)

    def matches(place: Place, position: str) -> bool:
        index = place.receipt_index if position == "receipt" else place.log_index
        return (place.chain, place.tx_hash, index) == (added.place.chain, added.source_tx, added.source_index)

    by_receipt = first("receipt")
    return first("block") if by_receipt is None else by_receipt


def _sum(payments: Sequence[AxelarGasPaid | AxelarGasAdded]) -> Fee:
    native = sum(each.fee for each in payments if each.gas_token is None)
    return Fee(bool(payments), native, any(each.gas_token is not None for each in payments))
