"""One effect, whatever happens between a proposal and a final block: real Postgres, real anvil."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest

from fusion_daemon.chain.repository import latch, propose_start_block
from fusion_daemon.domain.identifiers import hex_of
from fusion_daemon.domain.journal import journal_stream
from fusion_daemon.store import WriteConflict
from fusion_daemon.transactions.commands import AlreadyApproved, Command, TransactionSettled
from fusion_daemon.transactions.records import Answer, State
from fusion_daemon.transactions.views import TransactionDetail
from tests.integration.transactions.sending import CHAIN, GWEI, PAYMENT, SIGNER, Sending


def hashes(found: TransactionDetail, kind: str) -> list[str]:
    return [str(each.hash) for each in found.steps if each.kind == kind]


async def test_a_payment_is_proposed_signed_sent_mined_and_final(sending: Sending) -> None:
    await sending.propose(PAYMENT)
    await sending.propose(PAYMENT)  # the producer's retry
    async with sending.living():
        await sending.until(State.SENT)
        sending.mine()
        await sending.until(State.MINED)
        sending.finalize()
        found = await sending.until(State.FINAL)
    assert [each.kind for each in found.steps] == ["proposed", "approved", "signed", "broadcast", "mined", "ended"]
    assert found.transaction.nonce == 0
    assert found.transaction.hash == hashes(found, "signed")[0]
    assert sending.balance() == 1_000


async def test_another_intent_under_the_same_id_is_a_conflict(sending: Sending) -> None:
    await sending.propose(PAYMENT)
    with pytest.raises(WriteConflict):
        await sending.propose(replace(PAYMENT, value=2_000, amount=2_000))


async def test_many_payments_take_consecutive_nonces_in_their_order(sending: Sending) -> None:
    several = [replace(PAYMENT, id=f"pay:{number}") for number in range(1, 6)]
    await sending.propose(*several)
    async with sending.living():
        for each in several:
            await sending.until(State.SENT, each.id)
        sending.mine()
        sending.finalize()
        found = [await sending.until(State.FINAL, each.id) for each in several]
    assert [each.transaction.nonce for each in found] == [0, 1, 2, 3, 4]
    assert sending.balance() == 5_000


async def test_on_a_chain_that_rewrote_what_was_final_nothing_new_is_signed(sending: Sending) -> None:
    await sending.store.transact(propose_start_block, CHAIN, 0)
    epoch = (await sending.store.claim("chain_listener", produces=(journal_stream(CHAIN),))).epoch
    await sending.store.commit(latch(CHAIN, epoch, "it replaced block 7"))
    await sending.propose(PAYMENT)
    async with sending.living() as context:
        await sending.until(State.APPROVED)
        await sending.looked()
        assert "it replaced block 7" in context.health.reason
        assert (await sending.shown()).transaction.state == State.APPROVED
        await sending.store.commit(latch(CHAIN, epoch, None))
        await sending.until(State.SENT)


async def test_killed_between_persist_and_broadcast_the_same_bytes_go_out_once(sending: Sending) -> None:
    sending.cut()
    await sending.propose(PAYMENT)
    async with sending.living():
        first = await sending.until(State.SIGNED)
    sending.nodes.broken = None
    assert sending.pool() == []
    async with sending.living():
        await sending.until(State.SENT)
        sending.mine()
        sending.finalize()
        found = await sending.until(State.FINAL)
    assert hashes(found, "signed") == hashes(first, "signed") == [found.transaction.hash]
    assert sending.balance() == 1_000


async def test_an_answer_that_is_lost_after_the_effect_is_no_second_effect(sending: Sending) -> None:
    sending.cut(after_effect=True)
    await sending.propose(PAYMENT)
    async with sending.living():
        await sending.until(State.SIGNED)
        await sending.pooled()
    sending.nodes.broken = None
    async with sending.living():
        found = await sending.until(State.SENT)
        assert [each.answer for each in found.steps if each.kind == "broadcast"] == [Answer.ACCEPTED]
        sending.mine()
        sending.finalize()
        found = await sending.until(State.FINAL)
    assert len(hashes(found, "signed")) == 1
    assert sending.balance() == 1_000


async def test_dropped_by_a_reorg_the_same_bytes_are_sent_again(sending: Sending) -> None:
    await sending.propose(PAYMENT)
    async with sending.living():
        await sending.until(State.SENT)
        sending.mine()
        first = await sending.until(State.MINED)
        sending.node.call("anvil_reorg", 1, [])
        await sending.when(lambda found: "reorged" in [each.kind for each in found.steps])
        await sending.pooled()
        sending.mine()
        again = await sending.until(State.MINED)
        sending.finalize()
        found = await sending.until(State.FINAL)
    assert hashes(found, "signed") == [first.transaction.hash]
    assert again.transaction.hash == first.transaction.hash
    assert sending.balance() == 1_000


async def test_a_slow_one_is_replaced_by_at_least_an_eighth_more(sending: Sending) -> None:
    sending.sooner(0.3)
    await sending.propose(PAYMENT)
    async with sending.living():
        found = await sending.when(lambda found: len(hashes(found, "replaced")) >= 2)
        sending.mine()
        sending.finalize()
        found = await sending.until(State.FINAL)
    signed = [each for each in found.steps if each.kind in ("signed", "replaced")]
    fees = [(int(each.max_fee or 0), int(each.tip or 0)) for each in signed]
    assert {each.nonce for each in signed} == {0}
    assert all(b[0] * 8 >= a[0] * 9 and b[1] * 8 >= a[1] * 9 for a, b in pairwise(fees))
    assert found.transaction.hash in [each.hash for each in signed]
    assert sending.balance() == 1_000


async def test_underpriced_beside_somebody_elses_transaction_it_bids_more(sending: Sending) -> None:
    """The key is used by hand between its signature and its broadcast."""
    sending.cut()
    await sending.propose(PAYMENT)
    async with sending.living():
        await sending.until(State.SIGNED)
    sending.send_by_hand(0, fee=4 * GWEI)
    sending.nodes.broken = None
    async with sending.living():
        found = await sending.until(State.SENT)
        sending.mine()
        sending.finalize()
        found = await sending.until(State.FINAL)
    assert "underpriced" in [each.answer for each in found.steps]
    assert sending.balance() == 1_000


async def test_a_nonce_that_somebody_else_used_finally_is_exchanged_and_nothing_happens_twice(
    sending: Sending,
) -> None:
    sending.cut()
    await sending.propose(PAYMENT)
    async with sending.living():
        await sending.until(State.SIGNED)
    sending.nodes.broken = None
    sending.send_by_hand(0)
    sending.mine()
    async with sending.living():
        await sending.looked()
        assert (await sending.shown()).transaction.nonce == 0  # not final: the old bytes may still be mined
        sending.finalize()
        await sending.when(lambda found: "suspected" in [each.kind for each in found.steps])
        sending.finalize()
        await sending.when(lambda found: found.transaction.nonce == 1 and found.transaction.state == State.SENT)
        sending.mine()
        sending.finalize()
        found = await sending.until(State.FINAL)
    assert [each.nonce for each in found.steps if each.kind == "signed"] == [0, 1]
    assert sending.balance() == 1_000


async def test_what_reverts_in_simulation_is_never_signed_and_keeps_its_reason(sending: Sending) -> None:
    # PUSH "Error(string)" of "no": revert(0, 100)
    word = bytes.fromhex("08c379a0") + (32).to_bytes(32, "big") + (2).to_bytes(32, "big") + b"no".ljust(32, b"\0")
    code = bytes.fromhex("6064600c60003960646000fd") + word
    sending.node.call("anvil_setCode", hex_of(PAYMENT.to), hex_of(code))
    await sending.propose(PAYMENT)
    async with sending.living():
        found = await sending.until(State.FAILED)
    assert found.transaction.reason == "Its simulation reverts: no"
    assert found.transaction.nonce is None


async def test_four_eyes_two_principals_approve_what_is_large(sending: Sending) -> None:
    large = replace(PAYMENT, value=20_000, amount=20_000)
    await sending.propose(large)
    async with sending.living():
        await sending.say(Command.APPROVE, "ada")
        with pytest.raises(AlreadyApproved):
            await sending.say(Command.APPROVE, "ada")
        assert (await sending.when(lambda found: len(found.transaction.approvals) == 1)).transaction.state == "proposed"
        await sending.say(Command.APPROVE, "bob")
        found = await sending.until(State.SENT)
    assert found.transaction.approvals == ("ada", "bob")


async def test_the_limit_of_the_day_holds_over_several(sending: Sending) -> None:
    generous = replace(PAYMENT, value=9_000, amount=9_000)
    limits = sending.settings.limits
    assert limits.amounts is not None
    amounts = {key: replace(each, day=20_000) for key, each in limits.amounts.items()}
    sending.settings = replace(sending.settings, limits=replace(limits, amounts=amounts))
    several = [replace(generous, id=f"pay:{number}") for number in (1, 2, 3)]
    await sending.propose(*several)
    async with sending.living():
        await sending.until(State.SENT, "pay:2")
        found = await sending.until(State.REFUSED, "pay:3")
    assert "18000 of 20000" in found.transaction.reason


async def test_called_off_in_the_pool_its_nonce_is_used_by_nothing(sending: Sending) -> None:
    await sending.propose(PAYMENT)
    async with sending.living():
        await sending.until(State.SENT)
        await sending.say(Command.CANCEL, "ada")
        await sending.when(lambda found: "voided" in [each.kind for each in found.steps])
        await sending.until(State.SENT)
        sending.mine()
        sending.finalize()
        found = await sending.until(State.CANCELLED)
        with pytest.raises(TransactionSettled):
            await sending.say(Command.CANCEL, "ada")
    assert found.transaction.nonce == 0
    assert sending.balance() == 0


async def test_a_gap_that_somebody_elses_reorged_transaction_leaves_is_filled(sending: Sending) -> None:
    sending.send_by_hand(0)
    sending.mine()
    await sending.propose(PAYMENT)
    async with sending.living():
        assert (await sending.until(State.SENT)).transaction.nonce == 1
        sending.node.call("anvil_reorg", 1, [])
        await sending.pooled()
        sending.mine()  # this pool throws the payment away, whose higher fee was tried first: it is sent again
        await sending.pooled()
        sending.mine()
        sending.finalize()
        await sending.until(State.FINAL)
        await sending.until(State.FINAL, f"gap:31337:{SIGNER.hex()}:0:1")
    assert sending.balance() == 1_000
    assert int(str(sending.node.call("eth_getTransactionCount", hex_of(SIGNER), "latest")), 16) == 2
