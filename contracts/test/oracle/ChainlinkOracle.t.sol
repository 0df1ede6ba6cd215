// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Test} from "forge-std/Test.sol";
import {AggregatorV3Interface} from "@chainlink/contracts/src/v0.8/shared/interfaces/AggregatorV3Interface.sol";
import {MockV3Aggregator} from "@chainlink/contracts/src/v0.8/shared/mocks/MockV3Aggregator.sol";
import {ChainlinkOracle, ChainlinkParameters} from "../../src/oracle/ChainlinkOracle.sol";
import {IPriceOracle} from "../../src/oracle/IPriceOracle.sol";

/// @notice Every check of one Chainlink feed, against Chainlink's own mock.
contract ChainlinkOracleTest is Test {
    uint32 private constant HEARTBEAT = 1 hours;
    uint32 private constant GRACE = 1 hours;
    uint256 private constant NOW = 1_700_000_000;

    MockV3Aggregator private feed;
    MockV3Aggregator private sequencer;
    ChainlinkOracle private oracle;

    function setUp() public {
        vm.warp(NOW);
        feed = new MockV3Aggregator(8, 2_000e8);
        sequencer = new MockV3Aggregator(0, 0);
        oracle = new ChainlinkOracle(parameters(feed));
    }

    function parameters(AggregatorV3Interface source) private pure returns (ChainlinkParameters memory) {
        return ChainlinkParameters({
            feed: source,
            heartbeat: HEARTBEAT,
            lowest: 100e18,
            highest: 100_000e18,
            sequencerFeed: AggregatorV3Interface(address(0)),
            gracePeriod: 0
        });
    }

    function onL2() private returns (ChainlinkOracle) {
        ChainlinkParameters memory chosen = parameters(feed);
        chosen.sequencerFeed = sequencer;
        chosen.gracePeriod = GRACE;
        return new ChainlinkOracle(chosen);
    }

    function refused(ChainlinkOracle by, bytes memory reason) private {
        vm.expectRevert(reason);
        by.price();
        vm.expectRevert(reason);
        by.latestRoundData();
    }

    function test_a_live_answer_is_a_price_and_a_round() public view {
        (uint256 usd, uint256 updatedAt) = oracle.price();
        assertEq(usd, 2_000e18);
        assertEq(updatedAt, NOW);
        (uint80 id, int256 answer, uint256 startedAt, uint256 time, uint80 answeredIn) = oracle.latestRoundData();
        assertEq(id, NOW);
        assertEq(answer, 2_000e18);
        assertEq(startedAt, NOW);
        assertEq(time, NOW);
        assertEq(answeredIn, NOW);
        assertEq(oracle.decimals(), 18);
        assertEq(oracle.version(), 1);
        assertEq(oracle.description(), feed.description());
    }

    function test_it_keeps_no_history() public {
        vm.expectRevert(IPriceOracle.NoHistory.selector);
        oracle.getRoundData(1);
    }

    function test_an_answer_lives_for_its_heartbeat_and_no_second_more() public {
        skip(HEARTBEAT);
        oracle.price();
        skip(1);
        refused(oracle, abi.encodeWithSelector(IPriceOracle.Stale.selector, feed, NOW));
    }

    function test_an_answer_from_the_future_is_refused() public {
        feed.updateRoundData(2, 2_000e8, NOW + 1, NOW);
        refused(oracle, abi.encodeWithSelector(IPriceOracle.FromTheFuture.selector, feed, NOW + 1));
    }

    function test_a_round_that_is_not_complete_is_refused() public {
        feed.updateRoundData(7, 2_000e8, 0, NOW);
        refused(oracle, abi.encodeWithSelector(IPriceOracle.RoundIncomplete.selector, feed, 7));
    }

    function test_answers_that_are_not_positive_are_refused() public {
        feed.updateAnswer(0);
        refused(oracle, abi.encodeWithSelector(IPriceOracle.NotPositive.selector, feed, 0));
        feed.updateAnswer(-1);
        refused(oracle, abi.encodeWithSelector(IPriceOracle.NotPositive.selector, feed, -1));
    }

    /// A feed that is pinned at its own minimum while the market falls on answers exactly that minimum.
    function test_answers_at_a_bound_and_beyond_are_refused() public {
        for (uint256 k = 0; k < 2; ++k) {
            feed.updateAnswer(int256(100e8 - k));
            refused(oracle, abi.encodeWithSelector(IPriceOracle.OutOfBounds.selector, feed, 100e18 - k * 1e10));
            feed.updateAnswer(int256(100_000e8 + k));
            refused(oracle, abi.encodeWithSelector(IPriceOracle.OutOfBounds.selector, feed, 100_000e18 + k * 1e10));
        }
        feed.updateAnswer(100e8 + 1);
        oracle.price();
        feed.updateAnswer(100_000e8 - 1);
        oracle.price();
    }

    function test_no_price_while_the_sequencer_is_down() public {
        ChainlinkOracle l2 = onL2();
        skip(GRACE + 1);
        feed.updateAnswer(2_000e8);
        l2.price();
        sequencer.updateAnswer(1);
        refused(l2, abi.encodeWithSelector(IPriceOracle.SequencerDown.selector, sequencer));
    }

    /// down --restart at t--> no price --t + grace--> still none --1 s--> a price
    function test_no_price_until_the_grace_period_after_a_restart_is_over() public {
        ChainlinkOracle l2 = onL2();
        skip(GRACE);
        feed.updateAnswer(2_000e8);
        refused(l2, abi.encodeWithSelector(IPriceOracle.SequencerSettling.selector, sequencer, NOW));
        skip(1);
        l2.price();
    }

    function test_no_price_before_the_sequencer_feed_has_told_anything_or_from_the_future() public {
        ChainlinkOracle l2 = onL2();
        sequencer.updateRoundData(1, 0, NOW, 0);
        refused(l2, abi.encodeWithSelector(IPriceOracle.SequencerSettling.selector, sequencer, 0));
        sequencer.updateRoundData(2, 0, NOW, NOW + 1);
        refused(l2, abi.encodeWithSelector(IPriceOracle.SequencerSettling.selector, sequencer, NOW + 1));
    }

    function test_an_answer_within_its_heartbeat_but_from_before_the_restart_is_stale() public {
        ChainlinkParameters memory chosen = parameters(feed);
        (chosen.sequencerFeed, chosen.gracePeriod, chosen.heartbeat) = (sequencer, GRACE, 1 days);
        ChainlinkOracle l2 = new ChainlinkOracle(chosen);
        skip(60);
        sequencer.updateAnswer(0);
        skip(GRACE + 1);
        refused(l2, abi.encodeWithSelector(IPriceOracle.Stale.selector, feed, NOW));
        feed.updateAnswer(2_000e8);
        l2.price();
    }

    function test_parameters_that_protect_nothing_are_refused() public {
        ChainlinkParameters[] memory wrong = new ChainlinkParameters[](4);
        for (uint256 k = 0; k < 4; ++k) wrong[k] = parameters(feed);
        wrong[0].heartbeat = 0;
        wrong[1].lowest = wrong[1].highest;
        wrong[2].sequencerFeed = sequencer;
        wrong[3].gracePeriod = GRACE;
        for (uint256 k = 0; k < 4; ++k) {
            vm.expectRevert(IPriceOracle.InvalidParameters.selector);
            new ChainlinkOracle(wrong[k]);
        }
    }

    /// The same dollars whatever the feed's decimals, to the digit that the coarser of both has.
    function testFuzz_decimals(uint8 decimals, uint256 usd) public {
        decimals = uint8(bound(decimals, 0, 36));
        usd = bound(usd, 101, 99_999);
        feed = new MockV3Aggregator(decimals, int256(usd * 10 ** decimals));
        (uint256 read,) = new ChainlinkOracle(parameters(feed)).price();
        assertEq(read, usd * 1e18);
    }

    function testFuzz_decimals_beyond_what_can_be_scaled_are_refused(uint8 decimals) public {
        decimals = uint8(bound(decimals, 37, 255));
        feed = new MockV3Aggregator(decimals, 1);
        ChainlinkOracle other = new ChainlinkOracle(parameters(feed));
        refused(other, abi.encodeWithSelector(IPriceOracle.UnsupportedScale.selector, feed, int256(uint256(decimals))));
    }

    /// No answer at all makes arithmetic panic: it is a price within the bounds or a named refusal.
    function testFuzz_any_answer_is_a_price_or_a_named_refusal(int256 answer, uint8 decimals) public {
        feed = new MockV3Aggregator(uint8(bound(decimals, 0, 36)), answer);
        ChainlinkOracle any = new ChainlinkOracle(parameters(feed));
        try any.price() returns (uint256 usd, uint256) {
            assertGt(usd, 100e18);
            assertLt(usd, 100_000e18);
        } catch (bytes memory reason) {
            bytes4 named = bytes4(reason);
            assertTrue(named == IPriceOracle.NotPositive.selector || named == IPriceOracle.OutOfBounds.selector);
        }
    }
}
