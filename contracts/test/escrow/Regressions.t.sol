// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Escrow} from "../../src/Escrow.sol";
import {EscrowState} from "../../src/escrow/EscrowTerms.sol";
import {NATIVE} from "../../src/vault/VaultTypes.sol";
import {EscrowFixture} from "./EscrowFixture.sol";

/// @notice Flaws that comparable escrows fell to, each as the attack that would succeed against them.
contract EscrowRegressionsTest is EscrowFixture {
    /// The factory encodes arguments for another constructor: clones are made by typed calls, and work.
    function test_the_factory_makes_escrows_that_work() public {
        Escrow escrow = open(payee, NATIVE, 1 ether);
        assertState(escrow, EscrowState.Funded);
        assertEq(escrow.payer(), payer);
        approve(escrow, 2);
        escrow.release();
        assertEq(payee.balance, 1 ether);
    }

    /// The payer takes a refund although all approvals are in: neither then, nor during a delay, nor during a dispute.
    function test_no_refund_once_the_conditions_are_met() public {
        Escrow escrow = openStaged(payee, NATIVE, 6 ether);
        vm.warp(deadline - 1);
        approve(escrow, 2);
        vm.warp(deadline);
        vm.startPrank(payer);
        vm.expectRevert(ConditionsMet.selector);
        escrow.refund();
        escrow.dispute();
        vm.expectRevert(ConditionsMet.selector);
        escrow.refund();
        skip(RULING);
        vm.expectRevert(ConditionsMet.selector);
        escrow.refund();
        vm.stopPrank();
        vm.prank(approvers[0]);
        vm.expectRevert(ConditionsMet.selector);
        escrow.revoke();
        escrow.release();
        assertEq(payee.balance, 1 ether);
    }
}
