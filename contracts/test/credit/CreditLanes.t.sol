// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IAccessControl} from "@openzeppelin/contracts/access/IAccessControl.sol";
import {IBridgeRouterEvents} from "../../src/bridge/IBridgeRouter.sol";
import {Lane, LaneLimits} from "../../src/credit/CreditTypes.sol";
import {CreditFixture} from "./CreditFixture.sol";

/// @notice What one chain can put on another: the cap at a time and the bucket per time.
contract CreditLanesTest is CreditFixture {
    function test_the_cap_holds_to_the_last_unit_and_what_leaves_makes_room() public {
        setLane(limits(20_000e8, 100_000e8, 0));
        bytes32 first = granted(15_000e8);
        bytes32 second = lock(5_000e8 + 1);
        bytes memory payload = last(home);
        expectRefusal(abi.encodeWithSelector(LaneCapExceeded.selector, home.id, 5_000e8));
        deliver(home, abroad, payload);
        release(first, 1);
        assertTrue(abroad.router.retry(payload));
        assertEq(there(second).amount, 5_000e8 + 1);
        assertEq(laneGranted(), 20_000e8);
    }

    function test_the_bucket_empties_and_fills_with_time() public {
        setLane(limits(500_000e8, 20_000e8, 1e8));
        granted(15_000e8);
        lock(6_000e8);
        bytes memory payload = last(home);
        expectRefusal(abi.encodeWithSelector(LaneRateExceeded.selector, home.id, 5_000e8));
        deliver(home, abroad, payload);
        skip(999);
        assertFalse(abroad.router.retry(payload));
        skip(1);
        assertTrue(abroad.router.retry(payload));
        assertEq(available(), 0);
        skip(1_000_000);
        assertEq(available(), 20_000e8, "never more than its size");
    }

    function test_what_leaves_does_not_refill_the_bucket() public {
        setLane(limits(500_000e8, 20_000e8, 0));
        release(granted(15_000e8), 15_000e8);
        assertEq(available(), 5_000e8);
    }

    function test_a_chain_without_a_lane_grants_nothing() public {
        setLane(limits(0, 0, 0));
        bytes32 ref = granted(1e8);
        assertEq(there(ref).amount, 0);
        assertEq(lineOf(alice), 0);
    }

    function test_a_change_tells_old_and_new_and_does_not_refill_the_bucket() public {
        setLane(limits(500_000e8, 20_000e8, 1e8));
        granted(15_000e8);
        skip(100);
        vm.expectEmit(address(abroad.remote));
        emit LaneChanged(home.id, limits(500_000e8, 20_000e8, 1e8), limits(1, 90_000e8, 3), 5_100e8, 5);
        setLane(limits(1, 90_000e8, 3));
        setLane(limits(1, 10e8, 3));
        assertEq(available(), 10e8);
        assertEq(laneGranted(), 15_000e8, "a lower cap takes nothing back");
    }

    function test_a_new_lane_starts_full_and_the_risk_role_alone_sets_it() public {
        assertEq(abroad.remote.laneOf(303).available, 0);
        vm.prank(desk);
        abroad.remote.setLane(303, limits(1e8, 7e8, 0));
        assertEq(abroad.remote.laneOf(303).available, 7e8);
        bytes32 role = abroad.remote.RISK_ROLE();
        vm.prank(alice);
        vm.expectRevert(
            abi.encodeWithSelector(IAccessControl.AccessControlUnauthorizedAccount.selector, alice, role)
        );
        abroad.remote.setLane(303, limits(1, 1, 1));
    }

    /// @dev Over any stretch of time no more comes in than the bucket's size plus what flowed in.
    function testFuzz_the_rate_holds_over_any_sequence(uint256 seed) public {
        setLane(limits(type(uint128).max, 20_000e8, 1e6));
        uint256 start = block.timestamp;
        uint256 total;
        for (uint256 i = 0; i < 20; ++i) {
            seed = uint256(keccak256(abi.encode(seed)));
            bytes32 ref = lock(alice, 4 ether, 1 + seed % 6_000e8, uint64(block.timestamp) + TERM);
            deliver(home, abroad, last(home));
            total += there(ref).amount;
            skip((seed >> 128) % 3 == 0 ? (seed >> 192) % 5 days : 0);
        }
        assertGt(total, 0);
        assertLe(total, 20_000e8 + (block.timestamp - start) * 1e6);
    }

    function setLane(LaneLimits memory lane) private {
        vm.prank(desk);
        on(abroad).remote.setLane(home.id, lane);
    }

    function expectRefusal(bytes memory reason) private {
        bytes memory payload = last(home);
        uint64 seq = abroad.router.seq() + 1;
        vm.expectEmit(address(abroad.router));
        emit IBridgeRouterEvents.MessageFailed(
            keccak256(payload), AXELAR, address(abroad.remote), seq, payload, reason
        );
    }

    function laneGranted() private view returns (uint256) {
        return abroad.remote.laneOf(home.id).granted;
    }

    function available() private view returns (uint256) {
        return abroad.remote.laneOf(home.id).available;
    }
}
