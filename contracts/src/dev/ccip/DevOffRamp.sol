// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IAny2EVMMessageReceiver} from "@chainlink/contracts-ccip/contracts/interfaces/IAny2EVMMessageReceiver.sol";
import {IRouter} from "@chainlink/contracts-ccip/contracts/interfaces/IRouter.sol";
import {Client} from "@chainlink/contracts-ccip/contracts/libraries/Client.sol";
import {ERC165Checker} from "@openzeppelin/contracts/utils/introspection/ERC165Checker.sol";

/// @notice One message on its way into a receiver. `sender` is ABI-encoded.
struct Delivery {
    bytes32 messageId;
    bytes sender;
    bytes data;
    address receiver;
    uint256 gasLimit;
}

/// @notice What off-ramps of all versions have in common: how a message reaches its receiver, or is passed over.
abstract contract DevOffRamp {
    error ReceiverError(bytes returnData);
    error CanOnlySelfCall();
    error ExecutionError(bytes32 messageId, bytes returnData);

    uint16 private constant GAS_FOR_CALL_EXACT_CHECK = 5_000;

    IRouter public immutable router;
    uint64 public immutable sourceChainSelector;
    uint64 public immutable destChainSelector;
    address public immutable onRamp;

    constructor(IRouter router_, uint64 source, uint64 dest, address onRamp_) {
        router = router_;
        sourceChainSelector = source;
        destChainSelector = dest;
        onRamp = onRamp_;
    }

    modifier onlySelf() {
        if (msg.sender != address(this)) revert CanOnlySelfCall();
        _;
    }

    /// @notice Reverts with what the receiver reverted with. Like the vendor's it calls nobody, and so succeeds, when
    /// there is nothing to call with, no code, or no answer by ERC-165.
    function _deliver(Delivery memory delivery) internal {
        if (delivery.data.length == 0 && delivery.gasLimit == 0) return;
        if (delivery.receiver.code.length == 0) return;
        if (!ERC165Checker.supportsInterface(delivery.receiver, type(IAny2EVMMessageReceiver).interfaceId)) return;
        Client.Any2EVMMessage memory message = Client.Any2EVMMessage(
            delivery.messageId, sourceChainSelector, delivery.sender, delivery.data, new Client.EVMTokenAmount[](0)
        );
        (bool success, bytes memory answer,) =
            router.routeMessage(message, GAS_FOR_CALL_EXACT_CHECK, delivery.gasLimit, delivery.receiver);
        if (!success) revert ReceiverError(answer);
    }
}
