// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Any2EVMRampMessage, EVM2AnyRampMessage, EVM2EVMMessage} from "./CcipMessages.sol";

/// @notice Ids and leaves as the vendor computes them. The leading 0 and 1 keep leaves and nodes apart.
library CcipHashes {
    bytes32 private constant LEAF = bytes32(uint256(0));
    bytes32 private constant NODE = bytes32(uint256(1));

    /// @notice 1.5: message id and leaf in one. The message's own `messageId` is left out.
    function id15(EVM2EVMMessage memory message, uint64 destSelector, address onRamp) internal pure returns (bytes32) {
        bytes32 lane =
            keccak256(abi.encode(keccak256("EVM2EVMMessageHashV2"), message.sourceChainSelector, destSelector, onRamp));
        return keccak256(
            abi.encode(
                LEAF,
                lane,
                _fixed15(message),
                keccak256(message.data),
                keccak256(abi.encode(message.tokenAmounts)),
                keccak256(abi.encode(message.sourceTokenData))
            )
        );
    }

    function id16(EVM2AnyRampMessage memory message, address onRamp) internal pure returns (bytes32) {
        bytes32 lane = keccak256(
            abi.encode(
                keccak256("EVM2AnyMessageHashV1"),
                message.header.sourceChainSelector,
                message.header.destChainSelector,
                onRamp
            )
        );
        bytes32 head = keccak256(
            abi.encode(
                message.sender,
                message.header.sequenceNumber,
                message.header.nonce,
                message.feeToken,
                message.feeTokenAmount
            )
        );
        return keccak256(
            abi.encode(
                LEAF,
                lane,
                head,
                keccak256(message.receiver),
                keccak256(message.data),
                keccak256(abi.encode(message.tokenAmounts)),
                keccak256(message.extraArgs)
            )
        );
    }

    /// @notice 1.6: the leaf under the committed root, which the event calls messageHash. It differs from the id.
    function leaf16(Any2EVMRampMessage memory message, bytes memory onRamp) internal pure returns (bytes32) {
        bytes32 lane = keccak256(
            abi.encode(
                keccak256("Any2EVMMessageHashV1"),
                message.header.sourceChainSelector,
                message.header.destChainSelector,
                keccak256(onRamp)
            )
        );
        bytes32 head = keccak256(
            abi.encode(
                message.header.messageId,
                message.receiver,
                message.header.sequenceNumber,
                message.gasLimit,
                message.header.nonce
            )
        );
        return keccak256(
            abi.encode(
                LEAF,
                lane,
                head,
                keccak256(message.sender),
                keccak256(message.data),
                keccak256(abi.encode(message.tokenAmounts))
            )
        );
    }

    /// @notice The root above a leaf, given the siblings on the way up.
    function rootOf(bytes32 leaf, bytes32[] calldata siblings) internal pure returns (bytes32 node) {
        node = leaf;
        for (uint256 i = 0; i < siblings.length; ++i) {
            bytes32 other = siblings[i];
            (bytes32 lower, bytes32 higher) = node < other ? (node, other) : (other, node);
            node = keccak256(abi.encode(NODE, lower, higher));
        }
    }

    function _fixed15(EVM2EVMMessage memory message) private pure returns (bytes32) {
        return keccak256(
            abi.encode(
                message.sender,
                message.receiver,
                message.sequenceNumber,
                message.gasLimit,
                message.strict,
                message.nonce,
                message.feeToken,
                message.feeTokenAmount
            )
        );
    }
}
