// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {AxelarExecutable} from "@axelar-network/axelar-gmp-sdk-solidity/contracts/executable/AxelarExecutable.sol";
import {CCIPReceiver} from "@chainlink/contracts-ccip/contracts/applications/CCIPReceiver.sol";
import {Client} from "@chainlink/contracts-ccip/contracts/libraries/Client.sol";
import {DevGasService} from "./axelar/DevGasService.sol";

/// @notice For local chains only: an application that takes whatever either bridge delivers and tells what it was. It
/// knows no peers: who relies on the sender must not copy it.
contract DevReceiver is AxelarExecutable, CCIPReceiver {
    /// @notice `id` is the command or message id. Of CCIP `source` is empty and `sender` ABI-encoded.
    event Arrived(uint256 indexed number, bytes32 indexed id, string source, bytes sender, bytes payload);

    error Broken();

    uint256 public arrived;
    bool public broken;

    constructor(address gateway, address router) AxelarExecutable(gateway) CCIPReceiver(router) {}

    /// @notice While broken it refuses every message.
    function setBroken(bool broken_) external {
        broken = broken_;
    }

    /// @notice Sends equal calls in one transaction, each with an equal share of `msg.value` for its gas.
    function callAxelar(
        DevGasService gasService,
        string calldata chain,
        string calldata target,
        bytes calldata payload,
        uint256 times
    ) external payable {
        for (uint256 k = 0; k < times; ++k) {
            gasService.payNativeGasForContractCall{value: msg.value / times}(
                address(this), chain, target, payload, msg.sender
            );
            gateway().callContract(chain, target, payload);
        }
    }

    function _execute(bytes32 commandId, string calldata source, string calldata sender, bytes calldata payload)
        internal
        override
    {
        if (broken) revert Broken();
        emit Arrived(++arrived, commandId, source, bytes(sender), payload);
    }

    function _ccipReceive(Client.Any2EVMMessage memory message) internal override {
        if (broken) revert Broken();
        emit Arrived(++arrived, message.messageId, "", message.sender, message.data);
    }
}
