// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {InterestRate} from "../src/vault/InterestRate.sol";
import {AccountValue, AssetConfig, BPS, NATIVE, RAY} from "../src/vault/VaultTypes.sol";
import {VaultFixture} from "./VaultFixture.sol";

/// @notice Laws that hold for all amounts, prices and times.
contract VaultLawsTest is VaultFixture {
    function testFuzz_the_rate_rises_with_utilisation(uint128 cash, uint128 debt, uint128 more) public view {
        AssetConfig memory config = vault.configOf(address(usdc));
        more = uint128(bound(more, 0, cash));
        uint256 low = InterestRate.ratePerSecond(config, cash, debt);
        uint256 high = InterestRate.ratePerSecond(config, cash - more, uint256(debt) + more);
        assertLe(low, high);
        assertLe(high, RAY * 79 / 100 / uint256(365 days));
    }

    function testFuzz_an_index_never_falls_and_compounds_upwards(uint256 index, uint256 rate, uint32 a, uint32 b)
        public
        pure
    {
        index = bound(index, RAY, RAY * 1e6);
        rate = bound(rate, 0, 10 * RAY / 365 days);
        uint256 once = InterestRate.grown(index, rate, uint256(a) + b);
        uint256 twice = InterestRate.grown(InterestRate.grown(index, rate, a), rate, b);
        assertGe(once, index);
        assertGe(twice + 2 * (index / RAY + rate), once);
    }

    /// Supplying and redeeming at once gains nothing, however odd the index.
    function testFuzz_supply_and_redeem_gain_nothing(uint256 amount, uint256 time) public {
        deposit(alice, NATIVE, 1_000 ether);
        borrow(alice, address(usdc), 1_234_567_890_123);
        pass(bound(time, 1, 3_650 days));
        amount = bound(amount, 10, 1e15);
        supply(bob, address(usdc), amount);
        vm.prank(bob);
        uint256 back = vault.redeem(address(usdc), type(uint256).max, bob);
        assertLe(back, amount);
        assertGe(back + 2 + vault.reserveOf(address(usdc)).supplyIndex / RAY, amount);
        assertSolvent();
    }

    /// Borrowing and repaying at once costs at most the rounding, and never less than was borrowed.
    function testFuzz_borrow_and_repay_cost_only_rounding(uint256 amount, uint256 time) public {
        deposit(bob, NATIVE, 1_000 ether);
        borrow(bob, address(usdc), 100_000e6);
        pass(bound(time, 1, 3_650 days));
        vault.accrue(address(usdc));
        deposit(alice, NATIVE, 1_000 ether);
        amount = bound(amount, 1, 1_000_000e6);
        borrow(alice, address(usdc), amount);
        uint256 debt = vault.debtOf(alice, address(usdc));
        assertGe(debt, amount);
        assertLe(debt, amount + vault.reserveOf(address(usdc)).borrowIndex / RAY + 1);
        repay(alice, address(usdc), debt);
        assertEq(vault.debtOf(alice, address(usdc)), 0);
        assertSolvent();
    }

    /// In parts or at once: partial repayment never erases more than was paid.
    function testFuzz_partial_repayment_erases_at_most_what_was_paid(uint256 part, uint256 time) public {
        deposit(alice, NATIVE, 1_000 ether);
        borrow(alice, address(usdc), 1_000_000e6);
        pass(bound(time, 1, 365 days));
        uint256 before = vault.debtOf(alice, address(usdc));
        part = bound(part, 10, before - 1);
        uint256 paid = repay(alice, address(usdc), part);
        assertEq(paid, part);
        uint256 left = vault.debtOf(alice, address(usdc));
        assertGe(left + paid, before);
        assertLe(left + paid, before + vault.reserveOf(address(usdc)).borrowIndex / RAY + 1);
    }

    /// The exact comparison and the displayed factor agree except for the display's own rounding.
    function testFuzz_display_and_decision_agree(uint256 price, uint256 debt) public {
        deposit(alice, address(weth), 10 ether);
        debt = bound(debt, 1e6, 15_000e6);
        borrow(alice, address(usdc), debt);
        wethFeed.updateAnswer(int256(bound(price, 1e8, 4_000e8)));
        AccountValue memory value = vault.valueOf(alice);
        uint256 displayed = vault.healthFactor(alice);
        bool unsafe = value.threshold < value.debtUsd * BPS;
        if (displayed < 1e18) assertTrue(unsafe);
        if (unsafe) assertLe(displayed, 1e18);
        uint256 half = value.debtUsd / 2;
        assertEq(displayed, (value.threshold * 1e18 + half) / value.debtUsd / BPS);
    }

    /// One collateral, one debt, any price and any amount: the health factor does not fall, the liquidator gains at most
    /// the bonus, nothing is written off while the collateral pays debt and bonus, and the vault stays solvent.
    function testFuzz_liquidation(uint256 price, uint256 amount) public {
        deposit(alice, address(wbtc), 1e8);
        borrow(alice, address(usdc), 35_000e6);
        price = bound(price, 1e14, 46_000e18);
        wbtcFeed.updateAnswer(int256(price));
        AccountValue memory before = vault.valueOf(alice);
        vm.assume(before.threshold < before.debtUsd * BPS);
        amount = bound(amount, 1e6, 40_000e6);
        fund(liquidator, address(usdc), amount);
        vm.prank(liquidator);
        (bool done, bytes memory answer) = address(vault).call(
            abi.encodeCall(vault.liquidate, (alice, address(usdc), address(wbtc), amount))
        );
        if (!done) {
            // The collateral is worth less than the smallest amount that can be paid for it.
            assertEq(bytes4(answer), NothingToLiquidate.selector);
            assertLt(before.collateralUsd, 1e3);
            return;
        }
        (uint256 repaid, uint256 seized) = abi.decode(answer, (uint256, uint256));
        AccountValue memory later = vault.valueOf(alice);
        assertGe(later.threshold * before.debtUsd, before.threshold * later.debtUsd);
        // One satoshi of rounding at most: the last one belongs to whoever takes the whole collateral.
        assertLe(seized * price / 1e18, repaid * 100 * 110 / 100 + 1e8 * price / 1e26 + 1);
        uint256 fall = before.debtUsd - later.debtUsd;
        if (before.proceedsUsd >= before.debtUsd) assertLe(fall, repaid * 100);
        else assertGe(fall + 200, repaid * 100);
        assertSolvent();
    }
}
