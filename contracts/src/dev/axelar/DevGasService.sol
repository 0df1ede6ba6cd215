// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IAxelarGasService} from "@axelar-network/axelar-gmp-sdk-solidity/contracts/interfaces/IAxelarGasService.sol";

/// @notice For local chains only: those functions of Axelar's gas service that native payment needs, with the real
/// events. One flat `fee` is enough for any call. As with the real one, a payment below it is taken and told:
/// refusing to relay is the relayer's part, and `addNativeGas` tops up.
contract DevGasService {
    address public immutable gasCollector = msg.sender;
    uint256 public immutable fee;

    constructor(uint256 fee_) {
        fee = fee_;
    }

    /// @notice Reverts on an insufficient payment if asked to estimate, else takes what comes.
    function payGas(
        address sender,
        string calldata destinationChain,
        string calldata destinationAddress,
        bytes calldata payload,
        uint256,
        bool estimateOnChain,
        address refundAddress,
        bytes calldata
    ) external payable {
        if (estimateOnChain && msg.value < fee) {
            revert IAxelarGasService.InsufficientGasPayment(fee, msg.value);
        }
        _tell(sender, destinationChain, destinationAddress, keccak256(payload), refundAddress);
    }

    function payNativeGasForContractCall(
        address sender,
        string calldata destinationChain,
        string calldata destinationAddress,
        bytes calldata payload,
        address refundAddress
    ) external payable {
        _tell(sender, destinationChain, destinationAddress, keccak256(payload), refundAddress);
    }

    /// @notice Tops up the call whose ContractCall is the log `logIndex` of the transaction.
    function addNativeGas(bytes32 txHash, uint256 logIndex, address refundAddress) external payable {
        emit IAxelarGasService.NativeGasAdded(txHash, logIndex, msg.value, refundAddress);
    }

    /// @notice The collector's alone; native currency (`token` = 0) alone.
    function refund(bytes32 txHash, uint256 logIndex, address payable receiver, address token, uint256 amount)
        external
    {
        if (msg.sender != gasCollector) revert IAxelarGasService.NotCollector();
        if (receiver == address(0) || token != address(0)) revert IAxelarGasService.InvalidAddress();
        emit IAxelarGasService.Refunded(txHash, logIndex, receiver, token, amount);
        (bool paid,) = receiver.call{value: amount}("");
        if (!paid) revert IAxelarGasService.InvalidAmounts();
    }

    function estimateGasFee(string calldata, string calldata, bytes calldata, uint256, bytes calldata)
        external
        view
        returns (uint256)
    {
        return fee;
    }

    function _tell(
        address sender,
        string calldata destinationChain,
        string calldata destinationAddress,
        bytes32 payloadHash,
        address refundAddress
    ) private {
        emit IAxelarGasService.NativeGasPaidForContractCall(
            sender, destinationChain, destinationAddress, payloadHash, msg.value, refundAddress
        );
    }
}
