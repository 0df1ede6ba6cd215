// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {Approvals} from "./escrow/Approvals.sol";
import {EscrowState, EscrowTerms} from "./escrow/EscrowTerms.sol";
import {Payouts} from "./escrow/Payouts.sol";
import {TermsRules} from "./escrow/TermsRules.sol";
import {NATIVE} from "./vault/VaultTypes.sol";

/// @title Escrow
/// @notice Holds one payment and pays it milestone by milestone, as approvers agree. A clone made, and funded in the
/// same transaction, by the factory. See `EscrowState` for its life.
///
/// Once a milestone's threshold is reached its amount is the payee's: approvals can no longer be revoked and the payer
/// cannot be refunded, whatever the deadline; only a ruling on a dispute raised during the release delay says otherwise.
/// An arbiter who does not rule in time changes nothing. So the money can always move, and never by one party's word.
contract Escrow is Approvals, Payouts, ReentrancyGuardTransient {
    EscrowState public state;
    uint64 public deadline;
    address public arbiter;
    uint32 public releaseDelay;
    uint32 public rulingPeriod;
    /// @notice Of the approved milestone, unix seconds. Until then it can be disputed.
    uint64 public releasableAt;
    /// @notice Of the open dispute, unix seconds. From then on the approved milestone can be released.
    uint64 public rulingDeadline;
    bytes32 public ref;
    /// @notice What each milestone pays.
    uint256[] public milestones;

    // -- Creation -----------------------------------------------------------------------------------------------------

    /// @notice The factory's call, once: sets the terms. An ERC-20 amount has been transferred before, a native one
    /// comes along.
    function initialize(address payer_, EscrowTerms calldata terms) external payable {
        if (msg.sender != FACTORY || state != EscrowState.Uninitialized) revert OnlyFactory();
        uint256 amount = TermsRules.validate(terms, payer_, address(this));
        uint256 value = terms.token == NATIVE ? amount : 0;
        if (msg.value != value) revert WrongValue(value, msg.value);
        state = EscrowState.Funded;
        deadline = terms.deadline;
        arbiter = terms.arbiter;
        releaseDelay = terms.releaseDelay;
        rulingPeriod = terms.rulingPeriod;
        ref = terms.ref;
        milestones = terms.milestones;
        payer = payer_;
        payee = terms.payee;
        token = terms.token;
        remaining = amount;
        _setApprovers(terms);
        emit EscrowFunded(payer_, terms.payee, terms, amount, _nextSeq());
    }

    // -- Approvers ----------------------------------------------------------------------------------------------------

    /// @param milestone_ The current one. An approval that arrives late is for no other.
    function approve(uint256 milestone_) external nonReentrant {
        _approve(msg.sender, milestone_);
    }

    /// @notice Brings an approver's signed approval. Open to all.
    /// @param deadline_ Unix seconds up to which the signature is good.
    function approveBySignature(address approver, uint256 milestone_, uint256 deadline_, bytes calldata signature)
        external
        nonReentrant
    {
        _useSignature(approver, milestone_, deadline_, signature);
        _approve(approver, milestone_);
    }

    /// @notice Takes the caller's approval back, until the conditions are met.
    function revoke() external nonReentrant {
        _requireCollecting();
        _removeApproval(msg.sender);
    }

    /// @notice Voids what the caller signed and nobody has used yet.
    function cancelSignatures() external nonReentrant {
        _cancelSignatures(msg.sender);
    }

    function _approve(address approver, uint256 milestone_) private {
        _requireCollecting();
        if (!_addApproval(approver, milestone_)) return;
        state = EscrowState.Approved;
        releasableAt = uint64(block.timestamp) + releaseDelay;
        emit EscrowConditionsMet(milestone_, releasableAt, _nextSeq());
    }

    // -- Money --------------------------------------------------------------------------------------------------------

    /// @notice Pays the payee the approved milestone, once its delay or its dispute is over. Open to all.
    function release() external nonReentrant {
        _requireReleasable();
        uint256 index = milestone;
        uint256 amount = milestones[index];
        remaining -= amount;
        state = index + 1 == milestones.length ? EscrowState.Released : EscrowState.Funded;
        _nextMilestone();
        emit EscrowReleased(payee, index, amount, remaining, _nextSeq());
        _payPayee(amount);
    }

    /// @notice Pays the payer back what remains, from the deadline on and only while the conditions are unmet.
    function refund() external nonReentrant {
        if (msg.sender != payer) revert NotPayer(msg.sender);
        _requireCollecting();
        if (block.timestamp < deadline) revert DeadlineNotReached(deadline);
        state = EscrowState.Refunded;
        uint256 amount = remaining;
        remaining = 0;
        emit EscrowRefunded(payer, amount, 0, _nextSeq());
        _payPayer(amount);
    }

    /// @notice Takes what the caller is owed, to any address: the one a payment failed at may be unable to receive.
    function claim(address to) external nonReentrant {
        _claim(msg.sender, to);
    }

    /// @notice The payee's call: gives up what it is owed, for the payer.
    function returnToPayer() external nonReentrant {
        _returnToPayer();
    }

    // -- Disputes -----------------------------------------------------------------------------------------------------

    /// @notice Stops the approved milestone and puts all that remains before the arbiter. For both parties, during the
    /// release delay.
    function dispute() external nonReentrant {
        if (msg.sender != payer && msg.sender != payee) revert NotParty(msg.sender);
        if (arbiter == address(0)) revert NoArbiter();
        if (state != EscrowState.Approved) revert WrongState(state);
        if (block.timestamp >= releasableAt) revert DisputeTooLate(releasableAt);
        state = EscrowState.Disputed;
        rulingDeadline = uint64(block.timestamp) + rulingPeriod;
        emit EscrowDisputed(msg.sender, milestone, rulingDeadline, _nextSeq());
    }

    /// @notice The arbiter's call, before its deadline: splits all that remains and ends the escrow.
    /// @param toPayee Base units; the rest is the payer's.
    function rule(uint256 toPayee) external nonReentrant {
        if (msg.sender != arbiter) revert NotArbiter(msg.sender);
        if (state != EscrowState.Disputed) revert WrongState(state);
        if (block.timestamp >= rulingDeadline) revert RulingTooLate(rulingDeadline);
        if (toPayee > remaining) revert ExcessiveRuling(toPayee, remaining);
        uint256 toPayer = remaining - toPayee;
        state = EscrowState.Ruled;
        remaining = 0;
        emit EscrowRuled(msg.sender, toPayee, toPayer, 0, _nextSeq());
        _payPayee(toPayee);
        _payPayer(toPayer);
    }

    // -- Checks -------------------------------------------------------------------------------------------------------

    function _requireCollecting() private view {
        if (state == EscrowState.Funded) return;
        if (state == EscrowState.Approved || state == EscrowState.Disputed) revert ConditionsMet();
        revert WrongState(state);
    }

    function _requireReleasable() private view {
        if (state == EscrowState.Approved) {
            if (block.timestamp < releasableAt) revert ReleaseDelayed(releasableAt);
        } else if (state == EscrowState.Disputed) {
            if (block.timestamp < rulingDeadline) revert DisputeOpen(rulingDeadline);
        } else {
            if (state == EscrowState.Funded) revert ConditionsUnmet(approvals, threshold);
            revert WrongState(state);
        }
    }
}
