// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {NATIVE} from "../vault/VaultTypes.sol";
import {DeferralReason, IEscrowEvents} from "./IEscrowEvents.sol";
import {IScreeningSource, Screening} from "./IScreening.sol";
import {Sequence} from "./Sequence.sol";

/// @notice Moves the escrow's money out. A decision never fails because of its receiver: a payment that is not taken, or
/// that the screening oracle does not allow, stays here as `owed` and belongs to its beneficiary.
///
/// Invariant: the escrow holds `remaining` plus what it owes. What screening holds has two ways out: the payee's claim
/// once it is allowed, or the payee giving it up for the payer.
abstract contract Payouts is IEscrowEvents, Sequence {
    /// @dev Enough for a contract wallet, too little to starve the rest of a release. A caller cannot make a payment
    /// fail by bringing too little gas: then the sixty-fourth that is left does not suffice to write what is owed.
    uint256 private constant NATIVE_PUSH_GAS = 100_000;
    uint256 private constant TOKEN_PUSH_GAS = 500_000;

    /// @dev The factory. An immutable lives in the code that all clones share.
    address internal immutable FACTORY = msg.sender;

    address public payer;
    address public payee;
    address public token;
    /// @notice What no milestone, refund or ruling has decided on yet.
    uint256 public remaining;

    mapping(address beneficiary => uint256) public owed;

    function _payPayee(uint256 amount) internal {
        if (amount == 0) return;
        if (_allowed(payee)) _pay(payee, amount);
        else _defer(payee, amount, DeferralReason.Screened);
    }

    function _payPayer(uint256 amount) internal {
        if (amount != 0) _pay(payer, amount);
    }

    /// @dev A payee must be allowed, and so must the address to which it sends its money.
    function _claim(address beneficiary, address to) internal {
        if (to == address(0) || to == address(this)) revert InvalidReceiver(to);
        if (beneficiary == payee) {
            if (!_allowed(beneficiary)) revert AccountNotAllowed(beneficiary);
            if (!_allowed(to)) revert AccountNotAllowed(to);
        }
        uint256 amount = _settle(beneficiary);
        if (!_push(to, amount, gasleft())) revert PaymentFailed(to);
        emit EscrowPaid(beneficiary, to, amount, 0, _nextSeq());
    }

    function _returnToPayer() internal {
        if (msg.sender != payee) revert NotParty(msg.sender);
        uint256 amount = _settle(payee);
        emit EscrowReturned(payee, payer, amount, _nextSeq());
        _payPayer(amount);
    }

    function _settle(address beneficiary) private returns (uint256 amount) {
        amount = owed[beneficiary];
        if (amount == 0) revert NothingOwed(beneficiary);
        owed[beneficiary] = 0;
    }

    function _pay(address to, uint256 amount) private {
        if (_push(to, amount, token == NATIVE ? NATIVE_PUSH_GAS : TOKEN_PUSH_GAS)) {
            emit EscrowPaid(to, to, amount, owed[to], _nextSeq());
        } else {
            _defer(to, amount, DeferralReason.PushFailed);
        }
    }

    function _defer(address beneficiary, uint256 amount, DeferralReason reason) private {
        uint256 due = owed[beneficiary] += amount;
        emit EscrowPaymentDeferred(beneficiary, reason, amount, due, _nextSeq());
    }

    function _allowed(address account) private view returns (bool) {
        return Screening.allows(IScreeningSource(FACTORY).screening(), account);
    }

    /// @dev Copies at most one word of the answer: a receiver cannot make a release run out of gas with a large one.
    function _push(address to, uint256 amount, uint256 gasLimit) private returns (bool success) {
        if (token != NATIVE) return _pushToken(token, to, amount, gasLimit);
        assembly ("memory-safe") {
            success := call(gasLimit, to, amount, 0, 0, 0, 0)
        }
    }

    /// @dev As SafeERC20 judges it: no answer from a contract, or true.
    function _pushToken(address asset, address to, uint256 amount, uint256 gasLimit) private returns (bool success) {
        bytes memory data = abi.encodeCall(IERC20.transfer, (to, amount));
        uint256 size;
        uint256 answer;
        assembly ("memory-safe") {
            mstore(0, 0)
            success := call(gasLimit, asset, 0, add(data, 32), mload(data), 0, 32)
            size := returndatasize()
            answer := mload(0)
        }
        return success && (size == 0 ? asset.code.length != 0 : size >= 32 && answer == 1);
    }
}
