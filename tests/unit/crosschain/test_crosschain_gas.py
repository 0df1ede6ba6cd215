"""A payment belongs to the call of its own transaction with equal arguments; equal ones are paired in log order."""

from __future__ import annotations

import itertools

from fusion_daemon.crosschain.evidence import AxelarGasAdded
from fusion_daemon.crosschain.gas import Fee, fees_of
from tests.unit.crosschain.world import STRANGER, A, Message, at

M = Message()


def test_equal_calls_of_one_transaction_take_their_payments_in_log_order() -> None:
    """log 1: pays 100, log 2: call, log 3: pays 200, log 4: call, log 5: call that nobody paid for"""
    calls = [M.called(at(A, 10, log)) for log in (2, 4, 5)]
    paid = [M.paid(at(A, 10, 1), 100), M.paid(at(A, 10, 3), 200)]
    expected = {2: Fee(True, 100, False), 4: Fee(True, 200, False), 5: Fee(False, 0, False)}
    for some in itertools.permutations(calls):
        for payments in itertools.permutations(paid):
            fees = fees_of(some, payments, [])
            assert {call.place.log_index: fee for call, fee in zip(some, fees, strict=True)} == expected


def test_a_payment_of_another_transaction_fork_or_destination_is_not_for_this_call() -> None:
    call = M.called(at(A, 10, 2))
    for elsewhere in (at(A, 10, 1, tx="other"), at(A, 10, 1, "fork"), at(A, 11, 1)):
        assert fees_of([call], [M.paid(elsewhere)], []) == [Fee(False, 0, False)]
    other = M.paid(at(A, 10, 1))
    moved = type(other)(**{f: getattr(other, f) for f in other.__struct_fields__} | {"destination_chain": "gamma"})
    assert fees_of([call], [moved], []) == [Fee(False, 0, False)]


def test_what_is_added_later_goes_by_the_receipts_index_first() -> None:
    """The second call's place in the receipt (4) is the first one's in the block."""
    calls = [M.called(at(A, 10, 4)), M.called(at(A, 10, 5))]
    tx = calls[0].place.tx_hash
    fees = fees_of(calls, [], [AxelarGasAdded(at(A, 12), tx, 4, None, 9)])
    assert fees == [Fee(False, 0, False), Fee(True, 9, False)]
    assert fees_of(calls[:1], [], [AxelarGasAdded(at(A, 12), tx, 4, None, 9)]) == [Fee(True, 9, False)]
    assert fees_of(calls, [], [AxelarGasAdded(at(A, 12), tx, 9, None, 9)]) == [Fee(False, 0, False)] * 2


def test_a_token_payment_is_a_payment_of_unknown_worth() -> None:
    call = M.called(at(A, 10, 4))
    added = AxelarGasAdded(at(A, 12), call.place.tx_hash, 3, STRANGER, 9)
    assert fees_of([call], [], [added]) == [Fee(True, 0, True)]
