// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IRouter} from "@chainlink/contracts-ccip/contracts/interfaces/IRouter.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {ExecutionState} from "./CcipMessages.sol";
import {Delivery, DevOffRamp} from "./DevOffRamp.sol";
import {Message20, MessageV1} from "./MessageV1.sol";

/// @notice For local chains only: a lane's destination end with the events of CCIP 2.0. Nothing is committed: whoever
/// holds the verifier's signature of the message id executes. A bad signature is a FAILURE of a sound message.
contract DevOffRamp20 is DevOffRamp {
    string public constant typeAndVersion = "OffRamp 2.0.0";

    event ExecutionStateChanged(
        uint64 indexed sourceChainSelector,
        uint64 indexed messageNumber,
        bytes32 indexed messageId,
        ExecutionState state,
        bytes returnData
    );

    error NotExecutable(bytes32 messageId, ExecutionState state);
    error WrongLane();
    error NotVerified(bytes32 messageId);
    error InvalidVerifierResultsLength(uint256 expected, uint256 got);
    error RequiredCCVMissing(address requiredCCV);
    error InvalidGasLimitOverride(uint32 messageGasLimit, uint32 gasLimitOverride);

    address public immutable verifier;
    address public immutable network = msg.sender;

    mapping(bytes32 messageId => ExecutionState) public getExecutionState;

    constructor(IRouter router_, uint64 source, uint64 dest, address onRamp_, address verifier_)
        DevOffRamp(router_, source, dest, onRamp_)
    {
        verifier = verifier_;
    }

    /// @notice Anyone's, as the vendor declares it, while the message has not succeeded. A limit of 0 keeps the message's;
    /// a lower one is the network's alone, which so stages too little gas. A retry that fails again reverts.
    function execute(
        bytes calldata wire,
        address[] calldata verifiers,
        bytes[] calldata results,
        uint32 gasLimitOverride
    ) external {
        if (verifiers.length != results.length) {
            revert InvalidVerifierResultsLength(verifiers.length, results.length);
        }
        Message20 memory message = MessageV1.decode(wire);
        if (message.sourceChainSelector != sourceChainSelector || message.destChainSelector != destChainSelector) {
            revert WrongLane();
        }
        if (message.onRamp != onRamp || message.offRamp != address(this)) revert WrongLane();
        bytes32 id = keccak256(wire);
        ExecutionState before = getExecutionState[id];
        if (before != ExecutionState.UNTOUCHED && before != ExecutionState.FAILURE) revert NotExecutable(id, before);
        getExecutionState[id] = ExecutionState.IN_PROGRESS;
        Delivery memory delivery = Delivery(
            id,
            abi.encode(message.sender),
            message.data,
            message.receiver,
            _limit(message.receiveGasLimit, gasLimitOverride)
        );
        (ExecutionState state, bytes memory answer) = _trial(delivery, verifiers, results);
        if (before == ExecutionState.FAILURE && state == ExecutionState.FAILURE) revert ExecutionError(id, answer);
        getExecutionState[id] = state;
        emit ExecutionStateChanged(sourceChainSelector, message.messageNumber, id, state, answer);
    }

    function verifyAndDeliver(Delivery calldata delivery, address[] calldata verifiers, bytes[] calldata results)
        external
        onlySelf
    {
        (address signer,,) = ECDSA.tryRecover(delivery.messageId, _resultOf(verifiers, results));
        if (signer != verifier) revert NotVerified(delivery.messageId);
        _deliver(delivery);
    }

    function _trial(Delivery memory delivery, address[] calldata verifiers, bytes[] calldata results)
        private
        returns (ExecutionState, bytes memory)
    {
        try this.verifyAndDeliver(delivery, verifiers, results) {
            return (ExecutionState.SUCCESS, "");
        } catch (bytes memory reason) {
            return (ExecutionState.FAILURE, reason);
        }
    }

    function _limit(uint32 own, uint32 other) private view returns (uint32) {
        if (other == 0) return own;
        if (other < own && msg.sender != network) revert InvalidGasLimitOverride(own, other);
        return other;
    }

    function _resultOf(address[] calldata verifiers, bytes[] calldata results) private view returns (bytes calldata) {
        for (uint256 k = 0; k < verifiers.length; ++k) {
            if (verifiers[k] == verifier) return results[k];
        }
        revert RequiredCCVMissing(verifier);
    }
}
