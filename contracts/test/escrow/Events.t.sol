// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Vm} from "forge-std/Test.sol";
import {Escrow} from "../../src/Escrow.sol";
import {EscrowState, EscrowTerms} from "../../src/escrow/EscrowTerms.sol";
import {EscrowWorld} from "./EscrowWorld.sol";

/// @notice The events are enough: a fold over the logs alone, as an indexer does it, gives the whole state of an escrow.
contract EscrowEventsTest is EscrowWorld {
    struct Book {
        EscrowState state;
        uint256 milestone;
        uint256 approvals;
        uint256 remaining;
        uint256 paid;
        uint64 releasableAt;
        uint64 rulingDeadline;
        uint64 seq;
        EscrowTerms terms;
    }

    Book private book;
    mapping(address beneficiary => uint256) private owed;
    mapping(address approver => uint256) private nonces;
    mapping(address approver => mapping(uint256 milestone => bool)) private approved;
    uint256 private folded;

    function setUp() public override {
        vm.recordLogs();
        super.setUp();
    }

    /// forge-config: default.fuzz.runs = 64
    function testFuzz_logs_alone_rebuild_the_escrow(uint256 seed) public {
        for (uint256 i = 0; i < 120; ++i) {
            seed = uint256(keccak256(abi.encode(seed)));
            act(seed % 16, seed >> 8);
        }
        Escrow escrow = handler.escrows(seed % handler.count());
        Vm.Log[] memory logs = vm.getRecordedLogs();
        for (uint256 i = 0; i < logs.length; ++i) {
            if (logs[i].emitter == address(escrow)) fold(logs[i]);
        }
        assertGt(folded, 0);
        compare(escrow);
    }

    function act(uint256 kind, uint256 draw) private {
        if (kind < 3) handler.approve(draw);
        else if (kind < 5) handler.approveBySignature(draw);
        else if (kind == 5) handler.revoke(draw);
        else if (kind == 6) handler.cancelSignatures(draw);
        else if (kind < 9) handler.release(draw);
        else if (kind == 9) handler.refund();
        else if (kind == 10) handler.dispute(draw);
        else if (kind == 11) handler.rule(draw);
        else if (kind == 12) handler.claim(draw >> 8, draw % 2 == 0, draw % 3 == 0);
        else if (kind == 13) handler.changeReceivers(draw);
        else if (kind == 14) handler.pass(draw);
        else if (draw % 4 == 0) handler.returnToPayer(draw >> 8);
    }

    // -- The fold -----------------------------------------------------------------------------------------------------

    function fold(Vm.Log memory log) private {
        bytes32 kind = log.topics[0];
        address who = address(uint160(uint256(log.topics[1])));
        uint256 milestone = log.topics.length > 2 ? uint256(log.topics[2]) : 0;
        ++folded;
        if (kind == EscrowFunded.selector) foldFunded(log);
        else if (kind == EscrowApproved.selector || kind == EscrowApprovalRevoked.selector) {
            foldApproval(log, who, milestone, kind == EscrowApproved.selector);
        } else if (kind == EscrowSignaturesCancelled.selector) foldCancelled(log, who);
        else if (kind == EscrowConditionsMet.selector) {
            uint64 seq;
            (book.releasableAt, seq) = abi.decode(log.data, (uint64, uint64));
            book.state = EscrowState.Approved;
            count(seq);
        } else if (kind == EscrowDisputed.selector) {
            uint64 seq;
            (book.rulingDeadline, seq) = abi.decode(log.data, (uint64, uint64));
            book.state = EscrowState.Disputed;
            count(seq);
        } else foldMoney(log, kind, who);
    }

    function count(uint64 seq) private {
        assertEq(seq, ++book.seq, "sequence");
    }

    function foldFunded(Vm.Log memory log) private {
        (EscrowTerms memory wanted, uint256 remaining, uint64 seq) =
            abi.decode(log.data, (EscrowTerms, uint256, uint64));
        book.terms = wanted;
        book.remaining = remaining;
        book.state = EscrowState.Funded;
        count(seq);
    }

    function foldApproval(Vm.Log memory log, address who, uint256 milestone, bool given) private {
        (uint256 approvals, uint256 nonce, uint64 seq) = abi.decode(log.data, (uint256, uint256, uint64));
        approved[who][milestone] = given;
        nonces[who] = nonce;
        book.approvals = given ? book.approvals + 1 : book.approvals - 1;
        assertEq(approvals, book.approvals, "approvals");
        count(seq);
    }

    function foldCancelled(Vm.Log memory log, address who) private {
        (uint256 oldNonce, uint256 newNonce, uint64 seq) = abi.decode(log.data, (uint256, uint256, uint64));
        assertEq(nonces[who], oldNonce, "old nonce");
        nonces[who] = newNonce;
        count(seq);
    }

    function foldMoney(Vm.Log memory log, bytes32 kind, address who) private {
        if (kind == EscrowReleased.selector || kind == EscrowRefunded.selector) {
            (uint256 amount, uint256 remaining, uint64 seq) = abi.decode(log.data, (uint256, uint256, uint64));
            bool released = kind == EscrowReleased.selector;
            if (released) (book.milestone, book.approvals) = (book.milestone + 1, 0);
            EscrowState end = released ? EscrowState.Released : EscrowState.Refunded;
            book.state = remaining == 0 ? end : EscrowState.Funded;
            take(amount, remaining, released ? book.terms.payee : payer, seq);
        } else if (kind == EscrowRuled.selector) {
            (uint256 toPayee, uint256 toPayer, uint256 remaining, uint64 seq) =
                abi.decode(log.data, (uint256, uint256, uint256, uint64));
            book.state = EscrowState.Ruled;
            owed[payer] += toPayer;
            take(toPayee + toPayer, remaining, book.terms.payee, seq);
            owed[book.terms.payee] -= toPayer;
        } else if (kind == EscrowReturned.selector) {
            (uint256 amount, uint64 seq) = abi.decode(log.data, (uint256, uint64));
            owed[who] -= amount;
            owed[payer] += amount;
            count(seq);
        } else foldPayment(log, kind, who);
    }

    /// @dev What is decided is owed, until the next event says that it was paid.
    function take(uint256 amount, uint256 remaining, address to, uint64 seq) private {
        book.remaining -= amount;
        owed[to] += amount;
        assertEq(remaining, book.remaining, "remaining");
        count(seq);
    }

    function foldPayment(Vm.Log memory log, bytes32 kind, address who) private {
        uint64 seq;
        uint256 amount;
        uint256 left;
        if (kind == EscrowPaid.selector) {
            (amount, left, seq) = abi.decode(log.data, (uint256, uint256, uint64));
            owed[who] -= amount;
            book.paid += amount;
        } else {
            assertEq(kind, EscrowPaymentDeferred.selector, "an event that nobody folds");
            (, amount, left, seq) = abi.decode(log.data, (uint8, uint256, uint256, uint64));
        }
        assertEq(left, owed[who], "owed");
        count(seq);
    }

    // -- The chain ----------------------------------------------------------------------------------------------------

    function compare(Escrow escrow) private view {
        assertState(escrow, book.state);
        assertEq(escrow.milestone(), book.milestone, "milestone");
        assertEq(escrow.approvals(), book.approvals, "approvals");
        assertEq(escrow.remaining(), book.remaining, "remaining");
        assertEq(escrow.releasableAt(), book.releasableAt, "releasable at");
        assertEq(escrow.rulingDeadline(), book.rulingDeadline, "ruling deadline");
        assertEq(escrow.lastSeq(), book.seq, "sequence");
        assertEq(escrow.owed(payee), owed[payee], "owed to the payee");
        assertEq(escrow.owed(payer), owed[payer], "owed to the payer");
        assertEq(token.balanceOf(address(escrow)), FUNDED - book.paid, "held");
        for (uint256 i = 0; i < approvers.length; ++i) {
            assertEq(escrow.nonces(approvers[i]), nonces[approvers[i]], "nonce");
            assertEq(escrow.hasApproved(approvers[i]), approved[approvers[i]][book.milestone], "approved");
        }
        compareTerms(escrow);
    }

    function compareTerms(Escrow escrow) private view {
        assertEq(escrow.payee(), book.terms.payee);
        assertEq(escrow.token(), book.terms.token);
        assertEq(escrow.arbiter(), book.terms.arbiter);
        assertEq(escrow.threshold(), book.terms.threshold);
        assertEq(escrow.deadline(), book.terms.deadline);
        assertEq(escrow.releaseDelay(), book.terms.releaseDelay);
        assertEq(escrow.rulingPeriod(), book.terms.rulingPeriod);
        assertEq(escrow.ref(), book.terms.ref);
        for (uint256 i = 0; i < 3; ++i) {
            assertEq(escrow.milestones(i), book.terms.milestones[i]);
            assertTrue(escrow.isApprover(book.terms.approvers[i]));
        }
    }
}
