// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Test} from "forge-std/Test.sol";
import {IPyth} from "@pythnetwork/pyth-sdk-solidity/IPyth.sol";
import {MockPyth} from "@pythnetwork/pyth-sdk-solidity/MockPyth.sol";
import {PythErrors} from "@pythnetwork/pyth-sdk-solidity/PythErrors.sol";
import {IPriceOracle} from "../../src/oracle/IPriceOracle.sol";
import {PythOracle, PythParameters} from "../../src/oracle/PythOracle.sol";

/// @notice Every check of one Pyth price, against Pyth's own mock.
contract PythOracleTest is Test {
    bytes32 private constant ETH_USD = 0xff61491a931112ddf1bd8147cd1b641375f79f5825126d665480874634fd0ace;
    uint32 private constant HEARTBEAT = 60;
    uint256 private constant NOW = 1_700_000_000;

    MockPyth private pyth;
    PythOracle private oracle;

    function setUp() public {
        vm.warp(NOW);
        pyth = new MockPyth(1 days, 0);
        oracle = new PythOracle(parameters());
    }

    function parameters() private view returns (PythParameters memory) {
        return PythParameters({
            pyth: pyth,
            priceId: ETH_USD,
            pair: "ETH / USD",
            heartbeat: HEARTBEAT,
            maxConfidenceBps: 100
        });
    }

    function publish(int64 price, uint64 confidence, int32 exponent, uint256 time) private {
        bytes[] memory updates = new bytes[](1);
        updates[0] = pyth.createPriceFeedUpdateData(
            ETH_USD, price, confidence, exponent, price, confidence, uint64(time), uint64(time)
        );
        pyth.updatePriceFeeds(updates);
    }

    function refused(bytes memory reason) private {
        vm.expectRevert(reason);
        oracle.price();
        vm.expectRevert(reason);
        oracle.latestRoundData();
    }

    function test_a_fresh_price_is_a_price_and_a_round() public {
        publish(2_000e8, 1e8, -8, NOW - 10);
        (uint256 usd, uint256 updatedAt) = oracle.price();
        assertEq(usd, 2_000e18);
        assertEq(updatedAt, NOW - 10);
        (uint80 id, int256 answer,, uint256 time,) = oracle.latestRoundData();
        assertEq(id, NOW - 10);
        assertEq(answer, 2_000e18);
        assertEq(time, NOW - 10);
        assertEq(oracle.description(), "ETH / USD");
    }

    function test_a_price_that_nobody_brought_on_chain_is_none() public {
        refused(abi.encodeWithSelector(PythErrors.PriceFeedNotFound.selector));
    }

    function test_a_price_lives_for_its_heartbeat_and_no_second_more() public {
        publish(2_000e8, 0, -8, NOW);
        skip(HEARTBEAT);
        oracle.price();
        skip(1);
        refused(abi.encodeWithSelector(IPriceOracle.Stale.selector, pyth, NOW));
    }

    function test_a_price_from_the_future_is_refused() public {
        publish(2_000e8, 0, -8, NOW + 1);
        refused(abi.encodeWithSelector(IPriceOracle.FromTheFuture.selector, pyth, NOW + 1));
    }

    function test_prices_that_are_not_positive_are_refused() public {
        publish(0, 0, -8, NOW - 2);
        refused(abi.encodeWithSelector(IPriceOracle.NotPositive.selector, pyth, 0));
        publish(-1, 0, -8, NOW - 1);
        refused(abi.encodeWithSelector(IPriceOracle.NotPositive.selector, pyth, -1));
        publish(type(int64).min, 0, -8, NOW);
        refused(abi.encodeWithSelector(IPriceOracle.NotPositive.selector, pyth, type(int64).min));
    }

    function test_a_price_that_nothing_is_left_of_at_18_decimals_is_refused() public {
        publish(9, 0, -19, NOW);
        refused(abi.encodeWithSelector(IPriceOracle.NotPositive.selector, pyth, 0));
    }

    /// 1 % of 2,000 is 20: at the limit it counts, above it does not.
    function test_a_confidence_interval_wider_than_allowed_is_refused() public {
        publish(2_000e8, 20e8, -8, NOW - 1);
        oracle.price();
        publish(2_000e8, 20e8 + 1, -8, NOW);
        refused(abi.encodeWithSelector(IPriceOracle.ConfidenceTooWide.selector, pyth, 20e8 + 1, 2_000e8));
    }

    function test_parameters_that_protect_nothing_are_refused() public {
        PythParameters[] memory wrong = new PythParameters[](3);
        for (uint256 k = 0; k < 3; ++k) wrong[k] = parameters();
        wrong[0].heartbeat = 0;
        wrong[1].maxConfidenceBps = 0;
        wrong[2].maxConfidenceBps = 10_000;
        for (uint256 k = 0; k < 3; ++k) {
            vm.expectRevert(IPriceOracle.InvalidParameters.selector);
            new PythOracle(wrong[k]);
        }
    }

    /// The same dollars whatever the exponent that the publishers chose.
    function testFuzz_exponents(int32 exponent) public {
        exponent = int32(bound(exponent, -14, 0));
        publish(int64(int256(7 * 10 ** uint256(int256(-exponent)))), 0, exponent, NOW);
        (uint256 usd,) = oracle.price();
        assertEq(usd, 7e18);
    }

    /// price x 10^exponent, cut off at 1e-18: within a unit of it, and never above.
    function testFuzz_any_price_is_its_value_or_a_named_refusal(int64 price, uint64 confidence, int32 exponent) public {
        exponent = int32(bound(exponent, -60, 40));
        publish(price, confidence, exponent, NOW);
        try oracle.price() returns (uint256 usd, uint256) {
            uint256 positive = uint256(int256(price));
            if (exponent >= -18) assertEq(usd, positive * 10 ** uint256(int256(exponent) + 18));
            else assertEq(usd, positive / 10 ** uint256(-int256(exponent) - 18));
            assertLe(uint256(confidence) * 100, positive);
        } catch (bytes memory reason) {
            bytes4 named = bytes4(reason);
            assertTrue(
                named == IPriceOracle.NotPositive.selector || named == IPriceOracle.OutOfBounds.selector
                    || named == IPriceOracle.ConfidenceTooWide.selector
                    || named == IPriceOracle.UnsupportedScale.selector
            );
        }
    }

    function testFuzz_exponents_beyond_what_can_be_scaled_are_refused(int32 exponent) public {
        vm.assume(exponent < -36 || exponent > 18);
        publish(1, 0, exponent, NOW);
        refused(abi.encodeWithSelector(IPriceOracle.UnsupportedScale.selector, pyth, -int256(exponent)));
    }
}
