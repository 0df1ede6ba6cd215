// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @notice Numbers a contract's events from 1 without gaps, so that an indexer knows that it has missed none.
abstract contract Sequence {
    /// @notice The number of the last event.
    uint64 public lastSeq;

    function _nextSeq() internal returns (uint64) {
        return ++lastSeq;
    }
}
