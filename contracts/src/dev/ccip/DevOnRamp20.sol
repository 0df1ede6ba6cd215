// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Client} from "@chainlink/contracts-ccip/contracts/libraries/Client.sol";
import {Receipt} from "./CcipMessages.sol";
import {DevOnRamp} from "./DevOnRamp.sol";
import {Message20, MessageV1} from "./MessageV1.sol";

/// @notice For local chains only: a lane's source end with the events of CCIP 2.0. Its one verifier is a key whose
/// signature of the message id the off-ramp demands.
contract DevOnRamp20 is DevOnRamp {
    string public constant typeAndVersion = "OnRamp 2.0.0";
    uint32 private constant EXECUTION_OVERHEAD = 150_000;

    event CCIPMessageSent(
        uint64 indexed destChainSelector,
        address indexed sender,
        bytes32 indexed messageId,
        address feeToken,
        uint256 tokenAmountBeforeTokenPoolFees,
        bytes encodedMessage,
        Receipt[] receipts,
        bytes[] verifierBlobs
    );

    error OffRampUnknown();
    error NotOwner(address sender);

    address public immutable owner = msg.sender;
    address public immutable verifier;
    /// @notice The message names both ramps, and each is deployed knowing the other: this end is told afterwards.
    address public offRamp;

    constructor(address router_, uint64 source, uint64 dest, uint256 fee_, address verifier_)
        DevOnRamp(router_, source, dest, fee_)
    {
        verifier = verifier_;
    }

    function setOffRamp(address offRamp_) external {
        if (msg.sender != owner) revert NotOwner(msg.sender);
        offRamp = offRamp_;
    }

    function forwardFromRouter(
        uint64,
        Client.EVM2AnyMessage calldata message,
        uint256 feeTokenAmount,
        address originalSender
    ) external onlyRouter returns (bytes32 messageId) {
        if (offRamp == address(0)) revert OffRampUnknown();
        Message20 memory sent;
        sent.sourceChainSelector = sourceChainSelector;
        sent.destChainSelector = destChainSelector;
        sent.messageNumber = ++_lastSequenceNumber;
        sent.receiveGasLimit = uint32(_extraArgsOf(message).gasLimit);
        sent.executionGasLimit = EXECUTION_OVERHEAD + sent.receiveGasLimit;
        sent.verifiersAndExecutor = keccak256(abi.encodePacked(verifier, owner));
        sent.onRamp = address(this);
        sent.offRamp = offRamp;
        sent.sender = originalSender;
        sent.receiver = _receiverOf(message);
        sent.data = message.data;
        bytes memory wire = MessageV1.encode(sent);
        messageId = keccak256(wire);
        Receipt[] memory receipts = new Receipt[](1);
        receipts[0] = Receipt(owner, sent.executionGasLimit, 0, feeTokenAmount, "");
        emit CCIPMessageSent(
            destChainSelector, originalSender, messageId, address(0), 0, wire, receipts, new bytes[](1)
        );
    }
}
