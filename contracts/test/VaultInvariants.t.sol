// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Reserve} from "../src/vault/VaultTypes.sol";
import {Action} from "./VaultHandler.sol";
import {VaultMarket} from "./VaultMarket.sol";

/// @notice After any sequence of actions with moving prices: the vault is solvent and its sums are the sums of its
/// accounts. That a liquidation never lowers a health factor, and that nothing panics, the handler checks at each step.
contract VaultInvariantsTest is VaultMarket {
    /// @dev Successes of each action that a run of the configured depth must have, a few times less than it has.
    uint256 private constant ENOUGH = 15;
    uint256 private constant RARE = 1;

    function setUp() public override {
        super.setUp();
        targetContract(address(handler));
    }

    function invariant_books() public view {
        assertSolvent();
        for (uint256 k = 0; k < 4; ++k) assertSums(handler.tokens(k));
        for (uint256 i = 0; i < handler.actorCount(); ++i) assertAssets(handler.actors(i));
    }

    /// @dev Laws that nothing happened under would hold as well.
    function afterInvariant() public view {
        for (uint256 i = 0; i <= uint256(type(Action).max); ++i) {
            Action action = Action(i);
            uint256 least = action == Action.WriteOff ? RARE : ENOUGH;
            assertGe(handler.done(action), least, string.concat("too few successes of action ", vm.toString(i)));
        }
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
