"""Rule: for a message that does not get on there is the one call that brings it on, or a word on what to do instead."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from eth_abi.abi import decode
from eth_utils.crypto import keccak

from fusion_daemon.crosschain import Evidence, Networks, State
from fusion_daemon.crosschain.ccip_manual import Manual
from fusion_daemon.crosschain.evidence import CcipState
from fusion_daemon.crosschain.recovery import NotRecoverable, Recovery, RecoveryKind, recovery_of
from fusion_daemon.domain.identifiers import Address, ChainId
from tests.unit.crosschain.world import (
    AXELAR,
    CCIP,
    NETWORKS,
    NOW,
    STRANGER,
    A,
    B,
    C,
    Message,
    adapter,
    address,
    at,
    digest,
    judged,
    network,
)

REFUND = Address(b"\x77" * 20)
MESSAGE = Message()
CALL = at(A, 10, 3, tx="call")
SENT: list[Evidence] = [MESSAGE.sent(at(A, 10, 4, tx="call")), MESSAGE.called(CALL)]
PAID = MESSAGE.paid(at(A, 10, 2, tx="call"))
LATE = NOW + 100_000


def recovery(evidence: Sequence[Evidence], now: int = NOW, abandoned: bool = False) -> Recovery:
    standing = judged(evidence, now, {A: 50}, abandoned=abandoned)
    return recovery_of(standing, evidence, NETWORKS, REFUND, Manual((), now, 0))


def arguments(found: Recovery, signature: str) -> tuple[object, ...]:
    assert found.data[:4] == keccak(text=signature)[:4]
    return decode(signature[signature.index("(") + 1 : -1].split(","), found.data[4:])


@pytest.mark.parametrize("now", [NOW, LATE], ids=["at once", "when it is stuck"])
def test_what_our_router_stored_is_retried_there(now: int) -> None:
    found = recovery([*SENT, PAID, MESSAGE.stored(at(B, 20))], now)
    assert (found.kind, found.chain, found.to) == (RecoveryKind.RETRY, B, address(B, 8))
    assert arguments(found, "retry(bytes)") == (MESSAGE.payload,)
    assert not found.refundable


@pytest.mark.parametrize("failed", [False, True])
def test_an_approval_is_taken_with_the_words_in_which_it_was_given(failed: bool) -> None:
    approval = MESSAGE.approved(at(B, 20), CALL)
    run: list[Evidence] = [MESSAGE.reverted(at(B, 21))] if failed else []
    found = recovery([*SENT, PAID, approval, *run])
    assert (found.kind, found.chain, found.to) == (RecoveryKind.EXECUTE, B, adapter(B))
    assert arguments(found, "execute(bytes32,string,string,bytes)") == (
        digest("command", CALL),
        "alpha",
        approval.source_address,
        MESSAGE.payload,
    )


def test_no_approval_is_taken_but_that_of_a_call_on_the_source() -> None:
    stray = MESSAGE.approved(at(B, 20), at(A, 9, 3, tx="other"))
    forged = MESSAGE.approved(at(B, 21), CALL, sender=STRANGER)
    failed: list[Evidence] = [*SENT, PAID, stray, forged, MESSAGE.reverted(at(B, 22))]
    with pytest.raises(NotRecoverable, match="no approval open"):
        recovery(failed)
    true = MESSAGE.approved(at(B, 23), CALL)
    assert arguments(recovery([*failed, true]), "execute(bytes32,string,string,bytes)")[0] == true.command


def test_an_approval_that_was_taken_is_not_taken_again() -> None:
    taken: list[Evidence] = [MESSAGE.approved(at(B, 20), CALL), MESSAGE.ran(at(B, 21), CALL)]
    with pytest.raises(NotRecoverable, match="no approval open"):
        recovery([*SENT, PAID, *taken, MESSAGE.reverted(at(B, 22))])


@pytest.mark.parametrize("fee", [0, 999])
def test_a_call_that_paid_too_little_gets_gas_on_its_source(fee: int) -> None:
    paid: list[Evidence] = [MESSAGE.paid(at(A, 10, 2, tx="call"), fee)] if fee else []
    found = recovery([*SENT, *paid])
    assert (found.kind, found.chain, found.to, found.refundable) == (RecoveryKind.GAS, A, address(A, 2), True)
    named, index, refund = arguments(found, "addNativeGas(bytes32,uint256,address)")
    assert (named, index, refund) == (CALL.tx_hash, CALL.receipt_index, "0x" + REFUND.hex())


@pytest.mark.parametrize(
    ("resends", "bridge"), [([], CCIP), ([MESSAGE.resent(at(A, 20))], AXELAR)], ids=["first", "second"]
)
def test_what_its_bridge_does_not_accept_in_time_goes_over_the_other_one(
    resends: list[Evidence], bridge: bytes
) -> None:
    found = recovery([*SENT, PAID, *resends], LATE)
    assert (found.kind, found.chain, found.to, found.refundable) == (RecoveryKind.RESEND, A, address(A, 8), True)
    expected = (MESSAGE.payload, bridge, "0x" + REFUND.hex())
    assert arguments(found, "resend(bytes,bytes32,address)") == expected


def test_a_grant_that_expired_on_its_way_is_resent_so_that_its_lock_can_come_back() -> None:
    late = MESSAGE.but(deadline=NOW)
    evidence: list[Evidence] = [late.sent(at(A, 10, 4)), late.called(CALL), late.paid(at(A, 10, 2, tx="call"))]
    standing = judged(evidence, NOW + 1, {A: 50}, late)
    assert standing.state is State.EXPIRED
    assert recovery_of(standing, evidence, NETWORKS, REFUND, Manual((), NOW + 1, 0)).kind is RecoveryKind.RESEND


@pytest.mark.parametrize(
    ("evidence", "remedy"),
    [
        ([*SENT, PAID], "Its bridge has to accept it"),
        ([MESSAGE.sent(at(A, 60), bridge=CCIP), MESSAGE.ccip(at(A, 60, 1))], "source is final"),
        ([*SENT, PAID, MESSAGE.received(at(B, 20))], "Nothing is left"),
        ([*SENT, PAID, MESSAGE.refused(at(B, 20))], "send it anew"),
        ([MESSAGE.stored(at(B, 20))], "source first"),
        ([*SENT, PAID, MESSAGE.received(at(B, 20)), MESSAGE.recovered(at(B, 21))], "both executions"),
        (
            [
                MESSAGE.sent(at(A, 10), bridge=CCIP),
                MESSAGE.ccip(at(A, 10, 1)),
                MESSAGE.committed(at(B, 20)),
                MESSAGE.executed(at(B, 21), CcipState.FAILURE),
            ],
            "not stored any more",
        ),
        (
            [
                MESSAGE.sent(at(A, 10), bridge=CCIP),
                MESSAGE.ccip(at(A, 10, 1)),
                MESSAGE.committed(at(B, 20)),
            ],
            "not stored any more",
        ),
    ],
)
def test_otherwise_it_is_told_what_to_do(evidence: Sequence[Evidence], remedy: str) -> None:
    with pytest.raises(NotRecoverable) as refusal:
        recovery(evidence)
    assert remedy in refusal.value.remedy


def test_an_abandoned_one_is_left_alone_until_it_is_resumed() -> None:
    with pytest.raises(NotRecoverable, match="resume"):
        recovery([*SENT, PAID, MESSAGE.stored(at(B, 20))], abandoned=True)


@pytest.mark.parametrize("left", [A, B])
@pytest.mark.parametrize(
    "evidence",
    [[*SENT, MESSAGE.stored(at(B, 20))], [*SENT, MESSAGE.approved(at(B, 20), CALL)], SENT, [*SENT, PAID]],
    ids=["stored", "approved", "unpaid", "stuck"],
)
def test_a_message_of_a_chain_that_was_taken_out_is_not_ours_to_bring_on(
    evidence: list[Evidence], left: ChainId
) -> None:
    standing = judged(evidence, LATE, {A: 50})
    fewer = Networks([network(chain) for chain in (left, C)])
    with pytest.raises(NotRecoverable) as refusal:
        recovery_of(standing, evidence, fewer, REFUND, Manual((), LATE, 0))
    assert "configured" in refusal.value.remedy
