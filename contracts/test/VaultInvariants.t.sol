// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {NATIVE, Reserve} from "../src/vault/VaultTypes.sol";
import {MockV3Aggregator} from "../src/dev/TestFeed.sol";
import {VaultFixture} from "./VaultFixture.sol";
import {VaultHandler} from "./VaultHandler.sol";

abstract contract VaultMarket is VaultFixture {
    VaultHandler internal handler;

    function setUp() public virtual override {
        super.setUp();
        address[] memory tokens = new address[](4);
        (tokens[0], tokens[1], tokens[2], tokens[3]) = (NATIVE, address(weth), address(usdc), address(wbtc));
        MockV3Aggregator[] memory feeds = new MockV3Aggregator[](4);
        (feeds[0], feeds[1], feeds[2], feeds[3]) = (nativeFeed, wethFeed, usdcFeed, wbtcFeed);
        handler = new VaultHandler(vault, credit, risk, tokens, feeds);
    }
}

/// @notice After any sequence of actions with moving prices: the vault is solvent and its sums are the sums of its
/// accounts. That a liquidation never lowers a health factor, and that nothing panics, the handler checks at each step.
contract VaultInvariantsTest is VaultMarket {
    function setUp() public override {
        super.setUp();
        targetContract(address(handler));
    }

    function invariant_books() public view {
        assertSolvent();
        for (uint256 k = 0; k < 4; ++k) assertSums(handler.tokens(k));
        for (uint256 i = 0; i < handler.actorCount(); ++i) assertAssets(handler.actors(i));
    }

    function assertSums(address token) private view {
        uint256 collateral;
        uint256 debt;
        uint256 shares;
        for (uint256 i = 0; i < handler.actorCount(); ++i) {
            address actor = handler.actors(i);
            collateral += vault.collateralOf(actor, token);
            debt += vault.scaledDebtOf(actor, token);
            shares += vault.scaledSupplyOf(actor, token);
        }
        Reserve memory reserve = vault.reserveOf(token);
        assertEq(collateral, reserve.collateral, "collateral");
        assertEq(debt, reserve.scaledDebt, "debt");
        assertEq(shares, reserve.scaledSupply, "supply");
    }

    function assertAssets(address actor) private view {
        uint256 held;
        for (uint256 k = 0; k < 4; ++k) {
            address token = handler.tokens(k);
            if (vault.collateralOf(actor, token) != 0 || vault.scaledDebtOf(actor, token) != 0) ++held;
        }
        assertEq(vault.assetsOf(actor).length, held, "assets");
    }
}
