// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Alone, ComparedOracle} from "../../src/oracle/ComparedOracle.sol";
import {IPriceOracle} from "../../src/oracle/IPriceOracle.sol";
import {VaultFixture} from "../VaultFixture.sol";
import {TwoSources} from "./ComparedOracle.t.sol";

/// @notice The vault reads a compared oracle as it reads any feed. WETH at 2,000, 10 deposited against 5,000 USDC.
contract VaultOnOracleTest is VaultFixture, TwoSources {
    ComparedOracle private oracle;
    uint256 private opened;

    function setUp() public override {
        super.setUp();
        openSources();
        oracle = compared(Alone.NoPrice);
        configure(address(weth), assetConfig(address(oracle), 7_500, 8_000, 750));
        deposit(alice, address(weth), 10 ether);
        deposit(bob, address(weth), 10 ether);
        borrow(alice, address(usdc), 5_000e6);
        opened = block.timestamp;
    }

    function test_the_vault_values_by_the_oracle() public view {
        assertEq(vault.valueOf(alice).collateralUsd, 20_000e8);
        assertEq(vault.healthFactor(alice), 3.2e18);
    }

    function test_a_source_that_is_down_stops_borrowing_and_withdrawing_while_repaying_goes_on() public {
        skip(5 minutes + 1);
        bytes memory stale = abi.encodeWithSelector(IPriceOracle.Stale.selector, pyth, opened);
        stopsAndGoesOn(abi.encodeWithSelector(IPriceOracle.SourceDown.selector, second, stale));
        pyth.publish(ETH_USD, 2_000e8, 0, -8);
        borrow(alice, address(usdc), 1e6);
    }

    function test_sources_that_disagree_stop_borrowing_and_withdrawing_while_repaying_goes_on() public {
        skip(1);
        pyth.publish(ETH_USD, 1_900e8, 0, -8);
        stopsAndGoesOn(abi.encodeWithSelector(IPriceOracle.SourcesDisagree.selector, 2_000e18, 1_900e18));
    }

    function test_a_wide_confidence_interval_stops_borrowing_and_withdrawing_while_repaying_goes_on() public {
        skip(1);
        pyth.publish(ETH_USD, 2_000e8, 21e8, -8);
        bytes memory wide = abi.encodeWithSelector(IPriceOracle.ConfidenceTooWide.selector, pyth, 21e8, 2_000e8);
        stopsAndGoesOn(abi.encodeWithSelector(IPriceOracle.SourceDown.selector, second, wide));
    }

    function stopsAndGoesOn(bytes memory reason) private {
        vm.startPrank(alice);
        vm.expectRevert(reason);
        vault.borrow(address(usdc), 1e6, alice);
        vm.expectRevert(reason);
        vault.withdrawCollateral(address(weth), 1, alice);
        vm.stopPrank();
        vm.expectRevert(reason);
        vault.liquidate(alice, address(usdc), address(weth), 1e6);

        assertEq(repay(alice, address(usdc), 1_000e6), 1_000e6);
        deposit(alice, address(weth), 1 ether);
        supply(bob, address(weth), 1 ether);
        vm.prank(bob);
        vault.withdrawCollateral(address(weth), 10 ether, bob);
    }
}
