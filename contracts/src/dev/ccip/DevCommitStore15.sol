// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {CcipHashes} from "./CcipHashes.sol";
import {CommitReport} from "./CcipMessages.sol";

/// @notice For local chains only: the roots that the network committed for one 1.5 lane.
contract DevCommitStore15 {
    string public constant typeAndVersion = "CommitStore 1.5.0";

    event ReportAccepted(CommitReport report);
    event RootRemoved(bytes32 root);

    error NotNetwork(address sender);
    error InvalidInterval(uint64 expectedMin, uint64 min, uint64 max);
    error InvalidRoot();

    address public immutable network = msg.sender;

    uint64 public getExpectedNextSequenceNumber = 1;
    mapping(bytes32 root => uint256 timestamp) public getMerkleRoot;

    /// @notice Intervals follow each other without a gap.
    function commit(CommitReport calldata report) external {
        if (msg.sender != network) revert NotNetwork(msg.sender);
        if (report.interval.min != getExpectedNextSequenceNumber || report.interval.max < report.interval.min) {
            revert InvalidInterval(getExpectedNextSequenceNumber, report.interval.min, report.interval.max);
        }
        if (report.merkleRoot == bytes32(0) || getMerkleRoot[report.merkleRoot] != 0) revert InvalidRoot();
        getExpectedNextSequenceNumber = report.interval.max + 1;
        getMerkleRoot[report.merkleRoot] = block.timestamp;
        emit ReportAccepted(report);
    }

    /// @notice Withdraws a commit whose messages the source chain no longer has: the numbers from `nextMin` on may be
    /// committed anew.
    function removeRoot(bytes32 root, uint64 nextMin) external {
        if (msg.sender != network) revert NotNetwork(msg.sender);
        if (getMerkleRoot[root] == 0) revert InvalidRoot();
        delete getMerkleRoot[root];
        getExpectedNextSequenceNumber = nextMin;
        emit RootRemoved(root);
    }

    /// @notice When the root above the leaf was committed; 0: never.
    function committedAt(bytes32 leaf, bytes32[] calldata siblings) external view returns (uint256) {
        return getMerkleRoot[CcipHashes.rootOf(leaf, siblings)];
    }
}
