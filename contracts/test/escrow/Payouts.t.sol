// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Escrow} from "../../src/Escrow.sol";
import {EscrowState} from "../../src/escrow/EscrowTerms.sol";
import {DeferralReason} from "../../src/escrow/IEscrowEvents.sol";
import {NATIVE} from "../../src/vault/VaultTypes.sol";
import {EscrowFixture} from "./EscrowFixture.sol";
import {BlockingToken, DifficultReceiver, StubbornToken} from "./Receivers.sol";

contract EscrowPayoutsTest is EscrowFixture {
    DifficultReceiver private receiver;

    function setUp() public override {
        super.setUp();
        receiver = new DifficultReceiver();
    }

    function testFuzz_a_difficult_receiver_blocks_nothing_and_claims_later(uint8 mode) public {
        receiver.set(DifficultReceiver.Mode(bound(mode, 0, 3)));
        Escrow escrow = open(address(receiver), NATIVE, 1 ether);
        approve(escrow, 2);
        vm.expectEmit(address(escrow));
        emit EscrowPaymentDeferred(address(receiver), DeferralReason.PushFailed, 1 ether, 1 ether, 6);
        escrow.release{gas: 400_000}();
        assertState(escrow, EscrowState.Released);
        assertEq(escrow.owed(address(receiver)), 1 ether);

        vm.expectEmit(address(escrow));
        emit EscrowPaid(address(receiver), payee, 1 ether, 0, 7);
        receiver.claim(escrow, payee);
        assertEq(payee.balance, 1 ether);
        assertEq(escrow.owed(address(receiver)), 0);
        vm.expectRevert(abi.encodeWithSelector(NothingOwed.selector, address(receiver)));
        receiver.claim(escrow, payee);
    }

    function test_a_claim_goes_neither_nowhere_nor_back() public {
        receiver.set(DifficultReceiver.Mode.Refuse);
        Escrow escrow = open(address(receiver), NATIVE, 1 ether);
        approve(escrow, 2);
        escrow.release();
        vm.expectRevert(abi.encodeWithSelector(InvalidReceiver.selector, address(0)));
        receiver.claim(escrow, address(0));
        vm.expectRevert(abi.encodeWithSelector(InvalidReceiver.selector, escrow));
        receiver.claim(escrow, address(escrow));
    }

    function test_a_claim_that_fails_keeps_the_money_due() public {
        receiver.set(DifficultReceiver.Mode.Refuse);
        Escrow escrow = open(address(receiver), NATIVE, 1 ether);
        approve(escrow, 2);
        escrow.release();
        vm.expectRevert(abi.encodeWithSelector(PaymentFailed.selector, address(receiver)));
        receiver.claim(escrow, address(receiver));
        assertEq(escrow.owed(address(receiver)), 1 ether);
        receiver.set(DifficultReceiver.Mode.Accept);
        receiver.claim(escrow, address(receiver));
        assertEq(address(receiver).balance, 1 ether);
    }

    function test_deferred_payments_add_up_until_they_are_claimed() public {
        receiver.set(DifficultReceiver.Mode.Refuse);
        Escrow escrow = openStaged(address(receiver), NATIVE, 6 ether);
        for (uint256 i = 0; i < 2; ++i) {
            approve(escrow, 2);
            skip(DELAY);
            escrow.release();
        }
        assertEq(escrow.owed(address(receiver)), 3 ether);
        receiver.claim(escrow, payee);
        assertEq(payee.balance, 3 ether);
        assertEq(address(escrow).balance, escrow.remaining());
    }

    function test_a_blocked_token_holder_claims_elsewhere() public {
        BlockingToken token = new BlockingToken();
        token.mint(payer, 100e6);
        vm.prank(payer);
        token.approve(address(factory), type(uint256).max);
        Escrow escrow = open(payee, address(token), 100e6);
        token.setBlocked(payee, true);
        approve(escrow, 2);
        escrow.release();
        assertEq(escrow.owed(payee), 100e6);
        vm.prank(payee);
        escrow.claim(approvers[0]);
        assertEq(token.balanceOf(approvers[0]), 100e6);
    }

    function test_a_refund_that_fails_is_deferred_to_the_payer() public {
        BlockingToken token = new BlockingToken();
        token.mint(payer, 100e6);
        vm.prank(payer);
        token.approve(address(factory), type(uint256).max);
        Escrow escrow = open(payee, address(token), 100e6);
        token.setBlocked(payer, true);
        vm.warp(deadline);
        vm.startPrank(payer);
        escrow.refund();
        assertEq(escrow.owed(payer), 100e6);
        escrow.claim(payee);
        vm.stopPrank();
        assertEq(token.balanceOf(payee), 100e6);
    }

    /// A token that says no, says something else than yes, or takes all gas: the money stays due.
    function testFuzz_a_token_that_moves_nothing_defers(uint8 mode) public {
        StubbornToken token = new StubbornToken();
        token.mint(payer, 100e6);
        vm.prank(payer);
        token.approve(address(factory), type(uint256).max);
        Escrow escrow = open(payee, address(token), 100e6);
        approve(escrow, 2);
        token.set(StubbornToken.Mode(bound(mode, 1, 3)));
        escrow.release{gas: 1_000_000}();
        assertEq(escrow.owed(payee), 100e6);
        token.set(StubbornToken.Mode.Obey);
        vm.prank(payee);
        escrow.claim(payee);
        assertEq(token.balanceOf(payee), 100e6);
    }

    /// One party's receiver cannot keep a ruling from paying the other.
    function test_a_ruling_pays_whom_it_can() public {
        receiver.set(DifficultReceiver.Mode.BurnGas);
        Escrow escrow = openStaged(address(receiver), NATIVE, 6 ether);
        approve(escrow, 2);
        disputeBy(escrow, payer);
        vm.prank(arbiter);
        escrow.rule(2 ether);
        assertEq(payer.balance, 98 ether);
        assertEq(escrow.owed(address(receiver)), 2 ether);
    }

    function test_the_payee_gives_up_what_it_is_owed() public {
        receiver.set(DifficultReceiver.Mode.Refuse);
        Escrow escrow = open(address(receiver), NATIVE, 1 ether);
        approve(escrow, 2);
        escrow.release();
        vm.prank(payer);
        vm.expectRevert(abi.encodeWithSelector(NotParty.selector, payer));
        escrow.returnToPayer();
        vm.expectEmit(address(escrow));
        emit EscrowReturned(address(receiver), payer, 1 ether, 7);
        vm.expectEmit(address(escrow));
        emit EscrowPaid(payer, payer, 1 ether, 0, 8);
        vm.startPrank(address(receiver));
        escrow.returnToPayer();
        assertEq(payer.balance, 100 ether);
        vm.expectRevert(abi.encodeWithSelector(NothingOwed.selector, address(receiver)));
        escrow.returnToPayer();
    }

    /// A caller that brings too little gas for the payment fails; it does not turn the payment into a debt.
    function testFuzz_a_callers_gas_does_not_defer_a_payment(uint256 gas_) public {
        receiver.set(DifficultReceiver.Mode.Accept);
        Escrow escrow = open(address(receiver), NATIVE, 1 ether);
        approve(escrow, 2);
        gas_ = bound(gas_, 30_000, 300_000);
        try escrow.release{gas: gas_}() {
            assertEq(address(receiver).balance, 1 ether);
        } catch {
            assertState(escrow, EscrowState.Approved);
        }
    }

    // -- Reentrancy ---------------------------------------------------------------------------------------------------

    /// A receiver that calls back finds every door shut, gets nothing twice, and is owed what it did not take.
    function testFuzz_no_call_works_from_within_a_payment(uint8 door) public {
        approvers[0] = address(receiver);
        Escrow escrow = openStaged(address(receiver), NATIVE, 6 ether);
        bytes[8] memory doors = [
            abi.encodeCall(escrow.release, ()),
            abi.encodeCall(escrow.claim, (address(receiver))),
            abi.encodeCall(escrow.returnToPayer, ()),
            abi.encodeCall(escrow.approve, (1)),
            abi.encodeCall(escrow.revoke, ()),
            abi.encodeCall(escrow.cancelSignatures, ()),
            abi.encodeCall(escrow.dispute, ()),
            abi.encodeCall(escrow.refund, ())
        ];
        receiver.callBackWith(doors[bound(door, 0, 7)]);
        approve(escrow, 2);
        skip(DELAY);
        uint256 before = escrow.lastSeq();
        escrow.release();
        assertFalse(receiver.calledBack());
        assertEq(escrow.owed(address(receiver)), 1 ether);
        assertEq(escrow.remaining(), 5 ether);
        assertEq(escrow.lastSeq(), before + 2);
    }

    /// What is owed from before cannot be claimed from within a payment, to whomever.
    function test_no_claim_works_from_within_a_payment() public {
        receiver.set(DifficultReceiver.Mode.Refuse);
        Escrow escrow = openStaged(address(receiver), NATIVE, 6 ether);
        for (uint256 i = 0; i < 2; ++i) {
            approve(escrow, 2);
            skip(DELAY);
            escrow.release();
            receiver.callBackWith(abi.encodeCall(escrow.claim, (payee)));
        }
        assertFalse(receiver.calledBack());
        assertEq(payee.balance, 0);
        assertEq(escrow.owed(address(receiver)), 3 ether);
    }

    function test_a_claim_that_calls_back_fails_whole() public {
        receiver.set(DifficultReceiver.Mode.Refuse);
        Escrow escrow = open(address(receiver), NATIVE, 1 ether);
        approve(escrow, 2);
        escrow.release();
        receiver.callBackWith(abi.encodeCall(escrow.claim, (address(receiver))));
        vm.expectRevert(abi.encodeWithSelector(PaymentFailed.selector, address(receiver)));
        receiver.claim(escrow, address(receiver));
        assertEq(escrow.owed(address(receiver)), 1 ether);
    }
}
