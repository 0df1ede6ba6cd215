// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

struct EscrowTerms {
    address payee;
    /// @dev ERC-20, or NATIVE.
    address token;
    /// @dev Rules on disputes. Zero: there are none.
    address arbiter;
    /// @dev Approvals that meet a milestone's conditions: 1 to the number of approvers.
    uint8 threshold;
    /// @dev Unix seconds from which the payer may take back what no milestone has been approved for.
    uint64 deadline;
    /// @dev Seconds between a milestone's approval and its release, in which either party may dispute.
    uint32 releaseDelay;
    /// @dev Seconds that the arbiter has for a ruling; then the approval stands. Zero without an arbiter.
    uint32 rulingPeriod;
    /// @dev Who may approve: 1 to MAX_APPROVERS, all different.
    address[] approvers;
    /// @dev What each milestone pays, in base units: 1 to MAX_MILESTONES amounts above zero.
    uint256[] milestones;
    /// @dev Chosen by the payer, once each.
    bytes32 ref;
}

/// @dev Funded -> Approved -> Funded (next milestone) | Released (last one) | Disputed.
/// Disputed -> Ruled, or as Approved once the ruling period is over. Funded -> Refunded from the deadline on.
enum EscrowState {
    Uninitialized,
    /// The milestone collects approvals.
    Funded,
    /// The milestone is met and the release delay runs.
    Approved,
    Disputed,
    Released,
    Refunded,
    Ruled
}
