// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Escrow} from "../../src/Escrow.sol";
import {EscrowState} from "../../src/escrow/EscrowTerms.sol";
import {EscrowWorld} from "./EscrowWorld.sol";

/// @notice After any sequence of actions: what was funded is paid, or held for somebody by name.
contract EscrowInvariantsTest is EscrowWorld {
    function setUp() public override {
        super.setUp();
        targetContract(address(handler));
    }

    function invariant_paid_and_held_is_what_was_funded() public view {
        uint256 held;
        for (uint256 i = 0; i < handler.count(); ++i) {
            Escrow escrow = handler.escrows(i);
            uint256 books = escrow.remaining() + escrow.owed(payee) + escrow.owed(payer);
            assertEq(token.balanceOf(address(escrow)), books, "held");
            held += books;
            assertEq(escrow.remaining() == 0, escrow.state() > EscrowState.Disputed, "undecided");
        }
        uint256 paid = token.balanceOf(payee) + token.balanceOf(handler.approvers(0));
        assertEq(paid + held + token.balanceOf(payer), 1_000_000, "conservation");
    }

    /// @dev A run in which an action never succeeds says nothing about it.
    function afterInvariant() public view {
        assertGt(handler.successes(Escrow.approve.selector), 5, "approve");
        assertGt(handler.successes(Escrow.approveBySignature.selector), 5, "approveBySignature");
        assertGt(handler.successes(Escrow.revoke.selector), 0, "revoke");
        assertGt(handler.successes(Escrow.cancelSignatures.selector), 5, "cancelSignatures");
        assertGt(handler.successes(Escrow.release.selector), 0, "release");
        uint256 ends = handler.successes(Escrow.rule.selector) + handler.successes(Escrow.refund.selector);
        assertGt(ends, 0, "rule and refund");
    }
}
