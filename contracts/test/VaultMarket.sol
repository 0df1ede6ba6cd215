// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {NATIVE} from "../src/vault/VaultTypes.sol";
import {MockV3Aggregator} from "../src/dev/TestFeed.sol";
import {VaultFixture} from "./VaultFixture.sol";
import {VaultHandler} from "./VaultHandler.sol";

/// @notice The vault of `VaultFixture` behind a handler that acts for everybody.
abstract contract VaultMarket is VaultFixture {
    VaultHandler internal handler;

    function setUp() public virtual override {
        super.setUp();
        address[] memory tokens = new address[](4);
        (tokens[0], tokens[1], tokens[2], tokens[3]) = (NATIVE, address(weth), address(usdc), address(wbtc));
        MockV3Aggregator[] memory feeds = new MockV3Aggregator[](4);
        (feeds[0], feeds[1], feeds[2], feeds[3]) = (nativeFeed, wethFeed, usdcFeed, wbtcFeed);
        handler = new VaultHandler(vault, credit, risk, locker, tokens, feeds);
    }
}
