// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Client} from "@chainlink/contracts-ccip/contracts/libraries/Client.sol";
import {CcipHashes} from "./CcipHashes.sol";
import {EVM2EVMMessage} from "./CcipMessages.sol";
import {DevOnRamp} from "./DevOnRamp.sol";

/// @notice For local chains only: a lane's source end with the events of CCIP 1.5.
contract DevOnRamp15 is DevOnRamp {
    string public constant typeAndVersion = "EVM2EVMOnRamp 1.5.0";

    event CCIPSendRequested(EVM2EVMMessage message);

    constructor(address router_, uint64 source, uint64 dest, uint256 fee_) DevOnRamp(router_, source, dest, fee_) {}

    function forwardFromRouter(
        uint64,
        Client.EVM2AnyMessage calldata message,
        uint256 feeTokenAmount,
        address originalSender
    ) external onlyRouter returns (bytes32) {
        Client.GenericExtraArgsV2 memory args = _extraArgsOf(message);
        EVM2EVMMessage memory sent;
        sent.sourceChainSelector = sourceChainSelector;
        sent.sender = originalSender;
        sent.receiver = _receiverOf(message);
        sent.sequenceNumber = ++_lastSequenceNumber;
        sent.gasLimit = args.gasLimit;
        sent.nonce = _nextNonce(originalSender, args.allowOutOfOrderExecution);
        sent.feeTokenAmount = feeTokenAmount;
        sent.data = message.data;
        sent.messageId = CcipHashes.id15(sent, destChainSelector, address(this));
        emit CCIPSendRequested(sent);
        return sent.messageId;
    }
}
