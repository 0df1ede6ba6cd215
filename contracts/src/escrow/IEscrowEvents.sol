// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

interface IEscrowEvents {
    event EscrowFunded(address indexed payer, uint256 amount);
    event EscrowApproved(address indexed approver);
    event EscrowApprovalRevoked(address indexed approver);
    event EscrowReleased(address indexed to, uint256 amount);
    event EscrowRefunded(address indexed to, uint256 amount);
    /// @notice The receiver did not take the payment; it waits for `claim`.
    event EscrowPaymentDeferred(address indexed to, uint256 amount);
    event EscrowClaimed(address indexed beneficiary, address to, uint256 amount);

    error OnlyFactory();
    error NotApprover(address caller);
    error NotPayer(address caller);
    error NotBeneficiary(address caller);
    error NotFunded();
    error AlreadyApproved(address approver);
    error NotApproved(address approver);
    error ConditionsMet();
    error ConditionsUnmet(uint256 approvals, uint256 threshold);
    error DeadlineNotReached(uint256 deadline);
    error InvalidTerms();
    error ZeroAddress();
    error WrongValue(uint256 expected, uint256 sent);
    error TransferShortfall(uint256 expected, uint256 received);
    error PaymentFailed(address to);
}
