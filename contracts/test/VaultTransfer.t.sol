// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IAccessControl} from "@openzeppelin/contracts/access/IAccessControl.sol";
import {NATIVE, Reserve} from "../src/vault/VaultTypes.sol";
import {VaultFixture} from "./VaultFixture.sol";

/// @notice Collateral between accounts inside the vault, by the locker alone, and the prices that the locker reads.
contract VaultTransferTest is VaultFixture {
    function transfer(address from, address token, uint256 amount, address to) private {
        vm.prank(locker);
        vault.transferCollateral(from, token, amount, to);
    }

    function test_collateral_changes_its_account_and_nothing_else() public {
        deposit(alice, address(weth), 10 ether);
        deposit(bob, address(weth), 1 ether);
        Reserve memory before = vault.reserveOf(address(weth));
        uint64 seq = vault.seq();
        vm.expectEmit(address(vault));
        emit CollateralTransferred(alice, bob, address(weth), 4 ether, 6 ether, 5 ether, seq + 1);
        transfer(alice, address(weth), 4 ether, bob);
        assertEq(vault.collateralOf(alice, address(weth)), 6 ether);
        assertEq(vault.collateralOf(bob, address(weth)), 5 ether);
        assertEq(keccak256(abi.encode(vault.reserveOf(address(weth)))), keccak256(abi.encode(before)));
        assertEq(weth.balanceOf(address(vault)), before.collateral + before.cash);
    }

    function test_the_sets_of_held_assets_follow() public {
        deposit(alice, NATIVE, 1 ether);
        transfer(alice, NATIVE, 1 ether, bob);
        assertEq(vault.assetsOf(alice).length, 0);
        assertEq(vault.assetsOf(bob)[0], NATIVE);
        vm.prank(bob);
        vault.withdrawCollateral(NATIVE, 1 ether, bob);
        assertEq(bob.balance, 1 ether);
    }

    function test_only_the_locker_transfers() public {
        deposit(alice, address(weth), 10 ether);
        bytes32 role = vault.LOCKER_ROLE();
        address[5] memory others = [alice, admin, risk, credit, guardian];
        for (uint256 i = 0; i < others.length; ++i) {
            vm.prank(others[i]);
            vm.expectRevert(
                abi.encodeWithSelector(IAccessControl.AccessControlUnauthorizedAccount.selector, others[i], role)
            );
            vault.transferCollateral(alice, address(weth), 1, others[i]);
        }
    }

    /// 10 WETH at 2,000 and 75 % carry 15,000 of debt: with 12,000 drawn, 2 WETH are free and not one unit more.
    function test_the_giver_keeps_the_borrowing_power_of_its_debt() public {
        deposit(alice, address(weth), 10 ether);
        borrow(alice, address(usdc), 12_000e6);
        vm.expectPartialRevert(InsufficientBorrowingPower.selector);
        transfer(alice, address(weth), 2 ether + 1, bob);
        transfer(alice, address(weth), 2 ether, bob);
        assertEq(vault.valueOf(alice).borrowingPower, vault.valueOf(alice).debtUsd * 10_000);
    }

    function test_a_debtor_transfers_nothing_without_live_prices() public {
        deposit(alice, address(weth), 10 ether);
        deposit(bob, address(weth), 10 ether);
        borrow(alice, address(usdc), 1e6);
        skip(HEARTBEAT + 1);
        vm.expectPartialRevert(StalePrice.selector);
        transfer(alice, address(weth), 1, bob);
        transfer(bob, address(weth), 1, alice);
        assertEq(vault.collateralOf(alice, address(weth)), 10 ether + 1);
    }

    function test_no_pause_stops_a_transfer() public {
        deposit(alice, address(weth), 1 ether);
        vm.prank(guardian);
        vault.pause(type(uint8).max);
        transfer(alice, address(weth), 1 ether, bob);
        assertEq(vault.collateralOf(bob, address(weth)), 1 ether);
    }

    function test_refuses_what_is_no_transfer() public {
        deposit(alice, address(weth), 1 ether);
        vm.expectRevert(abi.encodeWithSelector(InsufficientBalance.selector, address(weth), 1 ether));
        transfer(alice, address(weth), 1 ether + 1, bob);
        vm.expectRevert(ZeroAmount.selector);
        transfer(alice, address(weth), 0, bob);
        vm.expectRevert(ZeroAddress.selector);
        transfer(alice, address(weth), 1, address(0));
        vm.expectRevert(abi.encodeWithSelector(SelfTransfer.selector, alice));
        transfer(alice, address(weth), 1, alice);
        vm.expectRevert(abi.encodeWithSelector(AssetNotListed.selector, bob));
        transfer(alice, bob, 1, bob);
    }

    /// USD x 1e8 of an amount = amount x answer / unit, whatever the decimals of token and feed.
    function test_quotes_value_amounts_of_any_decimals() public {
        address[4] memory tokens = [NATIVE, address(weth), address(usdc), address(wbtc)];
        uint256[4] memory ones = [uint256(1 ether), 1 ether, 1e6, 1e8];
        uint256[4] memory usd = [uint256(2_000e8), 2_000e8, 1e8, 50_000e8];
        for (uint256 k = 0; k < 4; ++k) {
            (uint256 answer, uint256 unit) = vault.quoteOf(tokens[k]);
            assertEq(ones[k] * answer / unit, usd[k]);
        }
    }

    function test_no_quote_without_a_live_price() public {
        vm.expectRevert(abi.encodeWithSelector(AssetNotListed.selector, bob));
        vault.quoteOf(bob);
        wethFeed.updateAnswer(0);
        vm.expectRevert(abi.encodeWithSelector(InvalidPrice.selector, address(wethFeed), 0));
        vault.quoteOf(address(weth));
        skip(HEARTBEAT + 1);
        vm.expectPartialRevert(StalePrice.selector);
        vault.quoteOf(address(usdc));
    }
}
