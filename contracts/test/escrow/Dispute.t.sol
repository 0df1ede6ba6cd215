// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Escrow} from "../../src/Escrow.sol";
import {EscrowState, EscrowTerms} from "../../src/escrow/EscrowTerms.sol";
import {NATIVE} from "../../src/vault/VaultTypes.sol";
import {EscrowFixture} from "./EscrowFixture.sol";

contract EscrowDisputeTest is EscrowFixture {
    Escrow private escrow;

    function setUp() public override {
        super.setUp();
        escrow = openStaged(payee, NATIVE, 6 ether);
    }

    function rule(uint256 toPayee) private {
        vm.prank(arbiter);
        escrow.rule(toPayee);
    }

    function test_either_party_disputes_during_the_delay() public {
        approve(escrow, 2);
        uint256 before = vm.snapshotState();
        vm.expectEmit(address(escrow));
        emit EscrowDisputed(payer, 0, uint64(block.timestamp) + RULING, 5);
        disputeBy(escrow, payer);
        assertState(escrow, EscrowState.Disputed);
        vm.revertToState(before);
        disputeBy(escrow, payee);
        assertState(escrow, EscrowState.Disputed);
    }

    function test_nobody_else_disputes_and_nobody_at_another_time() public {
        vm.expectRevert(abi.encodeWithSelector(NotParty.selector, address(this)));
        escrow.dispute();
        vm.expectRevert(wrongState(EscrowState.Funded));
        disputeBy(escrow, payer);
        approve(escrow, 2);
        uint256 at = block.timestamp + DELAY;
        vm.warp(at);
        vm.expectRevert(abi.encodeWithSelector(DisputeTooLate.selector, at));
        disputeBy(escrow, payer);
        vm.warp(at - 1);
        disputeBy(escrow, payer);
        vm.expectRevert(wrongState(EscrowState.Disputed));
        disputeBy(escrow, payee);
    }

    function test_without_an_arbiter_there_is_no_dispute() public {
        EscrowTerms memory wanted = stagedTerms(payee, NATIVE, 6 ether);
        (wanted.arbiter, wanted.rulingPeriod, wanted.ref) = (address(0), 0, "no arbiter");
        Escrow other = create(wanted);
        approve(other, 2);
        vm.expectRevert(NoArbiter.selector);
        disputeBy(other, payer);
    }

    function testFuzz_a_ruling_splits_all_that_remains(uint256 toPayee) public {
        toPayee = bound(toPayee, 0, 6 ether);
        approve(escrow, 2);
        disputeBy(escrow, payer);
        vm.expectEmit(address(escrow));
        emit EscrowRuled(arbiter, toPayee, 6 ether - toPayee, 0, 6);
        rule(toPayee);
        assertState(escrow, EscrowState.Ruled);
        assertEq(payee.balance, toPayee);
        assertEq(payer.balance, 100 ether - toPayee);
        assertEq(address(escrow).balance, 0);
    }

    function test_a_ruling_on_a_later_milestone_splits_the_rest() public {
        approve(escrow, 2);
        skip(DELAY);
        escrow.release();
        approve(escrow, 2);
        disputeBy(escrow, payee);
        rule(2 ether);
        assertEq(payee.balance, 3 ether);
        assertEq(payer.balance, 97 ether);
    }

    function test_only_the_arbiter_rules_and_only_on_a_dispute() public {
        vm.expectRevert(abi.encodeWithSelector(NotArbiter.selector, address(this)));
        escrow.rule(0);
        vm.expectRevert(wrongState(EscrowState.Funded));
        rule(0);
        approve(escrow, 2);
        vm.expectRevert(wrongState(EscrowState.Approved));
        rule(0);
        disputeBy(escrow, payer);
        vm.expectRevert(abi.encodeWithSelector(ExcessiveRuling.selector, 6 ether + 1, 6 ether));
        rule(6 ether + 1);
        rule(6 ether);
        vm.expectRevert(wrongState(EscrowState.Ruled));
        rule(0);
        vm.expectRevert(wrongState(EscrowState.Ruled));
        escrow.release();
    }

    /// An arbiter who is gone must not lock the money: the approval stands.
    function test_a_dispute_lapses_without_a_ruling() public {
        approve(escrow, 2);
        disputeBy(escrow, payer);
        uint256 until = block.timestamp + RULING;
        vm.warp(until - 1);
        vm.expectRevert(abi.encodeWithSelector(DisputeOpen.selector, until));
        escrow.release();
        vm.warp(until);
        vm.expectRevert(abi.encodeWithSelector(RulingTooLate.selector, until));
        rule(0);
        escrow.release();
        assertEq(payee.balance, 1 ether);
        assertState(escrow, EscrowState.Funded);
        approve(escrow, 2);
        disputeBy(escrow, payer);
        rule(0);
        assertEq(payer.balance, 99 ether);
    }
}
