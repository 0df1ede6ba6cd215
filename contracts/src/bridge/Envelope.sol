// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @notice What one application says to its peer on another chain, whatever bridge carries it.
struct Envelope {
    uint16 version;
    uint64 srcChainId;
    address srcApp;
    uint64 dstChainId;
    address dstApp;
    /// @dev Of the source router, from 1: no two envelopes of one router are equal.
    uint64 nonce;
    /// @dev What the application means; the router does not read it.
    uint8 kind;
    address account;
    address asset;
    uint256 amount;
    /// @dev Unix seconds after which the destination application must not grant anything any more; 0: none.
    uint64 deadline;
    bytes32 ref;
}

/// @notice The payload is `abi.encode(envelope)`: twelve words. Its hash is the message's id on both chains.
library Envelopes {
    uint16 internal constant VERSION = 1;
    uint256 internal constant SIZE = 384;

    function encode(Envelope memory envelope) internal pure returns (bytes memory) {
        return abi.encode(envelope);
    }

    function idOf(bytes memory payload) internal pure returns (bytes32) {
        return keccak256(payload);
    }
}
