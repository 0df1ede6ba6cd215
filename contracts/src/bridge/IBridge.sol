// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @notice One bridge behind the router. An adapter knows its bridge's names and addresses, and no application.
interface IBridge {
    /// @notice Carries `payload` to the router of `dstChainId`; the router's call alone. `msg.value` pays; what is not
    /// needed returns to `refundTo`.
    function send(uint64 dstChainId, bytes calldata payload, address refundTo) external payable;

    function quote(uint64 dstChainId, bytes calldata payload) external view returns (uint256 fee);
}

/// @notice What an adapter tells the router of a payload that its bridge delivered from the trusted peer of a chain.
interface IBridgeInbox {
    /// @notice Never reverts for what the payload says: it applies, stores or refuses, and tells by an event.
    function receivePayload(uint64 srcChainId, bytes calldata payload) external;
}
