// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @notice A screening oracle: whom the desk may pay.
interface IScreening {
    /// @return Whether the account is on the allow-list at this moment.
    function isAllowed(address account) external view returns (bool);
}

/// @notice Who says which oracle screens. Zero: none does.
interface IScreeningSource {
    function screening() external view returns (IScreening);
}

/// @notice Asks an oracle and believes only a clear yes: one that is broken, gone or out of gas allows nobody, and
/// stops nobody's transaction either.
library Screening {
    uint256 private constant ORACLE_GAS = 100_000;

    function allows(IScreening oracle, address account) internal view returns (bool) {
        if (address(oracle) == address(0)) return true;
        bytes memory question = abi.encodeCall(IScreening.isAllowed, (account));
        bool answered;
        uint256 answer;
        // Copies one word: what else the oracle may return costs this contract nothing.
        assembly ("memory-safe") {
            mstore(0, 0)
            answered := staticcall(ORACLE_GAS, oracle, add(question, 32), mload(question), 0, 32)
            answered := and(answered, gt(returndatasize(), 31))
            answer := mload(0)
        }
        return answered && answer == 1;
    }
}
