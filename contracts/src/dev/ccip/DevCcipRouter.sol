// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IAny2EVMMessageReceiver} from "@chainlink/contracts-ccip/contracts/interfaces/IAny2EVMMessageReceiver.sol";
import {IRouter} from "@chainlink/contracts-ccip/contracts/interfaces/IRouter.sol";
import {IRouterClient} from "@chainlink/contracts-ccip/contracts/interfaces/IRouterClient.sol";
import {Client} from "@chainlink/contracts-ccip/contracts/libraries/Client.sol";
import {IDevOnRamp} from "./DevOnRamp.sol";

/// @notice For local chains only: CCIP's router, which keeps the native fees. One on-ramp a destination and any number
/// of off-ramps a source, as on the vendor's chains: so a lane changes its version while old messages still arrive.
contract DevCcipRouter is IRouterClient, IRouter {
    event MessageExecuted(bytes32 messageId, uint64 sourceChainSelector, address offRamp, bytes32 calldataHash);

    error NotOwner(address sender);
    error NotEnoughGasForCall();

    /// @dev A selector and four words: a receiver cannot make its caller run out of gas by a long answer.
    uint256 private constant MAX_RETURN = 132;

    address public immutable owner = msg.sender;

    mapping(uint64 destChainSelector => address) public getOnRamp;
    mapping(uint64 sourceChainSelector => mapping(address offRamp => bool)) public isOffRamp;

    modifier onlyOwner() {
        if (msg.sender != owner) revert NotOwner(msg.sender);
        _;
    }

    function setOnRamp(uint64 destChainSelector, address onRamp) external onlyOwner {
        getOnRamp[destChainSelector] = onRamp;
    }

    function addOffRamp(uint64 sourceChainSelector, address offRamp) external onlyOwner {
        isOffRamp[sourceChainSelector][offRamp] = true;
    }

    function isChainSupported(uint64 destChainSelector) external view returns (bool) {
        return getOnRamp[destChainSelector] != address(0);
    }

    function getFee(uint64 destChainSelector, Client.EVM2AnyMessage memory message) public view returns (uint256) {
        address onRamp = getOnRamp[destChainSelector];
        if (onRamp == address(0)) revert UnsupportedDestinationChain(destChainSelector);
        return IDevOnRamp(onRamp).getFee(destChainSelector, message);
    }

    /// @notice Takes the whole `msg.value`, as the vendor's does.
    function ccipSend(uint64 destChainSelector, Client.EVM2AnyMessage calldata message)
        external
        payable
        returns (bytes32)
    {
        if (msg.value < getFee(destChainSelector, message)) revert InsufficientFeeTokenAmount();
        IDevOnRamp onRamp = IDevOnRamp(getOnRamp[destChainSelector]);
        return onRamp.forwardFromRouter(destChainSelector, message, msg.value, msg.sender);
    }

    /// @notice Calls the receiver with exactly `gasLimit`, or reverts when that much is not left.
    function routeMessage(
        Client.Any2EVMMessage calldata message,
        uint16 gasForCallExactCheck,
        uint256 gasLimit,
        address receiver
    ) external returns (bool success, bytes memory answer, uint256 gasUsed) {
        if (!isOffRamp[message.sourceChainSelector][msg.sender]) revert OnlyOffRamp();
        bytes memory data = abi.encodeCall(IAny2EVMMessageReceiver.ccipReceive, (message));
        uint256 left = gasleft();
        if (left < gasForCallExactCheck || (left - gasForCallExactCheck) * 63 / 64 <= gasLimit) {
            revert NotEnoughGasForCall();
        }
        assembly ("memory-safe") {
            answer := mload(0x40)
            mstore(0x40, add(answer, 192))
            success := call(gasLimit, receiver, 0, add(data, 32), mload(data), add(answer, 32), MAX_RETURN)
            let size := returndatasize()
            if gt(size, MAX_RETURN) { size := MAX_RETURN }
            mstore(answer, size)
        }
        gasUsed = left - gasleft();
        emit MessageExecuted(message.messageId, message.sourceChainSelector, msg.sender, keccak256(data));
    }
}
