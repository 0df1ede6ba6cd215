// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {AssetConfig, NATIVE, RAY, Reserve} from "../src/vault/VaultTypes.sol";
import {TestToken} from "../src/dev/TestToken.sol";
import {VaultFixture} from "./VaultFixture.sol";

contract FeeToken is TestToken("Fee", "FEE", 18) {
    function _update(address from, address to, uint256 value) internal override {
        if (from != address(0) && to != address(0)) {
            super._update(from, address(0xdead), value / 100);
            value -= value / 100;
        }
        super._update(from, to, value);
    }
}

/// @notice Supply and redeem, interest and its indexes.
contract VaultLendingTest is VaultFixture {
    function test_supply_gives_shares_and_redeem_returns_them() public {
        fund(bob, address(usdc), 500e6);
        uint64 seq = vault.seq();
        vm.expectEmit(address(vault));
        emit LiquiditySupplied(bob, address(usdc), 500e6, 500e6, 500e6, seq + 1);
        vm.prank(bob);
        assertEq(vault.supply(address(usdc), 500e6), 500e6);
        assertEq(vault.supplyOf(bob, address(usdc)), 500e6);
        vm.expectEmit(address(vault));
        emit LiquidityRedeemed(bob, address(usdc), 200e6, 200e6, 300e6, seq + 2);
        vm.prank(bob);
        vault.redeem(address(usdc), 200e6, alice);
        assertEq(usdc.balanceOf(alice), 200e6);
        vm.prank(bob);
        assertEq(vault.redeem(address(usdc), type(uint256).max, bob), 300e6);
        assertEq(vault.scaledSupplyOf(bob, address(usdc)), 0);
    }

    function test_native_supply_and_redeem() public {
        supply(bob, NATIVE, 2 ether);
        vm.prank(bob);
        vault.redeem(NATIVE, 1 ether, alice);
        assertEq(alice.balance, 1 ether);
    }

    function test_native_amount_must_match_the_value_and_tokens_take_no_value() public {
        vm.deal(bob, 2 ether);
        vm.startPrank(bob);
        vm.expectRevert(abi.encodeWithSelector(WrongValue.selector, 2 ether, 1 ether));
        vault.supply{value: 1 ether}(NATIVE, 2 ether);
        vm.expectRevert(abi.encodeWithSelector(WrongValue.selector, 1 ether, 2 ether));
        vault.depositCollateral{value: 2 ether}(NATIVE, 1 ether);
        vm.expectRevert(abi.encodeWithSelector(WrongValue.selector, 0, 1));
        vault.supply{value: 1}(address(usdc), 1e6);
        vm.stopPrank();
    }

    function test_zero_supply_and_zero_redemption_are_refused() public {
        vm.startPrank(lender);
        vm.expectRevert(ZeroAmount.selector);
        vault.supply(address(usdc), 0);
        vm.expectRevert(ZeroAmount.selector);
        vault.redeem(address(usdc), 0, lender);
        vm.expectRevert(ZeroAddress.selector);
        vault.redeem(address(usdc), 1e6, address(0));
        vm.stopPrank();
    }

    function test_redeem_more_than_held_is_refused() public {
        vm.prank(bob);
        vm.expectRevert(abi.encodeWithSelector(InsufficientBalance.selector, address(usdc), 0));
        vault.redeem(address(usdc), 1, bob);
    }

    /// Collateral is never lent: redeeming stops at the cash although the vault holds more of the token.
    function test_redeem_stops_at_cash_and_leaves_collateral_alone() public {
        deposit(bob, address(usdc), 1_000_000e6);
        deposit(alice, NATIVE, 1_000 ether);
        borrow(alice, address(usdc), 1_500_000e6);
        vm.prank(lender);
        vm.expectRevert(abi.encodeWithSelector(InsufficientLiquidity.selector, address(usdc), 500_000e6));
        vault.redeem(address(usdc), type(uint256).max, lender);
        vm.prank(bob);
        vault.withdrawCollateral(address(usdc), 1_000_000e6, bob);
        assertSolvent();
    }

    function test_fee_on_transfer_is_refused() public {
        FeeToken token = new FeeToken();
        configure(address(token), assetConfig(address(usdcFeed), 5_000, 6_000, 500));
        token.mint(bob, 100 ether);
        vm.startPrank(bob);
        token.approve(address(vault), type(uint256).max);
        bytes memory expected = abi.encodeWithSelector(TransferShortfall.selector, address(token), 100 ether, 99 ether);
        vm.expectRevert(expected);
        vault.supply(address(token), 100 ether);
        vm.expectRevert(expected);
        vault.depositCollateral(address(token), 100 ether);
        vm.stopPrank();
    }

    function test_supply_cap_counts_collateral_and_liquidity() public {
        AssetConfig memory config = vault.configOf(address(usdc));
        config.supplyCap = 2_000_100e6;
        configure(address(usdc), config);
        deposit(bob, address(usdc), 60e6);
        supply(bob, address(usdc), 40e6);
        fund(bob, address(usdc), 2);
        bytes memory expected = abi.encodeWithSelector(SupplyCapExceeded.selector, address(usdc), 2_000_100e6);
        vm.startPrank(bob);
        vm.expectRevert(expected);
        vault.supply(address(usdc), 1);
        vm.expectRevert(expected);
        vault.depositCollateral(address(usdc), 1);
        vm.stopPrank();
    }

    /// Utilisation 40 % of an optimum of 80 %: half of the first slope of 4 %, so 2 % a year.
    function test_rate_below_the_kink() public {
        deposit(alice, NATIVE, 1_000 ether);
        borrow(alice, address(usdc), 800_000e6);
        assertEq(vault.reserveOf(address(usdc)).borrowRatePerSecond, RAY * 2 / 100 / uint256(365 days));
    }

    /// Utilisation 90 %: the whole first slope and half of the second: 4 % + 37.5 %.
    function test_rate_above_the_kink() public {
        deposit(alice, NATIVE, 2_000 ether);
        borrow(alice, address(usdc), 1_800_000e6);
        assertEq(vault.reserveOf(address(usdc)).borrowRatePerSecond, RAY * 415 / 1_000 / uint256(365 days));
    }

    /// The published law: index(t) = index x (RAY + rate x elapsed) / RAY, debt(t) = ceil(scaled x index(t) / RAY).
    function test_indexes_follow_the_published_law() public {
        deposit(alice, NATIVE, 1_000 ether);
        borrow(alice, address(usdc), 800_000e6);
        Reserve memory before = vault.reserveOf(address(usdc));
        pass(365 days);
        uint256 index = before.borrowIndex * (RAY + before.borrowRatePerSecond * 365 days) / RAY;
        uint256 debt = (800_000e6 * index + RAY - 1) / RAY;
        assertEq(vault.debtOf(alice, address(usdc)), debt);
        assertApproxEqAbs(debt, 816_000e6, 1);
        uint256 interest = 800_000e6 * index / RAY - 800_000e6;
        uint256 supplyIndex = RAY + interest * RAY / (2_000_000e6 + 1e6);
        uint256 rate = rateBelowKink(1_200_000e6, 800_000e6 * index / RAY);
        uint64 seq = vault.seq();
        vm.expectEmit(address(vault));
        emit IndexUpdated(address(usdc), supplyIndex, index, rate, block.timestamp, seq + 1);
        vault.accrue(address(usdc));
        assertEq(vault.debtOf(alice, address(usdc)), debt);
    }

    function rateBelowKink(uint256 cash, uint256 debt) private pure returns (uint256) {
        uint256 utilisation = debt * RAY / (cash + debt);
        return 400 * (utilisation * RAY / (RAY * 8 / 10)) / (10_000 * uint256(365 days));
    }

    function test_accrual_in_the_same_second_says_nothing() public {
        vault.accrue(address(usdc));
        vm.recordLogs();
        vault.accrue(address(usdc));
        assertEq(vm.getRecordedLogs().length, 0);
    }

    function test_views_accrue_without_a_transaction() public {
        deposit(alice, NATIVE, 1_000 ether);
        borrow(alice, address(usdc), 1_000_000e6);
        pass(100 days);
        uint256 debt = vault.debtOf(alice, address(usdc));
        uint256 owned = vault.supplyOf(lender, address(usdc));
        vault.accrue(address(usdc));
        assertEq(vault.debtOf(alice, address(usdc)), debt);
        assertEq(vault.supplyOf(lender, address(usdc)), owned);
        assertGt(owned, 2_000_000e6);
    }
}
