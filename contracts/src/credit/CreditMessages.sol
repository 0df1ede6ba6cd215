// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IBridgeRouter, Outbound} from "../bridge/IBridgeRouter.sol";
import {CrossChainVault} from "../CrossChainVault.sol";
import {ICreditEvents} from "./ICreditEvents.sol";

/// @notice What both halves stand on: the vault of this chain, the router to the others, and the events' numbers.
abstract contract CreditMessages is ICreditEvents {
    CrossChainVault public immutable vault;
    IBridgeRouter public immutable router;

    /// @notice The number of the last event: every event carries its own, from 1 and without gaps.
    uint64 public seq;

    constructor(CrossChainVault vault_, IBridgeRouter router_) {
        if (address(vault_) == address(0) || address(router_) == address(0)) revert ZeroAddress();
        vault = vault_;
        router = router_;
    }

    function _nextSeq() internal returns (uint64) {
        return ++seq;
    }

    /// @dev The whole `msg.value` pays the bridge; the router returns the rest to the caller.
    function _send(Outbound memory message) internal returns (bytes32 id) {
        return router.send{value: msg.value}(message, msg.sender);
    }
}
