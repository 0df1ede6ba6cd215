// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {InterchainGasEstimation} from
    "@axelar-network/axelar-gmp-sdk-solidity/contracts/gas-estimation/InterchainGasEstimation.sol";
import {BaseAmplifierGateway} from "@axelar-network/axelar-gmp-sdk-solidity/contracts/gateway/BaseAmplifierGateway.sol";
import {Message} from "@axelar-network/axelar-gmp-sdk-solidity/contracts/types/AmplifierGatewayTypes.sol";
import {GasInfo} from "@axelar-network/axelar-gmp-sdk-solidity/contracts/types/GasEstimationTypes.sol";

/// @notice The SDK's amplifier gateway with the proof of the signers left out.
contract OpenAmplifierGateway is BaseAmplifierGateway {
    function approveMessages(Message[] calldata messages) external {
        _approveMessages(messages);
    }
}

/// @notice The SDK's gas estimation and the one payment that the adapter makes. As Axelar's, it takes no empty payment.
contract EstimatingGasService is InterchainGasEstimation {
    event NativeGasPaidForContractCall(
        address indexed sourceAddress,
        string destinationChain,
        string destinationAddress,
        bytes32 indexed payloadHash,
        uint256 gasFeeAmount,
        address refundAddress
    );

    error NothingReceived();

    function setGasInfo(string calldata chain, GasInfo calldata info) external {
        _setGasInfo(chain, info);
    }

    function payNativeGasForContractCall(
        address sender,
        string calldata destinationChain,
        string calldata destinationAddress,
        bytes calldata payload,
        address refundAddress
    ) external payable {
        if (msg.value == 0) revert NothingReceived();
        emit NativeGasPaidForContractCall(
            sender, destinationChain, destinationAddress, keccak256(payload), msg.value, refundAddress
        );
    }
}
