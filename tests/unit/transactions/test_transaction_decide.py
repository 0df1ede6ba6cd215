"""What is done next with a transaction, case by case."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fusion_daemon.transactions.decide import (
    Broadcast,
    CallOff,
    Decision,
    End,
    Mined,
    Renonce,
    Reverted,
    Sight,
    Sign,
    Suspect,
    Trial,
    Unmined,
    Wait,
    decide,
    prepare,
)
from fusion_daemon.transactions.fees import Fees, Market
from fusion_daemon.transactions.records import Answer, Kind, State, Transaction
from tests.unit.transactions.making import (
    GWEI,
    INTENT,
    MARKET,
    POLICY,
    holding,
    late,
    receipt,
    sight,
    signed,
)

SOON, LATER = 10.0, 100.0
"""Seconds since it was signed: before and after the time in which more is offered."""
APPROVED = Transaction(INTENT, 1, State.APPROVED, 0.0)
SENT = holding(State.SENT, signed(1, answer=Answer.ACCEPTED))
VOIDED = replace(
    holding(State.SENT, signed(1), signed(2, Kind.VOID, answer=Answer.ACCEPTED)), ending=State.CANCELLED
)
MINED = replace(SENT, state=State.MINED, receipt=receipt(1, 95))
USED, USED_FINALLY = sight(nonces=(7, 8, 8)), sight(nonces=(8, 8, 8), final=90)


@pytest.mark.parametrize(
    ("transaction", "seen", "now", "expected"),
    [
        pytest.param(holding(State.SIGNED, signed(1)), sight(), SOON, Broadcast(signed(1)), id="stored, so sent"),
        pytest.param(SENT, sight(), SOON, Broadcast(SENT.latest), id="dropped: the same bytes again"),
        pytest.param(SENT, sight(receipts=(receipt(1, 95),)), SOON, Mined(receipt(1, 95)), id="mined"),
        pytest.param(MINED, sight(receipts=(receipt(1, 96),)), SOON, Mined(receipt(1, 96)), id="mined elsewhere"),
        pytest.param(MINED, sight(), SOON, Unmined(), id="its block is gone"),
        pytest.param(MINED, sight(receipts=(receipt(1, 90),)), SOON, End(State.FINAL, "", receipt(1, 90)), id="final"),
        pytest.param(SENT, USED_FINALLY, SOON, Suspect(90), id="used by another: suspected"),
        pytest.param(
            replace(SENT, suspected_at=90), sight(nonces=(7, 7, 8)), SOON, Suspect(None), id="and no longer suspected"
        ),
        pytest.param(late(SENT, 5.0), sight(known=(1,)), SOON, CallOff(), id="late"),
        pytest.param(late(MINED, 5.0), sight(receipts=(receipt(1, 96),)), SOON, Mined(receipt(1, 96)), id="in time"),
        pytest.param(VOIDED, sight(known=(1,)), SOON, Broadcast(VOIDED.latest), id="called off: the void is sent"),
    ],
)
def test_what_follows_from_what_the_chain_shows(
    transaction: Transaction, seen: Sight, now: float, expected: Decision
) -> None:
    assert decide(transaction, seen, now, POLICY) == expected


@pytest.mark.parametrize(
    ("transaction", "seen", "state"),
    [
        (SENT, sight(receipts=(receipt(1, 90, succeeded=False),)), State.REVERTED),
        (VOIDED, sight(receipts=(receipt(2, 90),)), State.CANCELLED),
        (VOIDED, sight(receipts=(receipt(1, 90),)), State.FINAL),
        (replace(VOIDED, suspected_at=80), USED_FINALLY, State.CANCELLED),
        (replace(SENT, suspected_at=80, renonced=POLICY.most_renonced), USED_FINALLY, State.REPLACED),
    ],
)
def test_a_signed_transaction_ends_by_a_final_block_alone(transaction: Transaction, seen: Sight, state: State) -> None:
    decision = decide(transaction, seen, SOON, POLICY)
    assert isinstance(decision, End)
    assert decision.state is state


@pytest.mark.parametrize(
    ("transaction", "seen"),
    [
        pytest.param(SENT, sight(known=(1,)), id="in a pool"),
        pytest.param(MINED, sight(receipts=(receipt(1, 95),)), id="in a block that is not final"),
        pytest.param(SENT, USED, id="used by another, not finally"),
        pytest.param(replace(SENT, suspected_at=90), USED_FINALLY, id="used by another, seen at one final block only"),
    ],
)
def test_it_waits_while_nothing_is_certain(transaction: Transaction, seen: Sight) -> None:
    assert isinstance(decide(transaction, seen, SOON, POLICY), Wait)


def test_another_nonce_is_given_only_once_the_first_is_used_in_a_block_that_was_final_at_two_looks() -> None:
    assert isinstance(decide(replace(SENT, suspected_at=89), USED_FINALLY, SOON, POLICY), Renonce)


def test_after_a_while_at_least_an_eighth_more_of_both_is_offered() -> None:
    order = decide(SENT, sight(known=(1,)), LATER, POLICY)
    assert order == Sign(Kind.INTENT, 7, 60_000, Fees(23_625_000_000, 1_125_000_000))


def test_an_underpriced_replacement_is_raised_at_once() -> None:
    transaction = holding(State.SIGNED, signed(1), signed(2, answer=Answer.UNDERPRICED))
    assert isinstance(decide(transaction, sight(), SOON, POLICY), Sign)


def test_nothing_is_offered_above_the_cap_nor_more_often_than_the_policy_allows() -> None:
    dear = holding(State.SENT, signed(1, fees=Fees(95 * GWEI, GWEI), answer=Answer.ACCEPTED))
    often = holding(State.SENT, *[signed(each, answer=Answer.ACCEPTED) for each in range(1, 14)])
    assert isinstance(decide(dear, sight(known=(1,)), LATER, POLICY), Wait)
    assert isinstance(decide(often, sight(known=(13,)), LATER, POLICY), Wait)


def test_a_void_may_outbid_an_intent_that_stands_at_its_cap() -> None:
    dear = replace(holding(State.SENT, signed(1, fees=Fees(100 * GWEI, GWEI))), ending=State.EXPIRED)
    order = decide(dear, sight(known=(1,)), SOON, POLICY)
    assert isinstance(order, Sign)
    assert order.kind is Kind.VOID
    assert order.nonce == 7


def test_what_is_called_off_is_never_broadcast_again() -> None:
    stuck = replace(holding(State.SIGNED, signed(1, fees=Fees(190 * GWEI, GWEI))), ending=State.CANCELLED)
    assert isinstance(decide(stuck, sight(), SOON, POLICY), Wait)


def test_a_simulation_that_reverts_or_needs_too_much_gas_is_its_end() -> None:
    for trial in (Reverted("no collateral"), Trial(200_001)):
        decision = prepare(APPROVED, trial, MARKET, 7, 10**18, POLICY)
        assert isinstance(decision, End)
        assert decision.state is State.FAILED


def test_a_floor_is_given_whatever_the_simulation_needed() -> None:
    floored = replace(APPROVED, intent=replace(INTENT, gas_floor=150_000))
    for needs, gas in ((50_000, 150_000), (130_000, 156_000), (200_000, 200_000)):
        order = prepare(floored, Trial(needs), MARKET, 7, 10**18, POLICY)
        assert isinstance(order, Sign)
        assert order.gas == gas
    assert isinstance(prepare(floored, Trial(50_000), MARKET, 7, 150_000 * 21 * GWEI - 1, POLICY), Wait)
    beyond = replace(APPROVED, intent=replace(INTENT, gas_floor=200_001))
    assert isinstance(prepare(beyond, Trial(50_000), MARKET, 7, 10**18, POLICY), End)


def test_it_is_signed_within_its_caps_and_the_days_budget() -> None:
    assert prepare(APPROVED, Trial(100_000), MARKET, 7, 10**18, POLICY) == Sign(
        Kind.INTENT, 7, 120_000, Fees(21 * GWEI, GWEI)
    )
    assert prepare(APPROVED, Trial(190_000), MARKET, 7, 10**18, POLICY) == Sign(
        Kind.INTENT, 7, 200_000, Fees(21 * GWEI, GWEI)
    )
    assert isinstance(prepare(APPROVED, Trial(100_000), MARKET, 7, 120_000 * 21 * GWEI - 1, POLICY), Wait)
    assert isinstance(prepare(APPROVED, Trial(100_000), Market(100 * GWEI, GWEI), 7, 10**18, POLICY), Wait)
