// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {EscrowState, EscrowTerms} from "./EscrowTerms.sol";

/// @notice Why a payment waits for its receiver's claim.
enum DeferralReason {
    /// The receiver did not take it.
    PushFailed,
    /// The screening oracle does not allow the payee.
    Screened
}

/// @notice What an indexer folds: from these events alone all of an escrow's state can be rebuilt. `seq` counts an
/// escrow's events from 1 without gaps. `remaining` is what is still undecided, `owed` what waits for the
/// beneficiary's claim, both after the event; an escrow holds `remaining` and all `owed`, and nothing else.
interface IEscrowEvents {
    event EscrowFunded(address indexed payer, address indexed payee, EscrowTerms terms, uint256 remaining, uint64 seq);
    /// @param nonce The approver's next one: a signed approval uses one up.
    event EscrowApproved(
        address indexed approver, uint256 indexed milestone, uint256 approvals, uint256 nonce, uint64 seq
    );
    event EscrowApprovalRevoked(
        address indexed approver, uint256 indexed milestone, uint256 approvals, uint256 nonce, uint64 seq
    );
    /// @notice What the approver signed and nobody has used yet is void.
    event EscrowSignaturesCancelled(address indexed approver, uint256 oldNonce, uint256 newNonce, uint64 seq);
    event EscrowConditionsMet(uint256 indexed milestone, uint64 releasableAt, uint64 seq);
    event EscrowDisputed(address indexed by, uint256 indexed milestone, uint64 rulingDeadline, uint64 seq);
    /// @notice The milestone's amount became the payee's; whether it went out or waits, the next event tells.
    event EscrowReleased(
        address indexed payee, uint256 indexed milestone, uint256 amount, uint256 remaining, uint64 seq
    );
    event EscrowRefunded(address indexed payer, uint256 amount, uint256 remaining, uint64 seq);
    event EscrowRuled(address indexed arbiter, uint256 toPayee, uint256 toPayer, uint256 remaining, uint64 seq);
    /// @notice Money left the escrow.
    event EscrowPaid(address indexed beneficiary, address indexed to, uint256 amount, uint256 owed, uint64 seq);
    event EscrowPaymentDeferred(
        address indexed beneficiary, DeferralReason reason, uint256 amount, uint256 owed, uint64 seq
    );
    /// @notice The payee gave up what it was owed, for the payer.
    event EscrowReturned(address indexed payee, address indexed payer, uint256 amount, uint64 seq);

    error OnlyFactory();
    error InvalidTerms();
    error WrongState(EscrowState state);
    error WrongMilestone(uint256 asked, uint256 current);
    error WrongValue(uint256 expected, uint256 sent);

    error NotApprover(address account);
    error NotPayer(address account);
    error NotParty(address account);
    error NotArbiter(address account);

    error AlreadyApproved(address approver);
    error NotApproved(address approver);
    error SignatureExpired(uint256 deadline);
    error InvalidSignature(address approver);

    error ConditionsMet();
    error ConditionsUnmet(uint256 approvals, uint256 threshold);
    error ReleaseDelayed(uint256 releasableAt);
    error DeadlineNotReached(uint256 deadline);
    error NoArbiter();
    error DisputeTooLate(uint256 releasableAt);
    error DisputeOpen(uint256 rulingDeadline);
    error RulingTooLate(uint256 rulingDeadline);
    error ExcessiveRuling(uint256 toPayee, uint256 remaining);

    error NothingOwed(address account);
    error InvalidReceiver(address to);
    error AccountNotAllowed(address account);
    error PaymentFailed(address to);
}
