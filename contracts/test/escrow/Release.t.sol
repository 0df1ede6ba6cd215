// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Escrow} from "../../src/Escrow.sol";
import {EscrowState} from "../../src/escrow/EscrowTerms.sol";
import {NATIVE} from "../../src/vault/VaultTypes.sol";
import {EscrowFixture} from "./EscrowFixture.sol";

contract EscrowReleaseTest is EscrowFixture {
    function test_release_needs_the_threshold() public {
        Escrow escrow = open(payee, address(usdc), 500e6);
        approve(escrow, 1);
        vm.expectRevert(abi.encodeWithSelector(ConditionsUnmet.selector, 1, 2));
        escrow.release();
        vm.prank(approvers[2]);
        escrow.approve(0);
        vm.expectEmit(address(escrow));
        emit EscrowReleased(payee, 0, 500e6, 0, 5);
        vm.expectEmit(address(escrow));
        emit EscrowPaid(payee, payee, 500e6, 0, 6);
        escrow.release();
        assertEq(usdc.balanceOf(payee), 500e6);
        assertState(escrow, EscrowState.Released);
    }

    function test_release_waits_for_the_delay() public {
        Escrow escrow = openStaged(payee, NATIVE, 6 ether);
        approve(escrow, 2);
        uint256 at = block.timestamp + DELAY;
        vm.warp(at - 1);
        vm.expectRevert(abi.encodeWithSelector(ReleaseDelayed.selector, at));
        escrow.release();
        vm.warp(at);
        escrow.release();
        assertEq(payee.balance, 1 ether);
    }

    function test_milestones_are_paid_one_by_one() public {
        Escrow escrow = openStaged(payee, address(usdc), 600e6);
        uint256 paid;
        for (uint256 i = 0; i < 3; ++i) {
            assertEq(escrow.milestone(), i);
            assertState(escrow, EscrowState.Funded);
            approve(escrow, 2);
            skip(DELAY);
            paid += (i + 1) * 100e6;
            vm.expectEmit(true, true, true, false);
            emit EscrowReleased(payee, i, (i + 1) * 100e6, 600e6 - paid, 0);
            escrow.release();
            assertEq(usdc.balanceOf(payee), paid);
            assertEq(escrow.remaining(), 600e6 - paid);
        }
        assertState(escrow, EscrowState.Released);
    }

    function test_a_final_state_takes_no_more_calls() public {
        Escrow escrow = open(payee, NATIVE, 1 ether);
        approve(escrow, 2);
        escrow.release();
        assertFinal(escrow, EscrowState.Released);
    }

    // -- Refund -------------------------------------------------------------------------------------------------------

    function test_refund_after_the_deadline_while_unmet() public {
        Escrow escrow = open(payee, NATIVE, 1 ether);
        approve(escrow, 1);
        vm.startPrank(payer);
        vm.warp(deadline - 1);
        vm.expectRevert(abi.encodeWithSelector(DeadlineNotReached.selector, deadline));
        escrow.refund();
        vm.warp(deadline);
        vm.expectEmit(address(escrow));
        emit EscrowRefunded(payer, 1 ether, 0, 3);
        vm.expectEmit(address(escrow));
        emit EscrowPaid(payer, payer, 1 ether, 0, 4);
        escrow.refund();
        vm.stopPrank();
        assertEq(payer.balance, 100 ether);
        assertFinal(escrow, EscrowState.Refunded);
    }

    function test_refund_belongs_to_the_payer() public {
        Escrow escrow = open(payee, NATIVE, 1 ether);
        vm.warp(deadline);
        vm.expectRevert(abi.encodeWithSelector(NotPayer.selector, address(this)));
        escrow.refund();
    }

    /// What was released stays the payee's; the milestones to come go back.
    function test_refund_takes_what_remains() public {
        Escrow escrow = openStaged(payee, NATIVE, 6 ether);
        approve(escrow, 2);
        vm.warp(deadline + DELAY);
        escrow.release();
        vm.prank(payer);
        escrow.refund();
        assertEq(payee.balance, 1 ether);
        assertEq(payer.balance, 99 ether);
    }

    function assertFinal(Escrow escrow, EscrowState state) private {
        assertState(escrow, state);
        vm.expectRevert(wrongState(state));
        escrow.release();
        vm.prank(approvers[0]);
        vm.expectRevert(wrongState(state));
        escrow.approve(0);
        vm.prank(approvers[0]);
        vm.expectRevert(wrongState(state));
        escrow.revoke();
        vm.prank(payer);
        vm.expectRevert(wrongState(state));
        escrow.refund();
        vm.prank(payee);
        vm.expectRevert(abi.encodeWithSelector(NothingOwed.selector, payee));
        escrow.claim(payee);
    }
}
