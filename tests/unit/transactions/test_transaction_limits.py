"""What nothing allows is refused; what is large waits for two principals."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fusion_daemon.domain.identifiers import Address, AssetId, ChainId
from fusion_daemon.domain.transaction import NATIVE_ASSET, Intent
from fusion_daemon.transactions.decide import End, Wait
from fusion_daemon.transactions.limits import Approve, Spent, judge, moves
from fusion_daemon.transactions.records import State, Transaction
from fusion_daemon.transactions.settings import AllowedCall, AmountLimit, Limits
from tests.unit.transactions.making import CHAIN, INTENT, SIGNERS, USDC, VAULT

LIMITS = Limits(
    (
        AllowedCall(CHAIN, VAULT, INTENT.selector, frozenset({"settlement"})),
        AllowedCall(CHAIN, VAULT, b"", frozenset({"settlement"})),
    ),
    {
        ("settlement", USDC): AmountLimit(each=1_000, day=2_500, four_eyes_above=500),
        ("settlement", NATIVE_ASSET): AmountLimit(each=10, day=20, four_eyes_above=10),
    },
)
MOVE = replace(INTENT, asset=USDC, amount=500)
STILL = replace(INTENT, amount=0, value=0)
NOTHING: Spent = {}


def judged(intent: Intent, spent: Spent = NOTHING, approvals: frozenset[str] = frozenset()) -> Approve | Wait | End:
    transaction = Transaction(intent, 1, State.PROPOSED, 0.0, approvals=approvals)
    return judge(transaction, SIGNERS, LIMITS, spent, now=1.0)


@pytest.mark.parametrize(
    ("intent", "why"),
    [
        (replace(MOVE, amount=1_001), "may be moved at once"),
        (replace(MOVE, value=11), "may be moved at once"),
        (replace(MOVE, purpose="bonus"), "not allowed"),
        (replace(MOVE, to=Address(b"\x01" * 20)), "not allowed"),
        (replace(MOVE, data=bytes.fromhex("a9059cbc")), "not allowed"),
        (replace(MOVE, data=b"\xa9\x05"), "not allowed"),
        (replace(MOVE, chain=ChainId(1)), "Nobody here signs"),
        (replace(INTENT, asset=AssetId("WBTC"), amount=1), "No limit says"),
    ],
)
def test_what_nothing_allows_is_refused(intent: Intent, why: str) -> None:
    decision = judged(intent)
    assert isinstance(decision, End)
    assert decision.state is State.REFUSED
    assert why in decision.reason


def test_what_the_day_has_spent_counts() -> None:
    assert isinstance(judged(MOVE, {("settlement", USDC): 2_000}), Approve)
    assert isinstance(judged(MOVE, {("settlement", USDC): 2_001}), End)
    assert isinstance(judged(MOVE, {("other", USDC): 2_001}), Approve)


def test_the_native_currency_is_limited_by_what_is_really_sent() -> None:
    understated = replace(INTENT, value=9, asset=NATIVE_ASSET, amount=1)
    assert moves(understated) == {NATIVE_ASSET: 9}
    assert isinstance(judged(understated, {("settlement", NATIVE_ASSET): 12}), End)


def test_within_the_limits_no_principal_is_asked() -> None:
    assert isinstance(judged(MOVE), Approve)
    assert isinstance(judged(replace(INTENT, data=b"", value=3)), Approve)


@pytest.mark.parametrize(
    ("approvals", "enough"),
    [((), False), (("ada",), False), (("settlement_keeper",), False), (("ada", "bob"), True)],
)
def test_above_the_threshold_two_distinct_principals_approve(approvals: tuple[str, ...], enough: bool) -> None:
    assert isinstance(judged(replace(MOVE, amount=501), approvals=frozenset(approvals)), Approve if enough else Wait)


def test_a_call_that_wants_it_waits_for_another_than_its_proposer() -> None:
    [allowed, payment] = LIMITS.calls
    limits = replace(LIMITS, calls=(replace(allowed, approval=True), payment))

    def decision(*approvals: str, intent: Intent = STILL) -> Approve | Wait | End:
        transaction = Transaction(intent, 1, State.PROPOSED, 0.0, approvals=frozenset(approvals))
        return judge(transaction, SIGNERS, limits, NOTHING, now=1.0)

    assert isinstance(decision(), Wait)
    assert isinstance(decision(INTENT.proposer), Wait)
    assert isinstance(decision("ada"), Approve)
    assert isinstance(decision("ada", intent=replace(MOVE, amount=501)), Wait), "a large one needs two all the same"
    assert isinstance(decision(intent=replace(STILL, data=b"")), Approve)


def test_four_eyes_do_not_lift_a_limit() -> None:
    assert isinstance(judged(replace(MOVE, amount=1_001), approvals=frozenset({"ada", "bob"})), End)


def test_what_is_approved_too_late_expires() -> None:
    transaction = Transaction(replace(MOVE, deadline=1.0), 1, State.PROPOSED, 0.0)
    decision = judge(transaction, SIGNERS, LIMITS, NOTHING, now=1.0)
    assert isinstance(decision, End)
    assert decision.state is State.EXPIRED
