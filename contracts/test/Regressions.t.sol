// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {NATIVE} from "../src/vault/VaultTypes.sol";
import {VaultFixture} from "./VaultFixture.sol";

/// @notice Flaws that comparable designs fell to, each as the attack that would succeed against them.
contract RegressionsTest is VaultFixture {
    /// Debt stored in USD at borrow time: the debt asset triples and the health factor does not move.
    function test_debt_is_repriced_when_its_asset_rises() public {
        deposit(alice, address(usdc), 100_000e6);
        borrow(alice, address(weth), 20 ether);
        assertEq(vault.healthFactor(alice), 2.125e18);
        wethFeed.updateAnswer(6_000e8);
        assertEq(vault.healthFactor(alice), 0.708333333333333333e18);
    }

    /// Repaying one debt at a higher price erases another.
    function test_repaying_one_debt_leaves_the_others() public {
        deposit(alice, address(wbtc), 10e8);
        borrow(alice, address(weth), 20 ether);
        borrow(alice, address(usdc), 40_000e6);
        wethFeed.updateAnswer(4_000e8);
        repay(alice, address(weth), 20 ether);
        assertEq(vault.debtOf(alice, address(weth)), 0);
        assertEq(vault.debtOf(alice, address(usdc)), 40_000e6);
        assertEq(vault.valueOf(alice).debtUsd, 40_000e8);
    }

    /// Full repayment at a lower price leaves ghost debt and locks the collateral.
    function test_full_repayment_at_a_lower_price_frees_everything() public {
        deposit(alice, address(usdc), 100_000e6);
        borrow(alice, address(weth), 20 ether);
        wethFeed.updateAnswer(1_000e8);
        repay(alice, address(weth), 20 ether);
        vm.prank(alice);
        vault.withdrawCollateral(address(usdc), 100_000e6, alice);
        assertEq(vault.assetsOf(alice).length, 0);
    }

    /// Native collateral cannot be liquidated.
    function test_native_collateral_is_liquidated_to_the_last_wei() public {
        deposit(alice, NATIVE, 10 ether);
        borrow(alice, address(usdc), 16_000e6);
        nativeFeed.updateAnswer(1_000e8);
        (, uint256 seized) = liquidate(alice, address(usdc), NATIVE, 16_000e6);
        assertEq(seized, 10 ether);
        assertEq(liquidator.balance, 10 ether);
    }

    /// Interest is claimable by nobody: here what the borrower pays above the principal, the lenders redeem.
    function test_interest_reaches_the_lenders() public {
        deposit(alice, NATIVE, 1_000 ether);
        borrow(alice, address(usdc), 1_000_000e6);
        pass(365 days);
        uint256 interest = repay(alice, address(usdc), 1_100_000e6) - 1_000_000e6;
        assertGt(interest, 20_000e6);
        vm.prank(lender);
        uint256 redeemed = vault.redeem(address(usdc), type(uint256).max, lender);
        // Virtual shares keep 1e6 / 2e12 of the interest; rounding keeps the rest.
        assertApproxEqAbs(redeemed - 2_000_000e6, interest, interest / 2_000_000 + 2);
    }

    /// Native borrow and repay always revert because the oracle refuses the native asset.
    function test_native_borrow_and_repay() public {
        deposit(alice, address(usdc), 100_000e6);
        borrow(alice, NATIVE, 10 ether);
        assertEq(alice.balance, 10 ether);
        vm.prank(alice);
        vault.repay{value: 10 ether}(NATIVE, 10 ether, alice);
        assertEq(vault.debtOf(alice, NATIVE), 0);
    }

    /// Liquidation underflows when the debt asset rose.
    function test_liquidation_after_the_debt_asset_rose() public {
        deposit(alice, address(usdc), 100_000e6);
        borrow(alice, address(weth), 20 ether);
        for (uint256 price = 4_300e8; price < 20_000e8; price += 1_000e8) {
            wethFeed.updateAnswer(int256(price));
            uint256 before = vault.healthFactor(alice);
            liquidate(alice, address(weth), address(usdc), 0.3 ether);
            assertGe(vault.healthFactor(alice), before);
        }
        assertSolvent();
    }

    /// First-lender share inflation: donate and grow the index so that the next lender's shares round to nothing.
    function test_share_inflation_gains_nothing() public {
        vm.prank(lender);
        vault.redeem(address(wbtc), type(uint256).max, lender);
        supply(bob, address(wbtc), 1);
        wbtc.mint(address(vault), 100e8);
        deposit(bob, address(weth), 1_000 ether);
        borrow(bob, address(wbtc), 1);
        pass(365 days);
        uint256 scaled = supply(alice, address(wbtc), 1e8);
        assertApproxEqAbs(vault.supplyOf(alice, address(wbtc)), 1e8, 1);
        assertGt(scaled, 0.99e8);
        repay(bob, address(wbtc), 10);
        vm.prank(alice);
        assertApproxEqAbs(vault.redeem(address(wbtc), type(uint256).max, alice), 1e8, 1);
    }
}
