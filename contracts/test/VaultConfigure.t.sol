// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IAccessControl} from "@openzeppelin/contracts/access/IAccessControl.sol";
import {AssetConfig, NATIVE, RAY, Reserve} from "../src/vault/VaultTypes.sol";
import {MockV3Aggregator} from "../src/dev/TestFeed.sol";
import {TestToken} from "../src/dev/TestToken.sol";
import {VaultFixture} from "./VaultFixture.sol";

/// @notice Listing, parameters, roles and pauses.
contract VaultConfigureTest is VaultFixture {
    function valid() private view returns (AssetConfig memory) {
        return assetConfig(address(wethFeed), 7_500, 8_000, 750);
    }

    function refuse(address token, AssetConfig memory config) private {
        vm.expectRevert(abi.encodeWithSelector(InvalidConfig.selector, token));
        configure(token, config);
    }

    function test_listing_tells_decimals_parameters_and_indexes() public {
        TestToken token = new TestToken("Dai", "DAI", 18);
        MockV3Aggregator feed = new MockV3Aggregator(8, 1e8, "DAI / USD");
        AssetConfig memory config = assetConfig(address(feed), 7_500, 8_000, 750);
        AssetConfig memory none;
        uint64 seq = vault.seq();
        vm.expectEmit(address(vault));
        emit AssetParametersChanged(address(token), none, config, seq + 1);
        vm.expectEmit(address(vault));
        emit AssetConfigured(address(token), 18, 8, 7_500, 8_000, 750, address(feed), seq + 2);
        vm.expectEmit(address(vault));
        emit IndexUpdated(address(token), RAY, RAY, 0, block.timestamp, seq + 3);
        configure(address(token), config);
        assertEq(vault.reserveOf(address(token)).tokenDecimals, 18);
        assertEq(vault.configOf(address(token)).feed, address(feed));
    }

    function test_a_change_accrues_at_the_old_rate_and_tells_old_and_new() public {
        deposit(alice, address(weth), 10 ether);
        borrow(alice, address(usdc), 10_000e6);
        pass(30 days);
        AssetConfig memory before = vault.configOf(address(usdc));
        AssetConfig memory changed = vault.configOf(address(usdc));
        changed.baseRateBps = 1_000;
        uint256 debt = vault.debtOf(alice, address(usdc));
        uint64 seq = vault.seq();
        vm.expectEmit(address(vault));
        emit AssetParametersChanged(address(usdc), before, changed, seq + 1);
        configure(address(usdc), changed);
        assertEq(vault.debtOf(alice, address(usdc)), debt);
        assertGt(vault.reserveOf(address(usdc)).borrowRatePerSecond, uint256(RAY) / 10 / 366 days);
    }

    function test_refuses_ltv_not_below_threshold() public {
        AssetConfig memory config = valid();
        config.ltvBps = config.liquidationThresholdBps;
        refuse(address(weth), config);
    }

    function test_refuses_threshold_that_cannot_pay_the_bonus() public {
        AssetConfig memory config = valid();
        config.liquidationThresholdBps = 9_500;
        config.liquidationBonusBps = 600;
        refuse(address(weth), config);
    }

    function test_refuses_no_heartbeat() public {
        AssetConfig memory config = valid();
        config.heartbeat = 0;
        refuse(address(weth), config);
    }

    function test_refuses_kinks_at_the_ends_and_excessive_rates() public {
        AssetConfig memory config = valid();
        config.optimalUtilisationBps = 0;
        refuse(address(weth), config);
        config.optimalUtilisationBps = 10_000;
        refuse(address(weth), config);
        config = valid();
        config.slopeAboveBps = 100_001;
        refuse(address(weth), config);
    }

    function test_refuses_addresses_without_code() public {
        refuse(makeAddr("no token"), valid());
        AssetConfig memory config = valid();
        config.feed = makeAddr("no feed");
        refuse(address(weth), config);
    }

    function test_refuses_decimals_it_cannot_value() public {
        TestToken token = new TestToken("Odd", "ODD", 40);
        vm.expectRevert(abi.encodeWithSelector(UnsupportedDecimals.selector, address(token), 40, 8));
        configure(address(token), valid());
        TestToken coarse = new TestToken("Coarse", "COARSE", 0);
        MockV3Aggregator feed = new MockV3Aggregator(6, 1e6, "COARSE / USD");
        vm.expectRevert(abi.encodeWithSelector(UnsupportedDecimals.selector, address(coarse), 0, 6));
        configure(address(coarse), assetConfig(address(feed), 7_500, 8_000, 750));
    }

    function test_refuses_a_feed_without_a_live_answer() public {
        MockV3Aggregator feed = new MockV3Aggregator(8, 0, "X / USD");
        AssetConfig memory config = valid();
        config.feed = address(feed);
        vm.expectRevert(abi.encodeWithSelector(InvalidPrice.selector, address(feed), 0));
        configure(address(weth), config);
    }

    function test_each_power_belongs_to_its_role() public {
        AssetConfig memory config = valid();
        bytes32 riskRole = vault.RISK_ROLE();
        bytes32 creditRole = vault.CREDIT_ROLE();
        bytes32 guardianRole = vault.GUARDIAN_ROLE();
        bytes32 adminRole = vault.DEFAULT_ADMIN_ROLE();

        expectMissing(guardian, riskRole);
        vault.configureAsset(address(weth), config);
        expectMissing(guardian, riskRole);
        vault.unpause(1);
        expectMissing(guardian, riskRole);
        vault.writeOffBadDebt(alice);
        expectMissing(guardian, creditRole);
        vault.setCreditLine(guardian, 1);
        expectMissing(risk, creditRole);
        vault.setCreditLine(risk, 1);
        expectMissing(risk, guardianRole);
        vault.pause(1);
        expectMissing(admin, guardianRole);
        vault.pause(1);
        expectMissing(risk, adminRole);
        vault.grantRole(riskRole, alice);
    }

    function expectMissing(address caller, bytes32 role) private {
        vm.expectRevert(
            abi.encodeWithSelector(IAccessControl.AccessControlUnauthorizedAccount.selector, caller, role)
        );
        vm.prank(caller);
    }

    function test_admin_changes_in_two_steps_after_a_delay() public {
        vm.prank(admin);
        vault.beginDefaultAdminTransfer(alice);
        vm.prank(alice);
        vm.expectRevert();
        vault.acceptDefaultAdminTransfer();
        skip(1 days + 1);
        vm.prank(alice);
        vault.acceptDefaultAdminTransfer();
        assertEq(vault.defaultAdmin(), alice);
    }

    function test_pause_stops_borrow_and_withdraw_only() public {
        deposit(alice, address(weth), 10 ether);
        borrow(alice, address(usdc), 10_000e6);
        uint64 seq = vault.seq();
        vm.expectEmit(address(vault));
        emit PauseChanged(0, 3, guardian, seq + 1);
        vm.prank(guardian);
        vault.pause(3);

        vm.startPrank(alice);
        vm.expectRevert(abi.encodeWithSelector(ActionPaused.selector, 1));
        vault.borrow(address(usdc), 1e6, alice);
        vm.expectRevert(abi.encodeWithSelector(ActionPaused.selector, 2));
        vault.withdrawCollateral(address(weth), 1, alice);
        vm.stopPrank();
        vm.prank(lender);
        vm.expectRevert(abi.encodeWithSelector(ActionPaused.selector, 2));
        vault.redeem(address(usdc), 1e6, lender);

        deposit(alice, address(weth), 1 ether);
        supply(lender, address(usdc), 1e6);
        repay(alice, address(usdc), 100e6);
        wethFeed.updateAnswer(1_000e8);
        (uint256 repaid,) = liquidate(alice, address(usdc), address(weth), 1_000e6);
        assertEq(repaid, 1_000e6);
    }

    function test_each_pause_flag_acts_alone_and_risk_lifts_it() public {
        deposit(alice, address(weth), 10 ether);
        vm.prank(guardian);
        vault.pause(1);
        vm.prank(alice);
        vault.withdrawCollateral(address(weth), 1 ether, alice);
        vm.prank(guardian);
        vault.pause(2);
        assertEq(vault.pauseFlags(), 3);
        vm.prank(risk);
        vault.unpause(1);
        borrow(alice, address(usdc), 1e6);
        assertEq(vault.pauseFlags(), 2);
    }

    function test_unlisted_assets_are_refused_everywhere() public {
        address token = address(new TestToken("X", "X", 18));
        bytes memory expected = abi.encodeWithSelector(AssetNotListed.selector, token);
        vm.startPrank(alice);
        vm.expectRevert(expected);
        vault.supply(token, 1);
        vm.expectRevert(expected);
        vault.redeem(token, 1, alice);
        vm.expectRevert(expected);
        vault.depositCollateral(token, 1);
        vm.expectRevert(expected);
        vault.withdrawCollateral(token, 1, alice);
        vm.expectRevert(expected);
        vault.borrow(token, 1, alice);
        vm.expectRevert(expected);
        vault.repay(token, 1, alice);
        vm.expectRevert(expected);
        vault.accrue(token);
        vm.expectRevert(expected);
        vault.liquidate(alice, token, address(weth), 1);
        vm.expectRevert(expected);
        vault.liquidate(alice, address(weth), token, 1);
    }
}
