// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @notice A 2.0 message without tokens, between EVM chains.
struct Message20 {
    uint64 sourceChainSelector;
    uint64 destChainSelector;
    uint64 messageNumber;
    uint32 executionGasLimit;
    uint32 receiveGasLimit;
    bytes4 finality;
    bytes32 verifiersAndExecutor;
    address onRamp;
    address offRamp;
    address sender;
    address receiver;
    bytes data;
}

/// @notice 2.0's packed wire form; its hash is the message id. Source addresses take 32 bytes, destination ones 20.
library MessageV1 {
    error NotAMessage();

    uint8 internal constant VERSION = 1;
    /// @dev Start of the length-prefixed fields, then of the data's two length bytes, then of the data.
    uint256 private constant ADDRESSES_AT = 69;
    uint256 private constant DATA_LENGTH_AT = 181;
    uint256 private constant DATA_AT = 183;

    function encode(Message20 memory message) internal pure returns (bytes memory) {
        bytes memory head = abi.encodePacked(
            VERSION,
            message.sourceChainSelector,
            message.destChainSelector,
            message.messageNumber,
            message.executionGasLimit,
            message.receiveGasLimit,
            message.finality,
            message.verifiersAndExecutor
        );
        bytes memory ramps = abi.encodePacked(uint8(32), abi.encode(message.onRamp), uint8(20), message.offRamp);
        bytes memory ends = abi.encodePacked(uint8(32), abi.encode(message.sender), uint8(20), message.receiver);
        // No destination blob, no token transfer.
        return abi.encodePacked(head, ramps, ends, uint16(0), uint16(0), uint16(message.data.length), message.data);
    }

    /// @notice Reads what `encode` writes; reverts with NotAMessage on every other form, tokens included.
    function decode(bytes calldata wire) internal pure returns (Message20 memory message) {
        if (wire.length < DATA_AT) revert NotAMessage();
        message.sourceChainSelector = uint64(bytes8(wire[1:9]));
        message.destChainSelector = uint64(bytes8(wire[9:17]));
        message.messageNumber = uint64(bytes8(wire[17:25]));
        message.executionGasLimit = uint32(bytes4(wire[25:29]));
        message.receiveGasLimit = uint32(bytes4(wire[29:33]));
        message.finality = bytes4(wire[33:37]);
        message.verifiersAndExecutor = bytes32(wire[37:ADDRESSES_AT]);
        message.onRamp = address(bytes20(wire[82:102]));
        message.offRamp = address(bytes20(wire[103:123]));
        message.sender = address(bytes20(wire[136:156]));
        message.receiver = address(bytes20(wire[157:177]));
        message.data = wire[DATA_AT:];
        if (message.data.length > type(uint16).max || keccak256(encode(message)) != keccak256(wire)) {
            revert NotAMessage();
        }
    }
}
