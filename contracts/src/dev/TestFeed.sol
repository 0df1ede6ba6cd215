// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {AggregatorV3Interface} from "@chainlink/contracts/src/v0.8/shared/interfaces/AggregatorV3Interface.sol";
import {MockV3Aggregator as ChainlinkMock} from "@chainlink/contracts/src/v0.8/shared/mocks/MockV3Aggregator.sol";

/// @notice For local chains only: Chainlink's own mock behind a proxy with a description of its own, as real feeds are
/// an aggregator behind a proxy. The mock's `description` is one fixed text and cannot be overridden, while whoever
/// reads feeds checks that a feed describes the pair it is meant to price.
contract MockV3Aggregator is AggregatorV3Interface {
    ChainlinkMock public immutable aggregator;
    string public override description;

    constructor(uint8 decimals_, int256 answer, string memory description_) {
        aggregator = new ChainlinkMock(decimals_, answer);
        description = description_;
    }

    function updateAnswer(int256 answer) external {
        aggregator.updateAnswer(answer);
    }

    function updateRoundData(uint80 roundId, int256 answer, uint256 timestamp, uint256 startedAt) external {
        aggregator.updateRoundData(roundId, answer, timestamp, startedAt);
    }

    function decimals() external view override returns (uint8) {
        return aggregator.decimals();
    }

    function version() external view override returns (uint256) {
        return aggregator.version();
    }

    function latestAnswer() external view returns (int256) {
        return aggregator.latestAnswer();
    }

    function getRoundData(uint80 roundId_)
        external
        view
        override
        returns (uint80 roundId, int256 answer, uint256 startedAt, uint256 updatedAt, uint80 answeredInRound)
    {
        return aggregator.getRoundData(roundId_);
    }

    function latestRoundData()
        external
        view
        override
        returns (uint80 roundId, int256 answer, uint256 startedAt, uint256 updatedAt, uint80 answeredInRound)
    {
        return aggregator.latestRoundData();
    }
}
