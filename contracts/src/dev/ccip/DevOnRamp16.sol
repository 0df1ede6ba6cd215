// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Client} from "@chainlink/contracts-ccip/contracts/libraries/Client.sol";
import {CcipHashes} from "./CcipHashes.sol";
import {EVM2AnyRampMessage} from "./CcipMessages.sol";
import {DevOnRamp} from "./DevOnRamp.sol";

/// @notice For local chains only: a lane's source end with the events of CCIP 1.6.
contract DevOnRamp16 is DevOnRamp {
    string public constant typeAndVersion = "OnRamp 1.6.0";

    event CCIPMessageSent(uint64 indexed destChainSelector, uint64 indexed sequenceNumber, EVM2AnyRampMessage message);

    constructor(address router_, uint64 source, uint64 dest, uint256 fee_) DevOnRamp(router_, source, dest, fee_) {}

    function forwardFromRouter(
        uint64,
        Client.EVM2AnyMessage calldata message,
        uint256 feeTokenAmount,
        address originalSender
    ) external onlyRouter returns (bytes32) {
        Client.GenericExtraArgsV2 memory args = _extraArgsOf(message);
        EVM2AnyRampMessage memory sent;
        sent.header.sourceChainSelector = sourceChainSelector;
        sent.header.destChainSelector = destChainSelector;
        sent.header.sequenceNumber = ++_lastSequenceNumber;
        sent.header.nonce = _nextNonce(originalSender, args.allowOutOfOrderExecution);
        sent.sender = originalSender;
        sent.data = message.data;
        sent.receiver = message.receiver;
        sent.extraArgs = abi.encodeWithSelector(Client.GENERIC_EXTRA_ARGS_V2_TAG, args);
        sent.feeTokenAmount = feeTokenAmount;
        sent.header.messageId = CcipHashes.id16(sent, address(this));
        emit CCIPMessageSent(destChainSelector, sent.header.sequenceNumber, sent);
        return sent.header.messageId;
    }
}
