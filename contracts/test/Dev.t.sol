// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Test, Vm} from "forge-std/Test.sol";
import {EventEmitter} from "../src/dev/EventEmitter.sol";
import {MockV3Aggregator} from "../src/dev/TestFeed.sol";
import {IVaultEvents} from "../src/vault/IVaultEvents.sol";

/// @notice The contracts that local chains and load tests use.
contract DevTest is Test {
    function test_the_feed_answers_as_chainlinks_mock_under_its_own_description() public {
        MockV3Aggregator feed = new MockV3Aggregator(8, 5e8, "X / USD");
        assertEq(feed.description(), "X / USD");
        assertEq(feed.decimals(), 8);
        assertEq(feed.version(), 0);
        feed.updateAnswer(6e8);
        (uint80 round, int256 answer,, uint256 updatedAt,) = feed.latestRoundData();
        assertEq(round, 2);
        assertEq(answer, 6e8);
        assertEq(updatedAt, block.timestamp);
        feed.updateRoundData(7, 4e8, 99, 98);
        (round, answer,, updatedAt,) = feed.latestRoundData();
        assertEq(round, 7);
        assertEq(answer, 4e8);
        assertEq(updatedAt, 99);
        (, answer,,,) = feed.getRoundData(1);
        assertEq(answer, 5e8);
        assertEq(feed.latestAnswer(), 4e8);
    }

    /// Balances are sums: each account's balance is its number of events x amount, over several calls.
    function test_the_emitter_tells_a_consistent_story() public {
        EventEmitter emitter = new EventEmitter();
        vm.recordLogs();
        emitter.emitDeposits(1_500);
        emitter.emitDeposits(700);
        Vm.Log[] memory logs = vm.getRecordedLogs();
        assertEq(logs.length, 2_200);
        for (uint256 k = 0; k < logs.length; ++k) {
            assertEq(logs[k].topics[0], IVaultEvents.CollateralDeposited.selector);
            assertEq(uint256(logs[k].topics[1]), uint256(emitter.FIRST_ACCOUNT()) + k % 1_000);
            (uint256 amount, uint256 balance, uint64 seq) = abi.decode(logs[k].data, (uint256, uint256, uint64));
            assertEq(seq, k + 1);
            assertEq(balance, (k / 1_000 + 1) * amount);
        }
        assertEq(emitter.emitted(), 2_200);
    }
}
