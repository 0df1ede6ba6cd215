// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {BaseAmplifierGateway} from "@axelar-network/axelar-gmp-sdk-solidity/contracts/gateway/BaseAmplifierGateway.sol";
import {Message} from "@axelar-network/axelar-gmp-sdk-solidity/contracts/types/AmplifierGatewayTypes.sol";

/// @notice For local chains only: Axelar's own amplifier gateway, whose relayer's word stands in for the verifiers'.
contract DevAmplifierGateway is BaseAmplifierGateway {
    error NotRelayer(address sender);

    address public immutable relayer = msg.sender;

    function approveMessages(Message[] calldata messages) external {
        if (msg.sender != relayer) revert NotRelayer(msg.sender);
        _approveMessages(messages);
    }
}
