// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {NATIVE} from "../vault/VaultTypes.sol";

/// @notice For load on local chains only: emits the vault's deposit event as if a ring of accounts deposited native
/// currency in turn. Amounts and resulting balances are consistent over all events that one emitter ever emits.
contract EventEmitter {
    event CollateralDeposited(
        address indexed account, address indexed token, uint256 amount, uint256 balance, uint64 seq
    );

    uint256 public constant ACCOUNTS = 1_000;
    uint256 public constant AMOUNT = 1e15;
    uint160 public constant FIRST_ACCOUNT = 0xACC << 148;

    uint256 public emitted;

    /// @notice Event number k is account FIRST_ACCOUNT + k % ACCOUNTS depositing for the (k / ACCOUNTS + 1)-th time.
    function emitDeposits(uint256 n) external {
        uint256 first = emitted;
        emitted = first + n;
        for (uint256 k = first; k < first + n; ++k) {
            address account = address(FIRST_ACCOUNT + uint160(k % ACCOUNTS));
            emit CollateralDeposited(account, NATIVE, AMOUNT, (k / ACCOUNTS + 1) * AMOUNT, uint64(k + 1));
        }
    }
}
