// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {GrantStatus} from "../../src/credit/CreditTypes.sol";
import {CreditFixture, Market} from "./CreditFixture.sol";

/// @notice The roads that a credit takes from its lock to its end, over both chains.
contract CreditRoadTest is CreditFixture {
    function test_locked_granted_used_repaid_released() public {
        bytes32 ref = lock(15_000e8);
        assertEq(wethOf(alice), 90 ether);
        assertEq(wethOf(address(home.remote)), 10 ether);
        assertEq(lineOf(alice), 0, "nothing before the message");

        deliver(home, abroad, last(home));
        assertEq(lineOf(alice), 15_000e8);
        borrow(15_000);
        repay(alice, type(uint128).max);
        release(ref, 15_000e8);
        assertEq(lineOf(alice), 0);
        assertEq(wethOf(alice), 90 ether, "nothing before the message");

        deliver(abroad, home, last(abroad));
        assertEq(wethOf(alice), 100 ether);
        assertEq(wethOf(address(home.remote)), 0);
        assertEq(atHome(ref).credit, 0);
    }

    function test_a_part_returns_its_share() public {
        bytes32 ref = granted(12_000e8);
        borrow(8_000);
        release(ref, 3_000e8);
        deliver(abroad, home, last(abroad));
        assertEq(wethOf(alice), 92.5 ether);
        assertEq(atHome(ref).collateral, 7.5 ether);
        assertEq(atHome(ref).credit, 9_000e8);
        assertEq(there(ref).amount, 9_000e8);
        assertEq(lineOf(alice), 9_000e8);
    }

    function test_a_late_grant_goes_home_whole_and_is_never_credited() public {
        bytes32 ref = lock(15_000e8);
        skip(TERM);
        deliver(home, abroad, last(home));
        assertEq(uint8(there(ref).status), uint8(GrantStatus.LATE));
        assertEq(lineOf(alice), 0);
        callIn(ref);
        deliver(abroad, home, last(abroad));
        assertEq(wethOf(alice), 100 ether);
        assertEq(lineOf(alice), 0);
        assertEq(abroad.remote.laneOf(home.id).granted, 0);
    }

    function test_what_is_over_the_cap_waits_is_retried_and_at_the_deadline_returns() public {
        granted(15_000e8);
        vm.prank(desk);
        abroad.remote.setLane(home.id, limits(20_000e8, 100_000e8, 0));
        bytes32 second = lock(15_000e8);
        bytes memory payload = last(home);
        deliver(home, abroad, payload);
        assertEq(there(second).amount, 0, "refused by the lane");
        assertFalse(on(abroad).router.retry(payload));
        skip(TERM);
        assertTrue(abroad.router.retry(payload));
        callIn(second);
        deliver(abroad, home, last(abroad));
        assertEq(wethOf(alice), 90 ether);
        assertEq(lineOf(alice), 15_000e8, "the first alone");
    }

    function test_default_pays_the_treasury_with_the_used_part() public {
        bytes32 ref = granted(15_000e8);
        borrow(5_000);
        skip(TERM);
        callIn(ref);
        assertApproxEqAbs(there(ref).amount, 5_000e8, 20e8, "used, with interest");
        uint256 used = there(ref).amount;
        deliver(abroad, home, last(abroad));
        skip(GRACE);
        seize(ref);
        assertEq(lineOf(alice), 0);
        deliver(abroad, home, last(abroad));
        assertApproxEqAbs(wethOf(treasury), 10 ether * used / 15_000e8, 1);
        assertEq(wethOf(alice) + wethOf(treasury), 100 ether);
        repay(treasury, type(uint128).max);
        assertEq(abroad.vault.debtOf(alice, address(abroad.usdc)), 0, "the lenders lost nothing");
    }

    function test_a_fall_in_price_at_home_ends_the_term_abroad() public {
        bytes32 ref = granted(15_000e8);
        borrow(5_000);
        home.wethFeed.updateAnswer(1_800e8); // 18,000 x 80 % = 14,400
        callCredit(ref);
        deliver(home, abroad, last(home));
        assertEq(there(ref).termEnd, block.timestamp);
        callIn(ref);
        deliver(abroad, home, last(abroad));
        assertApproxEqAbs(atHome(ref).credit, 5_000e8, 1);
    }

    function test_a_call_that_overtakes_its_grant_keeps_it_from_being_credited() public {
        bytes32 ref = lock(15_000e8);
        bytes memory grant = last(home);
        home.wethFeed.updateAnswer(1_800e8);
        callCredit(ref);
        deliver(home, abroad, last(home));
        deliver(home, abroad, grant);
        assertEq(lineOf(alice), 0);
        callIn(ref);
        deliver(abroad, home, last(abroad));
        assertEq(wethOf(alice), 100 ether);
    }

    function test_what_both_bridges_deliver_counts_once() public {
        bytes32 ref = lock(15_000e8);
        bytes memory payload = last(home);
        on(abroad).ccip.deliver(home.id, payload);
        deliver(home, abroad, payload);
        assertEq(lineOf(alice), 15_000e8);
        release(ref, 5_000e8);
        payload = last(abroad);
        deliver(abroad, home, payload);
        on(home).ccip.deliver(abroad.id, payload);
        assertEq(atHome(ref).credit, 10_000e8);
    }

    /// A grant that its bridge lost, and that is sent again when it is too late for it: the lock comes back.
    function test_a_lost_grant_resent_after_its_deadline_returns_the_lock() public {
        bytes32 ref = lock(15_000e8);
        bytes memory grant = last(home);
        skip(TERM);
        vm.expectRevert(abi.encodeWithSelector(UnknownGrant.selector, ref));
        callIn(ref);
        assertEq(wethOf(alice), 90 ether, "nothing abroad to call in");
        resend(home, grant, CCIP);
        on(abroad).ccip.deliver(home.id, home.ccip.sent(home.ccip.sentCount() - 1));
        assertEq(uint8(there(ref).status), uint8(GrantStatus.LATE));
        assertEq(lineOf(alice), 0, "never credited");
        callIn(ref);
        deliver(abroad, home, last(abroad));
        assertEq(wethOf(alice), 100 ether);
        assertEq(atHome(ref).credit, 0);
    }

    /// And the one that was thought lost arrives after all.
    function test_a_grant_that_arrives_besides_its_resend_is_granted_once() public {
        bytes32 ref = lock(15_000e8);
        bytes memory grant = last(home);
        resend(home, grant, CCIP);
        on(abroad).ccip.deliver(home.id, grant);
        release(ref, 15_000e8);
        uint64 told = abroad.remote.seq();
        deliver(home, abroad, grant);
        assertEq(abroad.remote.seq(), told);
        assertEq(lineOf(alice), 0);
        deliver(abroad, home, last(abroad));
        assertEq(wethOf(alice), 100 ether);
    }

    function test_a_lost_release_resent_returns_the_lock() public {
        bytes32 ref = granted(15_000e8);
        release(ref, 15_000e8);
        resend(abroad, last(abroad), CCIP);
        on(home).ccip.deliver(abroad.id, abroad.ccip.sent(0));
        assertEq(wethOf(alice), 100 ether);
        deliver(abroad, home, last(abroad));
        assertEq(wethOf(alice), 100 ether, "once");
    }

    function resend(Market storage from, bytes memory payload, bytes32 bridge) private {
        on(from);
        pay(bob);
        from.router.resend{value: FEE}(payload, bridge, bob);
    }
}
