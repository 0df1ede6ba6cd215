// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IRouter} from "@chainlink/contracts-ccip/contracts/interfaces/IRouter.sol";
import {CcipHashes} from "./CcipHashes.sol";
import {EVM2EVMMessage, ExecutionReport15, ExecutionState, GasLimitOverride15} from "./CcipMessages.sol";
import {DevCommitStore15} from "./DevCommitStore15.sol";
import {DevCommittedOffRamp} from "./DevCommittedOffRamp.sol";
import {Delivery} from "./DevOffRamp.sol";

/// @notice For local chains only: a lane's destination end with the events of CCIP 1.5.
contract DevOffRamp15 is DevCommittedOffRamp {
    string public constant typeAndVersion = "EVM2EVMOffRamp 1.5.0";

    event ExecutionStateChanged(
        uint64 indexed sequenceNumber, bytes32 indexed messageId, ExecutionState state, bytes returnData
    );
    event SkippedAlreadyExecutedMessage(uint64 indexed sequenceNumber);
    event AlreadyAttempted(uint64 sequenceNumber);

    error InvalidMessageId();

    DevCommitStore15 public immutable commitStore;

    constructor(
        IRouter router_,
        uint64 source,
        uint64 dest,
        address onRamp_,
        uint256 threshold,
        DevCommitStore15 commitStore_
    ) DevCommittedOffRamp(router_, source, dest, onRamp_, threshold) {
        commitStore = commitStore_;
    }

    /// @notice `gasLimit` stands in for the message's: how a network run stages too little gas.
    function execute(EVM2EVMMessage calldata message, bytes32[] calldata siblings, uint256 gasLimit)
        external
        onlyNetwork
    {
        _execute(message, siblings, gasLimit, false);
    }

    /// @notice Anyone's, as the vendor declares it; for one message.
    function manuallyExecute(ExecutionReport15 calldata report, GasLimitOverride15[] calldata overrides) external {
        if (report.messages.length != 1 || report.proofFlagBits != 0) revert OneMessageAtATime();
        if (overrides.length != 1 || overrides[0].tokenGasOverrides.length != 0) {
            revert ManualExecutionGasLimitMismatch();
        }
        if (report.offchainTokenData.length != 1 || report.offchainTokenData[0].length != 0) {
            revert UnexpectedTokenData();
        }
        EVM2EVMMessage calldata message = report.messages[0];
        uint256 gasLimit = _raised(message.messageId, message.gasLimit, overrides[0].receiverExecutionGasLimit);
        _execute(message, report.proofs, gasLimit, true);
    }

    function getExecutionState(uint64 sequenceNumber) external view returns (ExecutionState) {
        return _states[sequenceNumber];
    }

    function _execute(EVM2EVMMessage calldata message, bytes32[] calldata siblings, uint256 gasLimit, bool manual)
        private
    {
        bytes32 leaf = CcipHashes.id15(message, destChainSelector, onRamp);
        if (leaf != message.messageId || message.sourceChainSelector != sourceChainSelector) revert InvalidMessageId();
        Result memory result = _attempt(
            Attempt(message.sequenceNumber, commitStore.committedAt(leaf, siblings), manual),
            Delivery(leaf, abi.encode(message.sender), message.data, message.receiver, gasLimit)
        );
        if (!result.attempted) return;
        emit ExecutionStateChanged(message.sequenceNumber, leaf, result.state, result.returnData);
    }

    function _tellSkipped(uint64 sequenceNumber) internal override {
        emit SkippedAlreadyExecutedMessage(sequenceNumber);
    }

    function _tellAttempted(uint64 sequenceNumber) internal override {
        emit AlreadyAttempted(sequenceNumber);
    }
}
