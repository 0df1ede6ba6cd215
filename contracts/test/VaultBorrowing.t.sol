// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {AccountValue, AssetConfig, BPS, NATIVE, RAY} from "../src/vault/VaultTypes.sol";
import {MockV3Aggregator} from "../src/dev/TestFeed.sol";
import {TestToken} from "../src/dev/TestToken.sol";
import {VaultFixture} from "./VaultFixture.sol";

contract Reenterer {
    address private immutable VAULT;
    bytes private call_;
    bytes public answer;

    constructor(address vault_) {
        VAULT = vault_;
    }

    function run(bytes calldata first, bytes calldata second, uint256 value) external {
        call_ = second;
        (bool ok,) = VAULT.call{value: value}(first);
        require(ok, "first call failed");
    }

    receive() external payable {
        if (call_.length == 0) return;
        (bool ok, bytes memory data) = VAULT.call(call_);
        require(!ok, "reentered");
        answer = data;
    }
}

/// @notice Collateral, debt, repayment, health factor, credit lines, prices that are not live.
contract VaultBorrowingTest is VaultFixture {
    function test_deposit_and_withdraw_tell_resulting_balances() public {
        fund(alice, address(weth), 10 ether);
        vm.startPrank(alice);
        uint64 seq = vault.seq();
        vm.expectEmit(address(vault));
        emit CollateralDeposited(alice, address(weth), 10 ether, 10 ether, seq + 1);
        vault.depositCollateral(address(weth), 10 ether);
        vm.expectEmit(address(vault));
        emit CollateralWithdrawn(alice, address(weth), bob, 4 ether, 6 ether, seq + 2);
        vault.withdrawCollateral(address(weth), 4 ether, bob);
        vm.stopPrank();
        assertEq(weth.balanceOf(bob), 4 ether);
        assertEq(vault.collateralOf(alice, address(weth)), 6 ether);
    }

    function test_borrow_and_repay_tell_scaled_amounts_and_balances() public {
        deposit(alice, address(weth), 10 ether);
        uint64 seq = vault.seq();
        vm.expectEmit(address(vault));
        emit Borrowed(alice, address(usdc), bob, 5_000e6, 5_000e6, 5_000e6, seq + 1);
        vm.prank(alice);
        vault.borrow(address(usdc), 5_000e6, bob);
        assertEq(usdc.balanceOf(bob), 5_000e6);
        fund(bob, address(usdc), 0);
        vm.expectEmit(address(vault));
        emit Repaid(alice, address(usdc), bob, 2_000e6, 2_000e6, 3_000e6, seq + 3);
        vm.prank(bob);
        assertEq(vault.repay(address(usdc), 2_000e6, alice), 2_000e6);
        assertEq(vault.debtOf(alice, address(usdc)), 3_000e6);
    }

    function test_scaled_amounts_after_interest_round_for_the_vault() public {
        deposit(alice, address(weth), 100 ether);
        borrow(alice, address(usdc), 50_000e6);
        pass(200 days);
        vault.accrue(address(usdc));
        uint256 index = vault.reserveOf(address(usdc)).borrowIndex;
        uint256 before = vault.scaledDebtOf(alice, address(usdc));
        borrow(alice, address(usdc), 1_000e6);
        uint256 scaled = vault.scaledDebtOf(alice, address(usdc)) - before;
        assertEq(scaled, (1_000e6 * RAY + index - 1) / index);
        assertEq(vault.debtOf(alice, address(usdc)), ((before + scaled) * index + RAY - 1) / RAY);
        repay(alice, address(usdc), 500e6);
        assertEq(vault.scaledDebtOf(alice, address(usdc)), before + scaled - 500e6 * RAY / index);
    }

    function test_repay_takes_at_most_the_debt() public {
        deposit(alice, address(weth), 10 ether);
        borrow(alice, address(usdc), 5_000e6);
        pass(10 days);
        uint256 debt = vault.debtOf(alice, address(usdc));
        fund(bob, address(usdc), 10_000e6);
        vm.prank(bob);
        assertEq(vault.repay(address(usdc), type(uint256).max, alice), debt);
        assertEq(usdc.balanceOf(bob), 10_000e6 - debt);
        assertEq(vault.debtOf(alice, address(usdc)), 0);
        assertEq(vault.healthFactor(alice), type(uint256).max);
        assertEq(vault.assetsOf(alice).length, 1);
    }

    function test_native_repay_returns_what_the_debt_does_not_need() public {
        deposit(alice, address(usdc), 100_000e6);
        borrow(alice, NATIVE, 10 ether);
        pass(10 days);
        uint256 debt = vault.debtOf(alice, NATIVE);
        vm.deal(bob, 20 ether);
        vm.prank(bob);
        vault.repay{value: 20 ether}(NATIVE, 20 ether, alice);
        assertEq(bob.balance, 20 ether - debt);
        vm.prank(bob);
        vm.expectRevert(abi.encodeWithSelector(NoDebt.selector, alice, NATIVE));
        vault.repay{value: 1 ether}(NATIVE, 1 ether, alice);
    }

    function test_native_repay_needs_the_value() public {
        deposit(alice, address(usdc), 100_000e6);
        borrow(alice, NATIVE, 10 ether);
        vm.deal(bob, 1 ether);
        vm.prank(bob);
        vm.expectRevert(abi.encodeWithSelector(WrongValue.selector, 2 ether, 1 ether));
        vault.repay{value: 1 ether}(NATIVE, 2 ether, alice);
    }

    function test_zero_amounts_are_refused() public {
        deposit(alice, address(weth), 10 ether);
        borrow(alice, address(usdc), 1_000e6);
        vm.startPrank(alice);
        vm.expectRevert(ZeroAmount.selector);
        vault.depositCollateral(address(weth), 0);
        vm.expectRevert(ZeroAmount.selector);
        vault.withdrawCollateral(address(weth), 0, alice);
        vm.expectRevert(ZeroAmount.selector);
        vault.borrow(address(usdc), 0, alice);
        vm.expectRevert(ZeroAmount.selector);
        vault.repay(address(usdc), 0, alice);
        vm.expectRevert(ZeroAddress.selector);
        vault.withdrawCollateral(address(weth), 1, address(0));
        vm.stopPrank();
    }

    function test_withdraw_more_than_held_is_refused() public {
        deposit(alice, address(weth), 1 ether);
        vm.prank(alice);
        vm.expectRevert(abi.encodeWithSelector(InsufficientBalance.selector, address(weth), 1 ether));
        vault.withdrawCollateral(address(weth), 2 ether, alice);
    }

    function test_an_asset_without_threshold_is_no_collateral() public {
        configure(address(usdc), assetConfig(address(usdcFeed), 0, 0, 0));
        fund(alice, address(usdc), 1e6);
        vm.prank(alice);
        vm.expectRevert(abi.encodeWithSelector(AssetNotCollateral.selector, address(usdc)));
        vault.depositCollateral(address(usdc), 1e6);
    }

    /// 10 WETH x 2,000 x 75 % = 15,000 USD of borrowing power; the threshold (80 %) gives none of it.
    function test_borrowing_stops_at_ltv_not_at_the_threshold() public {
        deposit(alice, address(weth), 10 ether);
        vm.startPrank(alice);
        vm.expectRevert(
            abi.encodeWithSelector(InsufficientBorrowingPower.selector, alice, 15_000e8, 15_000.000001e8)
        );
        vault.borrow(address(usdc), 15_000e6 + 1, alice);
        vault.borrow(address(usdc), 15_000e6, alice);
        vm.expectRevert(abi.encodeWithSelector(InsufficientBorrowingPower.selector, alice, 14_999.99999999e8, 15_000e8));
        vault.withdrawCollateral(address(weth), 1, alice);
        vm.stopPrank();
        assertEq(vault.healthFactor(alice), 1.066666666666666666e18);
    }

    function test_caps_and_minimum() public {
        AssetConfig memory config = vault.configOf(address(usdc));
        config.borrowCap = 2_000e6;
        config.minBorrow = 100e6;
        configure(address(usdc), config);
        deposit(alice, address(weth), 10 ether);
        vm.startPrank(alice);
        vm.expectRevert(abi.encodeWithSelector(BorrowTooSmall.selector, address(usdc), 100e6));
        vault.borrow(address(usdc), 100e6 - 1, alice);
        vm.expectRevert(abi.encodeWithSelector(BorrowCapExceeded.selector, address(usdc), 2_000e6));
        vault.borrow(address(usdc), 2_000e6 + 1, alice);
        vault.borrow(address(usdc), 2_000e6, alice);
        vm.stopPrank();
    }

    function test_borrowing_stops_at_the_cash() public {
        deposit(alice, NATIVE, 10_000 ether);
        vm.prank(alice);
        vm.expectRevert(abi.encodeWithSelector(InsufficientLiquidity.selector, address(usdc), 2_000_000e6));
        vault.borrow(address(usdc), 2_000_000e6 + 1, alice);
    }

    /// Health factor by hand: threshold = 10 x 2,000 x 80 % + 1 x 50,000 x 75 % = 53,500; debt 30,000 USD.
    function test_health_factor_of_mixed_collateral() public {
        deposit(alice, address(weth), 10 ether);
        deposit(alice, address(wbtc), 1e8);
        borrow(alice, address(usdc), 30_000e6);
        AccountValue memory value = vault.valueOf(alice);
        assertEq(value.collateralUsd, 70_000e8);
        assertEq(value.threshold, 53_500e8 * BPS);
        assertEq(value.borrowingPower, 50_000e8 * BPS);
        assertEq(value.debtUsd, 30_000e8);
        assertEq(vault.healthFactor(alice), uint256(53_500e18) / 30_000);
    }

    /// One base unit of a dear asset is a debt that counts: values of debt round up, those of collateral down.
    function test_debt_values_round_up_and_collateral_values_down() public {
        wethFeed.updateAnswer(1);
        deposit(alice, address(usdc), 100e6);
        borrow(alice, address(weth), 1);
        assertEq(vault.valueOf(alice).debtUsd, 1);
        deposit(bob, address(weth), 1e18 - 1);
        assertEq(vault.valueOf(bob).collateralUsd, 0);
    }

    function test_interest_counts_in_the_health_factor_without_a_transaction() public {
        deposit(alice, address(weth), 1_000 ether);
        borrow(alice, address(usdc), 1_500_000e6);
        uint256 before = vault.healthFactor(alice);
        pass(365 days);
        assertLt(vault.healthFactor(alice), before);
    }

    function test_credit_line_adds_to_power_and_threshold() public {
        uint64 seq = vault.seq();
        vm.expectEmit(address(vault));
        emit CreditLineSet(alice, 0, 10_000e8, seq + 1);
        vm.prank(credit);
        vault.setCreditLine(alice, 10_000e8);
        vm.prank(alice);
        vm.expectRevert(
            abi.encodeWithSelector(InsufficientBorrowingPower.selector, alice, 10_000e8, 10_000.000001e8)
        );
        vault.borrow(address(usdc), 10_000e6 + 1, alice);
        borrow(alice, address(usdc), 10_000e6);
        assertEq(vault.healthFactor(alice), 1e18);
        seq = vault.seq();
        vm.expectEmit(address(vault));
        emit CreditLineSet(alice, 10_000e8, 9_999e8, seq + 1);
        vm.prank(credit);
        vault.setCreditLine(alice, 9_999e8);
        assertEq(vault.healthFactor(alice), 0.9999e18);
        assertEq(vault.creditLineOf(alice), 9_999e8);
    }

    function test_an_account_holds_a_bounded_number_of_assets() public {
        for (uint256 i = 0; i < 16; ++i) {
            TestToken token = new TestToken("T", "T", 18);
            configure(address(token), assetConfig(address(usdcFeed), 5_000, 6_000, 500));
            deposit(alice, address(token), 1 ether);
        }
        fund(alice, address(weth), 1 ether);
        vm.prank(alice);
        vm.expectRevert(abi.encodeWithSelector(TooManyAssets.selector, alice));
        vault.depositCollateral(address(weth), 1 ether);
        address first = vault.assetsOf(alice)[0];
        vm.prank(alice);
        vault.withdrawCollateral(first, 1 ether, alice);
        vm.prank(alice);
        vault.depositCollateral(address(weth), 1 ether);
        assertEq(vault.assetsOf(alice).length, vault.MAX_ASSETS_PER_ACCOUNT());
    }

    function test_what_a_stale_feed_stops_and_what_goes_on() public {
        deposit(alice, address(weth), 10 ether);
        deposit(bob, address(weth), 10 ether);
        borrow(alice, address(usdc), 5_000e6);
        uint256 updated = block.timestamp;
        pass(HEARTBEAT);
        vault.healthFactor(alice);
        skip(HEARTBEAT + 1);
        usdcFeed.updateAnswer(1e8);
        bytes memory expected =
            abi.encodeWithSelector(StalePrice.selector, address(wethFeed), updated + HEARTBEAT);
        vm.startPrank(alice);
        vm.expectRevert(expected);
        vault.borrow(address(usdc), 1e6, alice);
        vm.expectRevert(expected);
        vault.withdrawCollateral(address(weth), 1, alice);
        vm.stopPrank();
        vm.expectRevert(expected);
        vault.healthFactor(alice);
        vm.expectRevert(expected);
        vault.liquidate(alice, address(usdc), address(weth), 1e6);

        repay(alice, address(usdc), 1_000e6);
        deposit(alice, address(weth), 1 ether);
        supply(bob, address(weth), 1 ether);
        vm.startPrank(bob);
        vault.redeem(address(weth), 1 ether, bob);
        vault.withdrawCollateral(address(weth), 10 ether, bob);
        vm.stopPrank();
    }

    function test_prices_not_positive_or_from_the_future_are_no_prices() public {
        deposit(alice, address(weth), 10 ether);
        borrow(alice, address(usdc), 5_000e6);
        wethFeed.updateAnswer(0);
        vm.startPrank(alice);
        vm.expectRevert(abi.encodeWithSelector(InvalidPrice.selector, address(wethFeed), 0));
        vault.borrow(address(usdc), 1e6, alice);
        wethFeed.updateAnswer(-1);
        vm.expectRevert(abi.encodeWithSelector(InvalidPrice.selector, address(wethFeed), -1));
        vault.withdrawCollateral(address(weth), 1, alice);
        wethFeed.updateRoundData(9, 2_000e8, block.timestamp + 1, block.timestamp);
        vm.expectRevert(abi.encodeWithSelector(StalePrice.selector, address(wethFeed), block.timestamp + 1));
        vault.borrow(address(usdc), 1e6, alice);
        vm.stopPrank();
        repay(alice, address(usdc), 5_000e6);
        vm.prank(alice);
        vault.withdrawCollateral(address(weth), 10 ether, alice);
    }

    /// A dead feed of an asset that the account does not hold is never read.
    function test_feeds_of_other_assets_do_not_matter() public {
        wbtcFeed.updateAnswer(0);
        deposit(alice, address(weth), 10 ether);
        borrow(alice, address(usdc), 5_000e6);
        assertGt(vault.healthFactor(alice), 1e18);
    }

    function test_a_native_receiver_cannot_reenter() public {
        Reenterer attacker = new Reenterer(address(vault));
        vm.deal(address(attacker), 10 ether);
        attacker.run(abi.encodeCall(vault.depositCollateral, (NATIVE, 5 ether)), "", 5 ether);
        bytes memory withdraw = abi.encodeCall(vault.withdrawCollateral, (NATIVE, 1 ether, address(attacker)));
        attacker.run(withdraw, withdraw, 0);
        assertEq(attacker.answer(), abi.encodeWithSignature("ReentrancyGuardReentrantCall()"));
        assertEq(vault.collateralOf(address(attacker), NATIVE), 4 ether);
    }
}
