// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IRouter} from "@chainlink/contracts-ccip/contracts/interfaces/IRouter.sol";
import {CcipHashes} from "./CcipHashes.sol";
import {
    Any2EVMRampMessage,
    ExecutionReport16,
    ExecutionState,
    GasLimitOverride16,
    MerkleRoot,
    PriceUpdates
} from "./CcipMessages.sol";
import {DevCommittedOffRamp} from "./DevCommittedOffRamp.sol";
import {Delivery} from "./DevOffRamp.sol";

/// @notice For local chains only: a lane's destination end with the events of CCIP 1.6, roots included.
contract DevOffRamp16 is DevCommittedOffRamp {
    string public constant typeAndVersion = "OffRamp 1.6.0";

    event CommitReportAccepted(MerkleRoot[] blessedMerkleRoots, MerkleRoot[] unblessedMerkleRoots, PriceUpdates prices);
    event RootRemoved(bytes32 root);
    event ExecutionStateChanged(
        uint64 indexed sourceChainSelector,
        uint64 indexed sequenceNumber,
        bytes32 indexed messageId,
        bytes32 messageHash,
        ExecutionState state,
        bytes returnData,
        uint256 gasUsed
    );
    event SkippedAlreadyExecutedMessage(uint64 sourceChainSelector, uint64 sequenceNumber);
    event AlreadyAttempted(uint64 sourceChainSelector, uint64 sequenceNumber);

    error InvalidInterval(uint64 expectedMin, uint64 min, uint64 max);
    error InvalidRoot();
    error WrongLane();

    uint64 public minSeqNr = 1;
    mapping(bytes32 root => uint256 timestamp) public getMerkleRoot;

    constructor(IRouter router_, uint64 source, uint64 dest, address onRamp_, uint256 threshold)
        DevCommittedOffRamp(router_, source, dest, onRamp_, threshold)
    {}

    /// @notice Intervals follow each other without a gap. No risk network blesses on a local chain.
    function commit(MerkleRoot calldata root) external onlyNetwork {
        if (root.sourceChainSelector != sourceChainSelector || _isOtherRamp(root.onRampAddress)) revert WrongLane();
        if (root.minSeqNr != minSeqNr || root.maxSeqNr < root.minSeqNr) {
            revert InvalidInterval(minSeqNr, root.minSeqNr, root.maxSeqNr);
        }
        if (root.merkleRoot == bytes32(0) || getMerkleRoot[root.merkleRoot] != 0) revert InvalidRoot();
        minSeqNr = root.maxSeqNr + 1;
        getMerkleRoot[root.merkleRoot] = block.timestamp;
        MerkleRoot[] memory unblessed = new MerkleRoot[](1);
        unblessed[0] = root;
        PriceUpdates memory none;
        emit CommitReportAccepted(new MerkleRoot[](0), unblessed, none);
    }

    /// @notice Withdraws a commit whose messages the source chain no longer has: the numbers from `nextMin` on may be
    /// committed anew.
    function removeRoot(bytes32 root, uint64 nextMin) external onlyNetwork {
        if (getMerkleRoot[root] == 0) revert InvalidRoot();
        delete getMerkleRoot[root];
        minSeqNr = nextMin;
        emit RootRemoved(root);
    }

    /// @notice `gasLimit` stands in for the message's: how a network run stages too little gas.
    function execute(Any2EVMRampMessage calldata message, bytes32[] calldata siblings, uint256 gasLimit)
        external
        onlyNetwork
    {
        _execute(message, siblings, gasLimit, false);
    }

    /// @notice Anyone's, as the vendor declares it; reports of one message each.
    function manuallyExecute(ExecutionReport16[] calldata reports, GasLimitOverride16[][] calldata overrides) external {
        if (reports.length != overrides.length) revert ManualExecutionGasLimitMismatch();
        for (uint256 k = 0; k < reports.length; ++k) {
            _executeByHand(reports[k], overrides[k]);
        }
    }

    function getExecutionState(uint64 selector, uint64 sequenceNumber) external view returns (ExecutionState) {
        return selector == sourceChainSelector ? _states[sequenceNumber] : ExecutionState.UNTOUCHED;
    }

    function _executeByHand(ExecutionReport16 calldata report, GasLimitOverride16[] calldata overrides) private {
        if (report.sourceChainSelector != sourceChainSelector) revert WrongLane();
        if (report.messages.length != 1 || report.proofFlagBits != 0) revert OneMessageAtATime();
        if (overrides.length != 1 || overrides[0].tokenGasOverrides.length != 0) {
            revert ManualExecutionGasLimitMismatch();
        }
        if (report.offchainTokenData.length != 1 || report.offchainTokenData[0].length != 0) {
            revert UnexpectedTokenData();
        }
        Any2EVMRampMessage calldata message = report.messages[0];
        uint256 newLimit = overrides[0].receiverExecutionGasLimit;
        _execute(message, report.proofs, _raised(message.header.messageId, message.gasLimit, newLimit), true);
    }

    function _execute(Any2EVMRampMessage calldata message, bytes32[] calldata siblings, uint256 gasLimit, bool manual)
        private
    {
        if (message.header.sourceChainSelector != sourceChainSelector) revert WrongLane();
        if (message.header.destChainSelector != destChainSelector) revert WrongLane();
        bytes32 leaf = CcipHashes.leaf16(message, abi.encode(onRamp));
        Result memory result = _attempt(
            Attempt(message.header.sequenceNumber, getMerkleRoot[CcipHashes.rootOf(leaf, siblings)], manual),
            Delivery(message.header.messageId, message.sender, message.data, message.receiver, gasLimit)
        );
        if (!result.attempted) return;
        emit ExecutionStateChanged(
            sourceChainSelector,
            message.header.sequenceNumber,
            message.header.messageId,
            leaf,
            result.state,
            result.returnData,
            result.gasUsed
        );
    }

    function _isOtherRamp(bytes calldata encoded) private view returns (bool) {
        return keccak256(encoded) != keccak256(abi.encode(onRamp));
    }

    function _tellSkipped(uint64 sequenceNumber) internal override {
        emit SkippedAlreadyExecutedMessage(sourceChainSelector, sequenceNumber);
    }

    function _tellAttempted(uint64 sequenceNumber) internal override {
        emit AlreadyAttempted(sourceChainSelector, sequenceNumber);
    }
}
