// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IRouter} from "@chainlink/contracts-ccip/contracts/interfaces/IRouter.sol";
import {ExecutionState} from "./CcipMessages.sol";
import {Delivery, DevOffRamp} from "./DevOffRamp.sol";

/// @notice Off-ramps up to 1.6: the network commits a root of messages, then executes each once; by hand anyone may
/// execute a message that failed, and one that the network left alone for `permissionlessThreshold` seconds.
abstract contract DevCommittedOffRamp is DevOffRamp {
    error NotNetwork(address sender);
    error RootNotCommitted();
    error ManualExecutionNotYetEnabled();
    error InvalidManualExecutionGasLimit(bytes32 messageId, uint256 newLimit);
    error ExecutionInProgress(uint64 sequenceNumber);
    error ManualExecutionGasLimitMismatch();
    error UnexpectedTokenData();
    /// @dev The vendor's take many under one proof; these take one, to which no proof flag belongs.
    error OneMessageAtATime();

    address public immutable network = msg.sender;
    uint256 public immutable permissionlessThreshold;

    mapping(uint64 sequenceNumber => ExecutionState) internal _states;

    /// @notice `committedAt` is the time of the root above the message, 0 without one.
    struct Attempt {
        uint64 sequenceNumber;
        uint256 committedAt;
        bool manual;
    }

    struct Result {
        bool attempted;
        ExecutionState state;
        bytes returnData;
        uint256 gasUsed;
    }

    constructor(IRouter router_, uint64 source, uint64 dest, address onRamp_, uint256 threshold)
        DevOffRamp(router_, source, dest, onRamp_)
    {
        permissionlessThreshold = threshold;
    }

    modifier onlyNetwork() {
        if (msg.sender != network) revert NotNetwork(msg.sender);
        _;
    }

    function deliver(Delivery calldata delivery) external onlySelf {
        _deliver(delivery);
    }

    /// @notice A message that may not run again is passed over with an event; a hand whose retry fails again reverts.
    function _attempt(Attempt memory attempt, Delivery memory delivery) internal returns (Result memory result) {
        if (attempt.committedAt == 0) revert RootNotCommitted();
        uint64 number = attempt.sequenceNumber;
        ExecutionState before = _states[number];
        if (before == ExecutionState.IN_PROGRESS) revert ExecutionInProgress(number);
        if (before == ExecutionState.SUCCESS) {
            _tellSkipped(number);
            return result;
        }
        if (!attempt.manual && before == ExecutionState.FAILURE) {
            _tellAttempted(number);
            return result;
        }
        if (attempt.manual && before == ExecutionState.UNTOUCHED) {
            if (block.timestamp - attempt.committedAt <= permissionlessThreshold) {
                revert ManualExecutionNotYetEnabled();
            }
        }
        _states[number] = ExecutionState.IN_PROGRESS;
        result = _trial(delivery);
        if (before == ExecutionState.FAILURE && result.state == ExecutionState.FAILURE) {
            revert ExecutionError(delivery.messageId, result.returnData);
        }
        _states[number] = result.state;
    }

    /// @notice By hand the limit may be raised, never lowered; 0 keeps it.
    function _raised(bytes32 messageId, uint256 gasLimit, uint256 newLimit) internal pure returns (uint256) {
        if (newLimit == 0) return gasLimit;
        if (newLimit < gasLimit) revert InvalidManualExecutionGasLimit(messageId, newLimit);
        return newLimit;
    }

    function _tellSkipped(uint64 sequenceNumber) internal virtual;

    function _tellAttempted(uint64 sequenceNumber) internal virtual;

    function _trial(Delivery memory delivery) private returns (Result memory result) {
        uint256 left = gasleft();
        result.attempted = true;
        try this.deliver(delivery) {
            result.state = ExecutionState.SUCCESS;
        } catch (bytes memory reason) {
            (result.state, result.returnData) = (ExecutionState.FAILURE, reason);
        }
        result.gasUsed = left - gasleft();
    }
}
