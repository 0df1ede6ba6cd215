// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {AccountValue, AssetConfig, BPS, NATIVE, RAY, Reserve} from "../src/vault/VaultTypes.sol";
import {VaultFixture} from "./VaultFixture.sol";

/// @notice Who can be liquidated, for how much, what is seized, and who bears a loss.
contract VaultLiquidationTest is VaultFixture {
    /// 10 WETH (threshold 80 %, bonus 7.5 %) against 15,000 USDC.
    function openWeth() private {
        deposit(alice, address(weth), 10 ether);
        borrow(alice, address(usdc), 15_000e6);
    }

    function test_a_health_factor_of_exactly_one_is_safe() public {
        openWeth();
        wethFeed.updateAnswer(1_875e8);
        assertEq(vault.healthFactor(alice), 1e18);
        fund(liquidator, address(usdc), 1e6);
        vm.prank(liquidator);
        vm.expectRevert(abi.encodeWithSelector(NotLiquidatable.selector, alice, 1e18));
        vault.liquidate(alice, address(usdc), address(weth), 1e6);
        // The display still rounds to 1 while the exact comparison already says unsafe.
        wethFeed.updateAnswer(1_875e8 - 1);
        liquidate(alice, address(usdc), address(weth), 1e6);
    }

    function test_half_of_the_debt_above_a_health_factor_of_095() public {
        openWeth();
        wethFeed.updateAnswer(1_800e8); // 0.96
        uint256 seized = uint256(7_500e18) * 1_075 / 1_000 / 1_800;
        fund(liquidator, address(usdc), 15_000e6);
        uint64 seq = vault.seq() + 1;
        vm.expectEmit(address(vault));
        emit Liquidated(
            alice, address(usdc), address(weth), liquidator, 7_500e6, 7_500e6, seized, 7_500e6, 10 ether - seized, seq
        );
        vm.prank(liquidator);
        vault.liquidate(alice, address(usdc), address(weth), 15_000e6);
        assertEq(weth.balanceOf(liquidator), seized);
        assertEq(usdc.balanceOf(liquidator), 7_500e6);
        assertEq(vault.debtOf(alice, address(usdc)), 7_500e6);
        assertEq(vault.collateralOf(alice, address(weth)), 10 ether - seized);
        assertSolvent();
    }

    function test_all_of_the_debt_at_a_health_factor_of_095() public {
        openWeth();
        wethFeed.updateAnswer(1_781.25e8); // exactly 0.95
        assertEq(vault.healthFactor(alice), 0.95e18);
        (uint256 repaid,) = liquidate(alice, address(usdc), address(weth), type(uint128).max);
        assertEq(repaid, 15_000e6);
        assertEq(vault.debtOf(alice, address(usdc)), 0);
    }

    function test_small_debts_are_closed_whole() public {
        AssetConfig memory config = vault.configOf(address(usdc));
        config.minBorrow = 7_500e6;
        configure(address(usdc), config);
        openWeth();
        wethFeed.updateAnswer(1_800e8);
        (uint256 repaid,) = liquidate(alice, address(usdc), address(weth), 15_000e6);
        assertEq(repaid, 15_000e6);
    }

    function test_native_collateral_is_liquidated() public {
        deposit(alice, NATIVE, 10 ether);
        borrow(alice, address(usdc), 16_000e6);
        nativeFeed.updateAnswer(1_900e8);
        (uint256 repaid, uint256 seized) = liquidate(alice, address(usdc), NATIVE, 4_000e6);
        assertEq(repaid, 4_000e6);
        assertEq(liquidator.balance, seized);
        assertEq(seized, uint256(4_200e18) / 1_900);
    }

    function test_native_debt_is_liquidated_and_the_rest_of_the_value_returned() public {
        deposit(alice, address(usdc), 100_000e6);
        borrow(alice, NATIVE, 40 ether);
        nativeFeed.updateAnswer(2_200e8);
        (uint256 repaid, uint256 seized) = liquidate(alice, NATIVE, address(usdc), 30 ether);
        assertEq(repaid, 20 ether);
        assertEq(liquidator.balance, 10 ether);
        assertEq(usdc.balanceOf(liquidator), seized);
        assertEq(seized, 45_760e6);
    }

    function test_the_same_asset_on_both_sides() public {
        deposit(alice, address(weth), 10 ether);
        borrow(alice, address(weth), 7.5 ether);
        AssetConfig memory config = vault.configOf(address(weth));
        config.ltvBps = 6_000;
        config.liquidationThresholdBps = 7_000;
        configure(address(weth), config);
        uint256 before = vault.healthFactor(alice);
        liquidate(alice, address(weth), address(weth), 1 ether);
        assertGt(vault.healthFactor(alice), before);
        assertSolvent();
    }

    function test_refusals() public {
        openWeth();
        deposit(alice, address(usdc), 1e6);
        wethFeed.updateAnswer(1_700e8);
        fund(liquidator, address(usdc), 1e6);
        vm.startPrank(liquidator);
        vm.expectRevert(abi.encodeWithSelector(NoDebt.selector, alice, address(wbtc)));
        vault.liquidate(alice, address(wbtc), address(weth), 1e6);
        vm.expectRevert(abi.encodeWithSelector(NothingToLiquidate.selector, alice));
        vault.liquidate(alice, address(usdc), address(wbtc), 1e6);
        vm.expectRevert(abi.encodeWithSelector(NothingToLiquidate.selector, alice));
        vault.liquidate(alice, address(usdc), address(weth), 0);
        vm.deal(liquidator, 1);
        vm.expectRevert(abi.encodeWithSelector(WrongValue.selector, 0, 1));
        vault.liquidate{value: 1}(alice, address(usdc), address(weth), 1e6);
        vm.stopPrank();
    }

    /// 10 WETH at 1,505 cover the debt of 15,000 but not the bonus of 7.5 % on top. The liquidator keeps its bonus, and
    /// what that leaves unpaid is written off in proportion with each step.
    function test_bad_debt_is_written_off_in_proportion_to_what_is_sold() public {
        openWeth();
        wethFeed.updateAnswer(1_505e8); // 15,050: proceeds at the bonus are 14,000
        uint256 before = vault.healthFactor(alice);
        (uint256 repaid, uint256 seized) = liquidate(alice, address(usdc), address(weth), 7_000e6);
        assertEq(repaid, 7_000e6);
        assertApproxEqAbs(seized, 5 ether, 1e9);
        assertApproxEqAbs(vault.debtOf(alice, address(usdc)), 7_500e6, 1);
        assertGe(vault.healthFactor(alice), before);
        assertApproxEqAbs(vault.supplyOf(lender, address(usdc)), 2_000_000e6 - 500e6, 2);
        assertSolvent();
    }

    function test_write_off_event_and_supply_index() public {
        openWeth();
        wethFeed.updateAnswer(1_075e8); // 10,750: proceeds 10,000 of 15,000
        fund(liquidator, address(usdc), 15_000e6);
        uint64 seq = vault.seq();
        vm.expectEmit(address(vault));
        emit BadDebtWrittenOff(alice, address(usdc), 5_000e6, 5_000e6, 0, seq + 2);
        vm.expectEmit(address(vault));
        uint256 index = (2_000_000e6 - 5_000e6) * RAY / 2_000_000e6;
        emit IndexUpdated(address(usdc), index, RAY, 0, block.timestamp, seq + 3);
        vm.prank(liquidator);
        (uint256 repaid, uint256 seized) = vault.liquidate(alice, address(usdc), address(weth), 15_000e6);
        assertEq(repaid, 10_000e6);
        assertEq(seized, 10 ether);
        assertEq(vault.assetsOf(alice).length, 0);
        assertEq(vault.supplyOf(lender, address(usdc)), 1_995_000e6);
        assertSolvent();
    }

    /// Two debts, collateral for two thirds: selling all of it through one debt leaves the same ratio for the other.
    function test_lenders_of_every_debt_bear_the_same_ratio() public {
        deposit(alice, address(weth), 10 ether);
        borrow(alice, address(usdc), 7_500e6);
        borrow(alice, address(wbtc), 0.15e8); // 7,500 USD
        wethFeed.updateAnswer(1_075e8);
        (uint256 repaidUsdc,) = liquidate(alice, address(usdc), address(weth), 15_000e6);
        assertApproxEqAbs(repaidUsdc, 5_000e6, 1);
        (uint256 repaidWbtc,) = liquidate(alice, address(wbtc), address(weth), 1e8);
        assertApproxEqAbs(repaidWbtc, 0.1e8, 1);
        assertApproxEqAbs(vault.supplyOf(lender, address(usdc)), 2_000_000e6 - 2_500e6, 2);
        assertApproxEqAbs(vault.supplyOf(lender, address(wbtc)), 40e8 - 0.05e8, 2);
        assertEq(vault.debtOf(alice, address(usdc)), 0);
        assertEq(vault.debtOf(alice, address(wbtc)), 0);
        assertSolvent();
    }

    /// Collateral with a high threshold seized first would lower the health factor: refused, the other one goes.
    function test_collateral_out_of_order_is_refused() public {
        deposit(alice, address(usdc), 10_000e6); // threshold 85 %
        deposit(alice, address(wbtc), 0.4e8); // 20,000 USD, threshold 75 %
        borrow(alice, NATIVE, 10.6 ether); // 21,200 USD
        nativeFeed.updateAnswer(2_500e8); // 26,500; threshold 23,500
        uint256 before = vault.healthFactor(alice);
        AssetConfig memory config = vault.configOf(address(usdc));
        config.liquidationThresholdBps = 9_500;
        config.liquidationBonusBps = 100;
        configure(address(usdc), config);
        fund(liquidator, NATIVE, 5 ether);
        vm.prank(liquidator);
        vm.expectRevert(abi.encodeWithSelector(LiquidationAtLoss.selector, address(usdc)));
        vault.liquidate{value: 5 ether}(alice, NATIVE, address(usdc), 5 ether);
        liquidate(alice, NATIVE, address(wbtc), 5 ether);
        assertGt(vault.healthFactor(alice), before);
    }

    /// The bonus shrinks where the whole of it would lower the health factor.
    function test_the_bonus_shrinks_before_the_health_factor_falls() public {
        deposit(alice, address(usdc), 10_000e6);
        deposit(alice, address(wbtc), 0.4e8);
        borrow(alice, NATIVE, 10.6 ether);
        nativeFeed.updateAnswer(2_520e8); // 26,712; threshold 23,500; 0.8797 / 0.85 = 1.035 < 1.04
        uint256 before = vault.healthFactor(alice);
        (uint256 repaid, uint256 seized) = liquidate(alice, NATIVE, address(usdc), 1 ether);
        assertEq(repaid, 1 ether);
        assertGt(seized, 2_520e6);
        assertLt(seized, uint256(2_520e6) * 104 / 100);
        assertGe(vault.healthFactor(alice), before);
    }

    /// A credit line has no collateral to sell: it stays owed until the desk withdraws the line.
    function test_a_credit_line_is_not_written_off_until_it_is_withdrawn() public {
        vm.prank(credit);
        vault.setCreditLine(alice, 10_000e8);
        borrow(alice, address(usdc), 10_000e6);
        vm.prank(credit);
        vault.setCreditLine(alice, 1e8);
        vm.prank(liquidator);
        vm.expectRevert(abi.encodeWithSelector(NothingToLiquidate.selector, alice));
        vault.liquidate(alice, address(usdc), address(weth), 1e6);
        vm.prank(risk);
        vm.expectRevert(abi.encodeWithSelector(StillBacked.selector, alice));
        vault.writeOffBadDebt(alice);
        vm.prank(credit);
        vault.setCreditLine(alice, 0);
        uint64 seq = vault.seq();
        vm.expectEmit(address(vault));
        emit BadDebtWrittenOff(alice, address(usdc), 10_000e6, 10_000e6, 0, seq + 1);
        vm.prank(risk);
        vault.writeOffBadDebt(alice);
        assertEq(vault.supplyOf(lender, address(usdc)), 1_990_000e6);
        assertSolvent();
    }

    function test_only_what_nothing_backs_is_written_off() public {
        openWeth();
        bytes memory expected = abi.encodeWithSelector(StillBacked.selector, alice);
        vm.startPrank(risk);
        vm.expectRevert(expected);
        vault.writeOffBadDebt(alice);
        vm.expectRevert(abi.encodeWithSelector(StillBacked.selector, bob));
        vault.writeOffBadDebt(bob);
        vm.stopPrank();
    }

    /// All collateral of the account goes, in two assets, and the last step leaves neither debt nor collateral.
    function test_nothing_is_left_of_a_wiped_out_account() public {
        deposit(alice, address(weth), 5 ether);
        deposit(alice, NATIVE, 5 ether);
        borrow(alice, address(usdc), 15_000e6);
        wethFeed.updateAnswer(700e8);
        nativeFeed.updateAnswer(700e8);
        liquidate(alice, address(usdc), address(weth), 15_000e6);
        liquidate(alice, address(usdc), NATIVE, 15_000e6);
        assertEq(vault.debtOf(alice, address(usdc)), 0);
        assertEq(vault.valueOf(alice).collateralUsd, 0);
        assertSolvent();
    }

    /// The whole market lent out and lost: shares are worth nothing and new money is refused.
    function test_a_wiped_out_market_takes_no_new_money() public {
        vm.prank(credit);
        vault.setCreditLine(alice, 2_000_000e8);
        borrow(alice, address(usdc), 2_000_000e6);
        vm.prank(credit);
        vault.setCreditLine(alice, 0);
        vm.prank(risk);
        vault.writeOffBadDebt(alice);
        assertEq(vault.supplyOf(lender, address(usdc)), 0);
        fund(bob, address(usdc), 1e6);
        vm.prank(bob);
        vm.expectRevert(abi.encodeWithSelector(MarketWipedOut.selector, address(usdc)));
        vault.supply(address(usdc), 1e6);
        assertSolvent();
    }
}
