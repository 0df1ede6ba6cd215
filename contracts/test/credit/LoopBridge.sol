// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Address} from "@openzeppelin/contracts/utils/Address.sol";
import {IBridge, IBridgeInbox} from "../../src/bridge/IBridge.sol";

/// @notice A bridge whose transport is the test: what is sent waits in `sent`, and the test delivers to any chain's
/// bridge when, as often and in whatever order it wants.
contract LoopBridge is IBridge {
    uint256 public constant FEE = 0.01 ether;

    IBridgeInbox public immutable router;
    bytes[] public sent;

    error FeeTooLow(uint256 fee);

    constructor(IBridgeInbox router_) {
        router = router_;
    }

    function send(uint64, bytes calldata payload, address refundTo) external payable {
        if (msg.value < FEE) revert FeeTooLow(FEE);
        sent.push(payload);
        if (msg.value > FEE) Address.sendValue(payable(refundTo), msg.value - FEE);
    }

    function quote(uint64, bytes calldata) external pure returns (uint256 fee) {
        return FEE;
    }

    function sentCount() external view returns (uint256) {
        return sent.length;
    }

    function deliver(uint64 srcChainId, bytes calldata payload) external {
        router.receivePayload(srcChainId, payload);
    }
}
