// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {Address} from "@openzeppelin/contracts/utils/Address.sol";
import {IVaultEvents} from "./IVaultEvents.sol";
import {NATIVE} from "./VaultTypes.sol";

// Slither sees a library's functions without their callers, which are payable.
// slither-disable-start msg-value-in-nonpayable

/// @notice Moves assets in and out, native currency and ERC-20 alike. A token that delivers less than was asked
/// (fee on transfer) is refused: the books would promise more than the vault holds.
library Custody {
    using SafeERC20 for IERC20;

    /// @notice Takes `amount` from the caller. Native currency must have come with the call: `msg.value` is at least
    /// `amount` (the caller of this library returns the rest) and is zero for ERC-20.
    function pull(address token, uint256 amount) internal {
        if (token == NATIVE) {
            if (msg.value < amount) revert IVaultEvents.WrongValue(amount, msg.value);
            return;
        }
        if (msg.value != 0) revert IVaultEvents.WrongValue(0, msg.value);
        uint256 before = IERC20(token).balanceOf(address(this));
        IERC20(token).safeTransferFrom(msg.sender, address(this), amount);
        uint256 received = IERC20(token).balanceOf(address(this)) - before;
        if (received != amount) revert IVaultEvents.TransferShortfall(token, amount, received);
    }

    /// @notice As `pull`, but native currency must have come in exactly this amount.
    function pullExact(address token, uint256 amount) internal {
        if (token == NATIVE && msg.value != amount) revert IVaultEvents.WrongValue(amount, msg.value);
        pull(token, amount);
    }

    /// @notice Gives back what a caller sent above `used`.
    function refund(address token, uint256 used) internal {
        if (token == NATIVE && msg.value > used) Address.sendValue(payable(msg.sender), msg.value - used);
    }

    function push(address token, address to, uint256 amount) internal {
        if (to == address(0)) revert IVaultEvents.ZeroAddress();
        if (token == NATIVE) Address.sendValue(payable(to), amount);
        else IERC20(token).safeTransfer(to, amount);
    }
}
// slither-disable-end msg-value-in-nonpayable
