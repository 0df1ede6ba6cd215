// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {IEscrowEvents} from "./escrow/IEscrowEvents.sol";
import {NATIVE} from "./vault/VaultTypes.sol";

struct EscrowTerms {
    address payee;
    /// @dev ERC-20, or NATIVE.
    address token;
    uint256 amount;
    /// @dev Who may approve: 1 to 16, all different.
    address[] approvers;
    /// @dev Approvals that release: 1 to the number of approvers.
    uint8 threshold;
    /// @dev Unix seconds from which the payer may take the money back, if the conditions are still unmet.
    uint64 deadline;
    /// @dev Chosen by the payer, once each.
    bytes32 ref;
}

/// @title Escrow
/// @notice Holds one payment until enough approvers agree. A clone made, and funded in the same transaction, by the
/// factory:
///
///     Uninitialized -> Funded -> Released | Refunded
///
/// Once the threshold is reached the money is the payee's: approvals can no longer be revoked and the payer cannot be
/// refunded, whatever the deadline. Until then each approver may take its approval back. A final state may still owe
/// the money, if its receiver did not take it: the receiver claims it.
contract Escrow is IEscrowEvents, ReentrancyGuardTransient {
    using SafeERC20 for IERC20;

    enum State {
        Uninitialized,
        Funded,
        Released,
        Refunded
    }

    uint256 public constant MAX_APPROVERS = 16;
    /// @dev Enough for a contract wallet, too little to starve the rest of a release.
    uint256 private constant PUSH_GAS = 100_000;

    /// @dev An immutable lives in the code that all clones share.
    address private immutable FACTORY = msg.sender;

    State public state;
    uint8 public threshold;
    uint8 public approvals;
    uint64 public deadline;
    address public payer;
    address public payee;
    address public token;
    uint256 public amount;
    bytes32 public ref;
    /// @notice Whom the deferred payment belongs to, and how much it is.
    address public beneficiary;
    uint256 public owed;

    mapping(address approver => bool) public isApprover;
    mapping(address approver => bool) public hasApproved;

    modifier onlyFunded() {
        if (state != State.Funded) revert NotFunded();
        _;
    }

    /// @notice The factory's call, once: sets the terms. An ERC-20 amount has been transferred before, a native one
    /// comes along.
    function initialize(address payer_, EscrowTerms calldata terms) external payable {
        if (msg.sender != FACTORY || state != State.Uninitialized) revert OnlyFactory();
        _validate(terms);
        state = State.Funded;
        threshold = terms.threshold;
        deadline = terms.deadline;
        payer = payer_;
        payee = terms.payee;
        token = terms.token;
        amount = terms.amount;
        ref = terms.ref;
        for (uint256 i = 0; i < terms.approvers.length; ++i) {
            address approver = terms.approvers[i];
            if (approver == address(0) || isApprover[approver]) revert InvalidTerms();
            isApprover[approver] = true;
        }
        _requireReceived(terms);
        emit EscrowFunded(payer_, terms.amount);
    }

    function _validate(EscrowTerms calldata terms) private view {
        if (
            terms.payee == address(0) || terms.amount == 0 || terms.approvers.length > MAX_APPROVERS
                || terms.threshold == 0 || terms.threshold > terms.approvers.length
                || terms.deadline <= block.timestamp || (terms.token != NATIVE && terms.token.code.length == 0)
        ) revert InvalidTerms();
    }

    /// @dev Refuses tokens that deliver less than was sent.
    function _requireReceived(EscrowTerms calldata terms) private view {
        if (terms.token == NATIVE) {
            if (msg.value != terms.amount) revert WrongValue(terms.amount, msg.value);
        } else {
            if (msg.value != 0) revert WrongValue(0, msg.value);
            uint256 received = IERC20(terms.token).balanceOf(address(this));
            if (received < terms.amount) revert TransferShortfall(terms.amount, received);
        }
    }

    function approve() external onlyFunded {
        if (!isApprover[msg.sender]) revert NotApprover(msg.sender);
        if (hasApproved[msg.sender]) revert AlreadyApproved(msg.sender);
        hasApproved[msg.sender] = true;
        ++approvals;
        emit EscrowApproved(msg.sender);
    }

    function revoke() external onlyFunded {
        if (!hasApproved[msg.sender]) revert NotApproved(msg.sender);
        if (approvals >= threshold) revert ConditionsMet();
        hasApproved[msg.sender] = false;
        --approvals;
        emit EscrowApprovalRevoked(msg.sender);
    }

    /// @notice Pays the payee once the threshold is reached. Open to all.
    function release() external onlyFunded nonReentrant {
        if (approvals < threshold) revert ConditionsUnmet(approvals, threshold);
        state = State.Released;
        emit EscrowReleased(payee, amount);
        _pay(payee);
    }

    /// @notice Pays the payer back, from the deadline on and only while the conditions are unmet.
    function refund() external onlyFunded nonReentrant {
        if (msg.sender != payer) revert NotPayer(msg.sender);
        if (approvals >= threshold) revert ConditionsMet();
        if (block.timestamp < deadline) revert DeadlineNotReached(deadline);
        state = State.Refunded;
        emit EscrowRefunded(payer, amount);
        _pay(payer);
    }

    /// @notice Takes a deferred payment, to any address: the one it failed at may be unable to receive.
    function claim(address to) external nonReentrant {
        if (msg.sender != beneficiary) revert NotBeneficiary(msg.sender);
        if (to == address(0)) revert ZeroAddress();
        uint256 due = owed;
        owed = 0;
        beneficiary = address(0);
        emit EscrowClaimed(msg.sender, to, due);
        if (!_push(to, due, gasleft())) revert PaymentFailed(to);
    }

    function _pay(address to) private {
        if (_push(to, amount, PUSH_GAS)) return;
        beneficiary = to;
        owed = amount;
        emit EscrowPaymentDeferred(to, amount);
    }

    /// @dev Copies no return data: a receiver cannot make a release run out of gas with a large answer.
    function _push(address to, uint256 value, uint256 gasLimit) private returns (bool success) {
        if (token != NATIVE) return IERC20(token).trySafeTransfer(to, value);
        assembly ("memory-safe") {
            success := call(gasLimit, to, value, 0, 0, 0, 0)
        }
    }
}
