// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Test} from "forge-std/Test.sol";
import {AggregatorV3Interface} from "@chainlink/contracts/src/v0.8/shared/interfaces/AggregatorV3Interface.sol";
import {PythErrors} from "@pythnetwork/pyth-sdk-solidity/PythErrors.sol";
import {MockV3Aggregator} from "../../src/dev/TestFeed.sol";
import {TestPyth} from "../../src/dev/TestPyth.sol";
import {ChainlinkOracle, ChainlinkParameters} from "../../src/oracle/ChainlinkOracle.sol";
import {Alone, ComparedOracle, ComparedParameters} from "../../src/oracle/ComparedOracle.sol";
import {IPriceOracle} from "../../src/oracle/IPriceOracle.sol";
import {PythOracle, PythParameters} from "../../src/oracle/PythOracle.sol";

/// @notice Chainlink beside Pyth, as an asset would be configured.
abstract contract TwoSources is Test {
    bytes32 internal constant ETH_USD = 0xff61491a931112ddf1bd8147cd1b641375f79f5825126d665480874634fd0ace;

    MockV3Aggregator internal feed;
    TestPyth internal pyth;
    ChainlinkOracle internal chainlink;
    PythOracle internal second;

    function openSources() internal {
        feed = new MockV3Aggregator(8, 2_000e8, "ETH / USD");
        pyth = new TestPyth();
        pyth.publish(ETH_USD, 2_000e8, 0, -8);
        AggregatorV3Interface none;
        chainlink = new ChainlinkOracle(ChainlinkParameters(feed, 1 hours, 1e18, 1_000_000e18, none, 0));
        second = pythOracle("ETH / USD");
    }

    function pythOracle(string memory pair) internal returns (PythOracle) {
        return new PythOracle(PythParameters(pyth, ETH_USD, pair, 5 minutes, 100));
    }

    function compared(Alone alone) internal returns (ComparedOracle) {
        return new ComparedOracle(ComparedParameters(chainlink, second, 200, alone));
    }
}

contract ComparedOracleTest is TwoSources {
    uint256 private constant NOW = 1_700_000_000;

    ComparedOracle private strict;
    ComparedOracle private lenient;

    function setUp() public {
        vm.warp(NOW);
        openSources();
        strict = compared(Alone.NoPrice);
        lenient = compared(Alone.Suffices);
    }

    function refused(ComparedOracle by, bytes memory reason) private {
        vm.expectRevert(reason);
        by.price();
        vm.expectRevert(reason);
        by.latestRoundData();
    }

    function down(IPriceOracle source, bytes memory reason) private pure returns (bytes memory) {
        return abi.encodeWithSelector(IPriceOracle.SourceDown.selector, source, reason);
    }

    function stale(address source) private pure returns (bytes memory) {
        return abi.encodeWithSelector(IPriceOracle.Stale.selector, source, NOW);
    }

    function test_the_first_sources_price_with_its_time_while_both_agree() public {
        skip(60);
        pyth.publish(ETH_USD, 2_010e8, 0, -8);
        (uint256 usd, uint256 updatedAt) = strict.price();
        assertEq(usd, 2_000e18);
        assertEq(updatedAt, NOW);
        assertEq(strict.description(), "ETH / USD");
        assertEq(uint8(strict.alone()), 0, "the default is no price");
    }

    /// 2 % of the smaller price: 2,000 and 2,040 agree, a cent more does not; the same the other way round.
    function test_sources_further_apart_than_allowed_are_no_price_whatever_the_policy() public {
        for (uint256 k = 0; k < 2; ++k) {
            ComparedOracle each = k == 0 ? strict : lenient;
            skip(1);
            pyth.publish(ETH_USD, 2_040e8, 0, -8);
            feed.updateAnswer(2_000e8);
            each.price();
            feed.updateAnswer(1_999.99e8);
            refused(each, abi.encodeWithSelector(IPriceOracle.SourcesDisagree.selector, 1_999.99e18, 2_040e18));
            feed.updateAnswer(2_080.8e8);
            each.price();
            feed.updateAnswer(2_080.81e8);
            refused(each, abi.encodeWithSelector(IPriceOracle.SourcesDisagree.selector, 2_080.81e18, 2_040e18));
        }
    }

    function test_one_source_down_is_no_price_by_default() public {
        skip(5 minutes + 1);
        refused(strict, down(second, stale(address(pyth))));
        pyth.publish(ETH_USD, 2_000e8, 0, -8);
        strict.price();
        feed.updateAnswer(0);
        refused(strict, down(chainlink, abi.encodeWithSelector(IPriceOracle.NotPositive.selector, feed, 0)));
    }

    /// both -> Pyth stale: Chainlink's -> Chainlink stale, too: none, and why -> Pyth back: Pyth's
    function test_the_other_source_suffices_where_the_desk_has_decided_so() public {
        skip(5 minutes + 1);
        (uint256 usd, uint256 updatedAt) = lenient.price();
        assertEq(usd, 2_000e18);
        assertEq(updatedAt, NOW);
        skip(1 hours);
        refused(lenient, stale(address(feed)));
        pyth.publish(ETH_USD, 1_900e8, 0, -8);
        (usd, updatedAt) = lenient.price();
        assertEq(usd, 1_900e18);
        assertEq(updatedAt, block.timestamp);
    }

    /// While the chain's sequencer is down or has just come back, a price is no price, whoever tells it: nobody could
    /// have reacted to it.
    function test_no_policy_lets_the_other_source_through_the_sequencers_grace() public {
        MockV3Aggregator sequencer = new MockV3Aggregator(0, 1, "L2 Sequencer Uptime Status Feed");
        chainlink = new ChainlinkOracle(ChainlinkParameters(feed, 1 hours, 1e18, 1_000_000e18, sequencer, 600));
        lenient = compared(Alone.Suffices);
        ComparedOracle outer = new ComparedOracle(ComparedParameters(lenient, second, 200, Alone.Suffices));
        bytes memory reason = abi.encodeWithSelector(IPriceOracle.SequencerDown.selector, sequencer);
        refused(lenient, reason);
        refused(outer, reason);
        sequencer.updateAnswer(0);
        reason = abi.encodeWithSelector(IPriceOracle.SequencerSettling.selector, sequencer, block.timestamp);
        refused(lenient, reason);
        refused(outer, reason);
        skip(601);
        pyth.publish(ETH_USD, 2_000e8, 0, -8);
        (uint256 usd,) = lenient.price();
        assertEq(usd, 2_000e18, "Chainlink's answer is from before the outage, Pyth's is not");
    }

    /// A caller that gives so little gas that a source fails gets nothing, not the other source's price.
    function testFuzz_gas_does_not_choose_the_source(uint256 gas) public {
        feed.updateAnswer(1_990e8);
        gas = bound(gas, 1_000, 200_000);
        try lenient.price{gas: gas}() returns (uint256 usd, uint256) {
            assertEq(usd, 1_990e18);
        } catch {}
    }

    function test_two_sources_of_different_pairs_or_the_same_source_twice_are_refused() public {
        PythOracle other = pythOracle("BTC / USD");
        vm.expectRevert(abi.encodeWithSelector(IPriceOracle.DifferentPairs.selector, "ETH / USD", "BTC / USD"));
        new ComparedOracle(ComparedParameters(chainlink, other, 200, Alone.NoPrice));
        vm.expectRevert(IPriceOracle.InvalidParameters.selector);
        new ComparedOracle(ComparedParameters(chainlink, chainlink, 200, Alone.NoPrice));
        vm.expectRevert(IPriceOracle.InvalidParameters.selector);
        new ComparedOracle(ComparedParameters(chainlink, second, 0, Alone.NoPrice));
        vm.expectRevert(IPriceOracle.InvalidParameters.selector);
        new ComparedOracle(ComparedParameters(chainlink, second, 10_000, Alone.NoPrice));
    }

    /// Agreement does not depend on which source is named first.
    function testFuzz_agreement_is_symmetric(uint64 left, uint64 right) public {
        left = uint64(bound(left, 2e8, 900_000e8));
        right = uint64(bound(right, left * 95 / 100, left * 105 / 100));
        feed.updateAnswer(int256(uint256(left)));
        skip(1);
        pyth.publish(ETH_USD, int64(right), 0, -8);
        ComparedOracle turned = new ComparedOracle(ComparedParameters(second, chainlink, 200, Alone.NoPrice));
        assertEq(agrees(strict), agrees(turned));
    }

    function agrees(ComparedOracle each) private view returns (bool) {
        try each.price() returns (uint256, uint256) {
            return true;
        } catch {
            return false;
        }
    }
}
