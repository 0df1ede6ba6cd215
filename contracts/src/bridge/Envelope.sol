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

    /// @notice Never reverts. `ok` holds only for the one byte string that encodes `envelope`: no two payloads, and so
    /// no two ids, stand for the same envelope.
    function tryDecode(bytes memory payload) internal pure returns (bool ok, Envelope memory envelope) {
        if (payload.length != SIZE) return (false, envelope);
        uint256[12] memory words = abi.decode(payload, (uint256[12]));
        envelope.version = uint16(words[0]);
        envelope.srcChainId = uint64(words[1]);
        envelope.srcApp = address(uint160(words[2]));
        envelope.dstChainId = uint64(words[3]);
        envelope.dstApp = address(uint160(words[4]));
        envelope.nonce = uint64(words[5]);
        envelope.kind = uint8(words[6]);
        envelope.account = address(uint160(words[7]));
        envelope.asset = address(uint160(words[8]));
        envelope.amount = words[9];
        envelope.deadline = uint64(words[10]);
        envelope.ref = bytes32(words[11]);
        ok = idOf(encode(envelope)) == idOf(payload);
    }

    function idOf(bytes memory payload) internal pure returns (bytes32) {
        return keccak256(payload);
    }
}
