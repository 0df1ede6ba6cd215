// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IAxelarGateway} from "@axelar-network/axelar-gmp-sdk-solidity/contracts/interfaces/IAxelarGateway.sol";

/// @notice For local chains only: Axelar's classic gateway. Its relayer's word stands in for the validators' signatures;
/// events, approvals and their single use are those of the real one.
contract DevAxelarGateway is IAxelarGateway {
    /// @notice What the validators saw on the source chain. `sourceEventIndex` is the place of the log in its receipt.
    struct Approval {
        string sourceChain;
        string sourceAddress;
        address contractAddress;
        bytes32 payloadHash;
        bytes32 sourceTxHash;
        uint256 sourceEventIndex;
    }

    event ContractCallApproved(
        bytes32 indexed commandId,
        string sourceChain,
        string sourceAddress,
        address indexed contractAddress,
        bytes32 indexed payloadHash,
        bytes32 sourceTxHash,
        uint256 sourceEventIndex
    );
    /// @notice The application took the message.
    event ContractCallExecuted(bytes32 indexed commandId);
    /// @notice The approval was taken in; the application need not have run.
    event Executed(bytes32 indexed commandId);

    error NotRelayer(address sender);

    address public immutable relayer = msg.sender;

    mapping(bytes32 commandId => bool) public isCommandExecuted;
    mapping(bytes32 approval => bool) private _approved;

    function callContract(string calldata destinationChain, string calldata contractAddress, bytes calldata payload)
        external
    {
        emit ContractCall(msg.sender, destinationChain, contractAddress, keccak256(payload), payload);
    }

    /// @notice A command that was taken in before is passed over without an event, as the real gateway does.
    function approve(bytes32 commandId, Approval calldata approval) external {
        if (msg.sender != relayer) revert NotRelayer(msg.sender);
        if (isCommandExecuted[commandId]) return;
        isCommandExecuted[commandId] = true;
        bytes32 key = _key(
            commandId, approval.sourceChain, approval.sourceAddress, approval.contractAddress, approval.payloadHash
        );
        _approved[key] = true;
        emit ContractCallApproved(
            commandId,
            approval.sourceChain,
            approval.sourceAddress,
            approval.contractAddress,
            approval.payloadHash,
            approval.sourceTxHash,
            approval.sourceEventIndex
        );
        emit Executed(commandId);
    }

    function validateContractCall(
        bytes32 commandId,
        string calldata sourceChain,
        string calldata sourceAddress,
        bytes32 payloadHash
    ) external returns (bool valid) {
        bytes32 key = _key(commandId, sourceChain, sourceAddress, msg.sender, payloadHash);
        valid = _approved[key];
        if (valid) {
            delete _approved[key];
            emit ContractCallExecuted(commandId);
        }
    }

    function isContractCallApproved(
        bytes32 commandId,
        string calldata sourceChain,
        string calldata sourceAddress,
        address contractAddress,
        bytes32 payloadHash
    ) external view returns (bool) {
        return _approved[_key(commandId, sourceChain, sourceAddress, contractAddress, payloadHash)];
    }

    function _key(
        bytes32 commandId,
        string calldata sourceChain,
        string calldata sourceAddress,
        address contractAddress,
        bytes32 payloadHash
    ) private pure returns (bytes32) {
        return keccak256(abi.encode(commandId, sourceChain, sourceAddress, contractAddress, payloadHash));
    }
}
